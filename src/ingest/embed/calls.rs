//! Several threads that call an embedder at once, with retries where they may help.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::{EmbedOptions, EmbedRefusal, Embedder, sections::SectionedDocument, vector};
use crate::{
    database::busy::jittered,
    ingest::{StopFlag, parse::ContentHash},
    threads,
};

/// The most texts of one call: a server answers it before its timeout, and one that fails repeats little.
const TEXTS: usize = 16;

/// How often a text is sent before waltop gives up on it.
const TRIES: u32 = 5;

/// The longest pause before a text is sent again, whatever the embedder asks for.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How often a pausing thread checks whether the run has to stop.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// A document that has no vector yet.
#[derive(Debug)]
pub struct WantedVector {
    pub id: i64,
    pub name: String,
    /// Hash of the embedded text.
    pub hash: ContentHash,
    pub document: SectionedDocument,
}

/// Result for one document.
#[derive(Debug)]
pub struct EmbedAnswer {
    /// The document; its sections have no text any more.
    pub wanted: WantedVector,
    /// A vector of length 1 for each of its sections; or why there are none, after all tries.
    pub vectors: Result<Vec<Vec<f32>>, EmbedRefusal>,
}

/// The threads. They exit by themselves once this is dropped; no process waits for one that is in a call.
#[derive(Debug)]
pub struct EmbedCalls {
    jobs: Sender<WantedVector>,
    answers: Receiver<EmbedAnswer>,
    /// Documents that were given and have not been answered.
    under_way: usize,
    most: usize,
}

impl EmbedCalls {
    /// Starts as many threads as `options` allow calls, or fewer if the system refuses them.
    ///
    /// # Errors
    ///
    /// The system refuses every thread.
    pub fn start(options: &EmbedOptions, stop: &StopFlag) -> io::Result<Self> {
        let calls = options.calls.get();
        let (jobs, wanted) = unbounded::<WantedVector>();
        let (answer, answers) = unbounded();
        let mut started = 0;
        for number in 0..calls {
            let (wanted, answer, options, stop) =
                (wanted.clone(), answer.clone(), options.clone(), stop.clone());
            let thread = threads::start(&format!("embed-{number}"), move || {
                for mut wanted in wanted {
                    let asked = || vectors_of(&options, &stop, &wanted.document);
                    let vectors = panic::catch_unwind(AssertUnwindSafe(asked)).unwrap_or_else(|_| {
                        Err(EmbedRefusal::Never("the embedder failed inside".to_owned()))
                    });
                    wanted.document.sections.iter_mut().for_each(|section| section.text = String::new());
                    if answer.send(EmbedAnswer { wanted, vectors }).is_err() {
                        return;
                    }
                }
            });
            match thread {
                Ok(_) => started += 1,
                Err(error) if started == 0 => return Err(error),
                // Fewer calls at a time are slower, but as good.
                Err(_) => break,
            }
        }
        // Twice as many more wait, so that no thread is idle while vectors are written.
        Ok(Self { jobs, answers, under_way: 0, most: started * 3 })
    }

    /// Whether it accepts another document.
    pub fn has_room(&self) -> bool {
        self.under_way < self.most
    }

    /// Whether no answer is pending.
    pub fn is_idle(&self) -> bool {
        self.under_way == 0
    }

    /// Queues `wanted` for embedding.
    pub fn give(&mut self, wanted: WantedVector) {
        if self.jobs.send(wanted).is_ok() {
            self.under_way += 1;
        }
    }

    /// The next answer that arrives within `patience`.
    pub fn next(&mut self, patience: Duration) -> Option<EmbedAnswer> {
        match self.answers.recv_timeout(patience) {
            Ok(answer) => {
                self.under_way -= 1;
                Some(answer)
            }
            Err(RecvTimeoutError::Timeout) => None,
            // The threads are gone, which happens only if an embedder panics.
            Err(RecvTimeoutError::Disconnected) => {
                self.under_way = 0;
                None
            }
        }
    }
}

/// The vectors of the sections of `document`, by as few calls as possible.
fn vectors_of(
    options: &EmbedOptions,
    stop: &StopFlag,
    document: &SectionedDocument,
) -> Result<Vec<Vec<f32>>, EmbedRefusal> {
    let texts: Vec<&str> = document.sections.iter().map(|section| &*section.text).collect();
    let mut vectors = Vec::with_capacity(texts.len());
    for part in texts.chunks(TEXTS) {
        match ask(options, stop, part) {
            // A server may accept less text in one call than in several.
            Err(EmbedRefusal::Text(_)) if part.len() > 1 => {
                for text in part.chunks(1) {
                    vectors.append(&mut ask(options, stop, text)?);
                }
            }
            answer => vectors.append(&mut answer?),
        }
    }
    Ok(vectors)
}

/// The vectors of `texts`, with retries where they may help.
pub(super) fn ask(
    options: &EmbedOptions,
    stop: &StopFlag,
    texts: &[&str],
) -> Result<Vec<Vec<f32>>, EmbedRefusal> {
    let mut pause = options.pause;
    for tried in 1.. {
        let refusal = match once(&*options.embedder, texts) {
            Ok(vectors) => return Ok(vectors),
            Err(refusal) => refusal,
        };
        let after = match &refusal {
            EmbedRefusal::Later { after, .. } => after.unwrap_or_default(),
            EmbedRefusal::Late(_) | EmbedRefusal::Unreachable(_) => Duration::ZERO,
            EmbedRefusal::Text(_) | EmbedRefusal::Never(_) => return Err(refusal),
        };
        if tried >= TRIES || !slept(after.max(jittered(pause)).min(LONGEST_PAUSE), stop) {
            return Err(refusal);
        }
        pause *= 2;
    }
    unreachable!("the tries have an end")
}

pub(super) fn once(embedder: &dyn Embedder, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedRefusal> {
    let vectors = embedder.embed(texts)?;
    if vectors.len() != texts.len() {
        return Err(EmbedRefusal::Never("the embedder did not give one vector for each text".to_owned()));
    }
    let no_direction = || EmbedRefusal::Text("its vector is no direction".to_owned());
    vectors.into_iter().map(|numbers| vector::unit(numbers).ok_or_else(no_direction)).collect()
}

/// Whether `pause` passed before the run had to stop.
fn slept(pause: Duration, stop: &StopFlag) -> bool {
    let until = Instant::now() + pause;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.is_raised() {
            return !stop.is_raised();
        }
        thread::sleep(left.min(STOP_CHECK));
    }
}
