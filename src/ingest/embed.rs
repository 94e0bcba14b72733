//! The meaning of documents as vectors that an embedder makes: [`http`] requests them from a server.
//!
//! Embedding is a separate phase. It starts when the documents are in and can be found by their words. Each document
//! without a vector, or with one of an older text, goes to the embedder, several at once, and no lock is held
//! meanwhile. So if a run is stopped during this phase, or has no embedder, the next run resumes it.

pub(super) mod calls;
pub mod http;
pub mod nearest;
pub mod sections;
pub mod vector;

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StopFlag;
use crate::units;

/// Default number of texts at the embedder at a time.
pub const CALLS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// Default number of characters of a section: some 250 tokens of English, which every model accepts. A vector of more text
/// says less of each part of it.
pub const CHARS: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// The longest that a search by words waits for the vector of its query, to search by meaning too.
pub const QUERY_LIMIT: Duration = Duration::from_millis(300);

/// Makes vectors of texts. Several threads call it at once.
pub trait Embedder: fmt::Debug + Send + Sync {
    /// A vector for each of `texts`, in their order.
    ///
    /// # Errors
    ///
    /// Why there are none, and whether a retry may help.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedRefusal>;
}

/// Why an embedder made no vectors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbedRefusal {
    /// It rejects these texts; others may work.
    #[error("{0}")]
    Text(String),
    /// It is reachable, and may answer later.
    #[error("{reason}")]
    Later {
        reason: String,
        /// How long it asks callers to wait.
        after: Option<Duration>,
    },
    /// It did not answer in time; it may do so later.
    #[error("{0}")]
    Late(String),
    /// It is unreachable; it may start later.
    #[error("{0}")]
    Unreachable(String),
    /// It will never answer, whatever the text.
    #[error("{0}")]
    Never(String),
}

#[derive(Debug, Clone)]
pub struct EmbedOptions {
    pub embedder: Arc<dyn Embedder>,
    /// Model of the vectors: each model has its own set.
    pub model: String,
    /// Number of texts at the embedder at a time.
    pub calls: NonZeroUsize,
    /// The most characters of a section, title and headings included.
    pub chars: NonZeroUsize,
    /// Smallest similarity (a cosine) at which the nearest documents become edges; `None`: edges stay as they are.
    pub neighbours: Option<f32>,
    /// What happens to the model's existing vectors.
    pub have: ExistingVectors,
    /// Pause before the first retry of a refused call; it doubles with each retry.
    pub pause: Duration,
}

/// What happens to a model's existing vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingVectors {
    /// They are kept, and only missing ones are made.
    Kept,
    /// All of them in the database are discarded first.
    Discarded,
}

impl EmbedOptions {
    /// Vectors of `model` made by `embedder`, with the default settings.
    pub fn new(embedder: Arc<dyn Embedder>, model: &str) -> Self {
        Self {
            embedder,
            model: model.to_owned(),
            calls: CALLS,
            chars: CHARS,
            neighbours: None,
            have: ExistingVectors::Kept,
            pause: Duration::from_millis(250),
        }
    }
}

/// Result of embedding, as a run's summary reports it.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct EmbeddingSummary {
    pub model: String,
    /// Documents without a vector, or with one of an older text.
    pub wanted: u64,
    /// Documents that got a vector.
    pub embedded: u64,
    /// Edges between near documents that were added or removed.
    pub edges_changed: u64,
    /// From the first request to the last vector, in ms.
    pub elapsed_ms: f64,
    /// How long the write lock was held during that time, in ms.
    pub held_ms: f64,
    /// Why it ended early; `None` if it did not.
    pub error: Option<String>,
}

/// The vector of `text`, of length 1, with retries where they may help.
///
/// # Errors
///
/// Why there is none.
pub fn vector_of(options: &EmbedOptions, text: &str) -> Result<Vec<f32>, EmbedRefusal> {
    let mut vectors = calls::ask(options, &StopFlag::default(), &[text])?;
    Ok(vectors.remove(0))
}

/// The vector of `text`, of length 1, by one call without a retry.
///
/// # Errors
///
/// Why there is none.
pub fn vector_at_once(embedder: &dyn Embedder, text: &str) -> Result<Vec<f32>, EmbedRefusal> {
    calls::once(embedder, &[text]).map(|mut vectors| vectors.remove(0))
}

impl EmbeddingSummary {
    pub fn is_complete(&self) -> bool {
        self.error.is_none() && self.embedded >= self.wanted
    }
}

impl fmt::Display for EmbeddingSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} embedded", units::count(self.embedded), units::count(self.wanted))
    }
}
