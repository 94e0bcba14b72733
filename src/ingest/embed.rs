//! What documents mean, as vectors that an embedder makes: [`http`] asks a server for them.
//!
//! It is a phase of its own, once the documents are in and can be found by their words: whatever has no vector, or
//! one of an older text, is sent to the embedder, several at once, and no lock is held meanwhile. So a run that was
//! ended in the middle of it, or that had no embedder, is carried on by the next one.

pub(super) mod calls;
pub mod http;
pub mod nearest;
pub mod vector;

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StopFlag;

/// The model that is asked for where none is named.
pub const MODEL: &str = "nomic-embed-text";

/// Texts that are with the embedder at a time, where nothing else is said.
pub const CALLS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// Characters of a document that are embedded, where nothing else is said: some 2,000 tokens, which most models take.
pub const CHARS: NonZeroUsize = NonZeroUsize::new(8000).unwrap();

/// Makes vectors of texts. Several threads ask it at once.
pub trait Embedder: fmt::Debug + Send + Sync {
    /// A vector for each of `texts`, in their order.
    ///
    /// # Errors
    ///
    /// Why there are none, which says whether it may help to ask again.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedRefusal>;
}

/// Why an embedder made no vectors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbedRefusal {
    /// It will not have these texts; others may do.
    #[error("{0}")]
    Text(String),
    /// It is there, and may do later.
    #[error("{reason}")]
    Later {
        reason: String,
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// It is not there; it may come.
    #[error("{0}")]
    Unreachable(String),
    /// It will never do, whatever it is asked.
    #[error("{0}")]
    Never(String),
}

#[derive(Debug, Clone)]
pub struct EmbedOptions {
    pub embedder: Arc<dyn Embedder>,
    /// Of which model the vectors are: each has its own.
    pub model: String,
    /// How many texts are with the embedder at a time.
    pub calls: NonZeroUsize,
    /// How many characters of a document it gets, its title included; the rest is left out.
    pub chars: NonZeroUsize,
    /// From which similarity (a cosine) on the nearest documents become edges; `None`: edges stay as they are.
    pub neighbours: Option<f32>,
    /// What becomes of the model's vectors that are there.
    pub have: ExistingVectors,
    /// Before a refused call is tried again for the first time; each time it doubles.
    pub pause: Duration,
}

/// What becomes of the vectors that a model has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingVectors {
    /// They are kept, and only what is missing is made.
    Kept,
    /// All of them in the database are thrown away first.
    Discarded,
}

impl EmbedOptions {
    /// Vectors of `model`, made by `embedder`, in the usual way.
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

/// What came of embedding, as a run's summary tells it.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct EmbeddingSummary {
    pub model: String,
    /// Documents that had no vector of it, or one of an older text.
    pub wanted: u64,
    /// Documents that have one now.
    pub embedded: u64,
    /// Edges between near documents that came or went.
    pub edges_changed: u64,
    /// From the first question to the last vector, in ms.
    pub elapsed_ms: f64,
    /// For how long of that the write lock was held, in ms.
    pub held_ms: f64,
    /// Why it ended early, where it did.
    pub error: Option<String>,
}

/// The vector of `text`, of length 1, asked for several times where that may help.
///
/// # Errors
///
/// Why there is none.
pub fn vector_of(options: &EmbedOptions, text: &str) -> Result<Vec<f32>, EmbedRefusal> {
    calls::ask(options, &StopFlag::default(), text)
}

impl EmbeddingSummary {
    /// Whether every document has its vector.
    pub fn is_complete(&self) -> bool {
        self.error.is_none() && self.embedded >= self.wanted
    }
}

impl fmt::Display for EmbeddingSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} embedded", self.embedded, self.wanted)
    }
}
