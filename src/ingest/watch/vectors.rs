//! The vectors that a watch has yet to make: why they are missing, and when to retry.

use std::time::Instant;

use super::{super::embed::EmbeddingSummary, backoff::RetryBackoff};

/// The last known state of the embedder.
#[derive(Debug, Default)]
pub struct EmbedderStatus {
    /// Why its last call failed.
    trouble: Option<String>,
    backoff: RetryBackoff,
}

impl EmbedderStatus {
    /// When to retry; `None` if nothing is missing that a retry may bring.
    pub fn until(&self) -> Option<Instant> {
        self.backoff.until()
    }

    /// Retries with the next run, whenever that is.
    pub fn wait(&mut self) {
        self.backoff.went_well();
    }

    /// Updates the state after a run that finished, with its result of embedding; returns a line if something is new.
    pub fn after(&mut self, embedding: Option<&EmbeddingSummary>, now: Instant) -> Option<String> {
        let Some(embedding) = embedding else {
            self.wait();
            return None;
        };
        if embedding.error.is_none() || embedding.embedded > 0 {
            // It answered some calls.
            self.backoff.went_well();
        }
        let Some(reason) = &embedding.error else {
            return self.trouble.take().map(|_| match embedding.wanted {
                0 => "nothing is left to embed".to_owned(),
                _ => format!("embedding continues: {embedding}"),
            });
        };
        self.backoff.failed(now);
        let is_new = self.trouble.as_ref() != Some(reason);
        self.trouble = Some(reason.clone());
        is_new.then(|| format!("not all embedded ({embedding}), trying again later: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn embedding(embedded: u64, error: Option<&str>) -> EmbeddingSummary {
        EmbeddingSummary {
            model: "words".to_owned(),
            wanted: 5,
            embedded,
            edges_changed: 0,
            elapsed_ms: 0.0,
            held_ms: 0.0,
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_in_the_way_is_said_once_and_tried_again_until_all_is_there() {
        let (mut vectors, now) = (EmbedderStatus::default(), Instant::now());
        let wait = |vectors: &EmbedderStatus| vectors.until().map(|until| (until - now).as_secs());
        assert_eq!(vectors.after(None, now), None);
        assert_eq!(vectors.after(Some(&embedding(5, None)), now), None);
        assert_eq!(vectors.until(), None);
        let absent = embedding(0, Some("nobody is there"));
        let said = vectors.after(Some(&absent), now).expect("it is news");
        assert!(said.ends_with("(0 of 5 embedded), trying again later: nobody is there"), "{said}");
        assert_eq!(wait(&vectors), Some(1));
        assert_eq!(vectors.after(Some(&absent), now), None, "it was said");
        assert_eq!(wait(&vectors), Some(2));
        assert!(vectors.after(Some(&embedding(3, Some("it went away"))), now).is_some());
        assert_eq!(vectors.until(), Some(now + Duration::from_secs(1)), "it was there for some");
        let said = vectors.after(Some(&embedding(5, None)), now);
        assert_eq!(said.as_deref(), Some("embedding continues: 5 of 5 embedded"));
        assert_eq!(vectors.until(), None);
        assert_eq!(vectors.after(Some(&embedding(1, None)), now), None);
    }
}
