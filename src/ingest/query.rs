//! What a search asks for, from the text that the user typed. No SQL is run here, and every text is a query.
//!
//! All words must be in a document. `"two words"` is a phrase, `wor*` a beginning, as the last word is; `-word` must not
//! be in it; of `a OR b` one must. `tag:x`, `path:x` and `kind:x` are conditions, and with `-` before them their opposite.

mod expression;
mod filters;
mod needles;
mod stems;
mod syntax;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    filters::{FilterField, SearchFilter},
    needles::Needle,
    syntax::parse,
};

/// A parsed query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchQuery {
    /// All of them must match; of the terms in one, one must.
    groups: Vec<Vec<QueryTerm>>,
    /// None of them may match.
    without: Vec<QueryTerm>,
    pub filters: Vec<SearchFilter>,
    /// The words as they were typed, if there is nothing else: they may be the name of a document.
    pub name: Option<String>,
}

/// A word or a phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
struct QueryTerm {
    text: String,
    is_phrase: bool,
    /// Whether it is the beginning of a word.
    is_beginning: bool,
}

/// How many of the words a document must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordMatch {
    All,
    /// At least one.
    Any,
}

/// What was searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    Words,
    Meaning,
    Both,
}

/// Why a search that could have been by meaning too was by words alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordsAlone {
    /// The embeddings API did not answer in time.
    Late,
    /// No embeddings API is at its address.
    Unreachable,
    /// The embeddings API gave no vector.
    Refused,
    /// The database has no vectors of the model.
    NoVectors,
    /// The vectors of the database have another length.
    OtherLength,
}

impl SearchQuery {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.without.is_empty() && self.filters.is_empty()
    }

    /// How many words a document must have.
    pub fn count_words(&self) -> usize {
        self.groups.len()
    }

    /// The text whose meaning is searched: the words without conditions, and without what must not be there. `None` if there
    /// are no words.
    pub fn meaning(&self) -> Option<String> {
        let words: Vec<&str> = self.groups.iter().flatten().map(|term| &*term.text).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// Whether there are several words, of which a document may have some.
    pub fn has_several_words(&self) -> bool {
        self.groups.len() > 1
    }
}
