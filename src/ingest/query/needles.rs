//! What to mark in a document that was found.

use super::{QueryTerm, SearchQuery, stems};
use crate::ingest::words::{self, UnitKind};

/// Words that stand side by side, in the form of [`words::plain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    pub words: Vec<String>,
    /// Whether the last one is the beginning of a word.
    pub is_beginning: bool,
    /// The number of the term that it belongs to.
    pub term: usize,
}

impl SearchQuery {
    /// The words to mark.
    pub fn needles(&self) -> Vec<Needle> {
        self.groups.iter().flatten().enumerate().flat_map(|(number, term)| term.needles(number)).collect()
    }
}

impl QueryTerm {
    fn needles(&self, term: usize) -> Vec<Needle> {
        let units: Vec<_> = words::units(&self.text).collect();
        let words: Vec<String> = units.iter().map(|it| words::plain(it.text).into_owned()).collect();
        let mut needles = vec![Needle { words, is_beginning: self.is_beginning, term }];
        if let [unit] = units[..]
            && unit.kind == UnitKind::Word
            && !self.is_phrase
        {
            let form = |word| Needle { words: vec![word], is_beginning: false, term };
            needles.extend(stems::forms(unit.text).into_iter().map(form));
        }
        needles
    }
}
