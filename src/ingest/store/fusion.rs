//! Merges what words found with what is near in meaning: pure.
//!
//! By reciprocal rank fusion a document has the sum of 1 / ([`K`] + its rank) over both lists, each with a weight. The
//! weights follow from what the words found. Few words that a document has all of are what it was searched for; of a
//! question, whose words no document has all of, the meaning says more. docs/benchmarks.md has what they find.

use std::collections::HashMap;

use super::{candidates::Candidate, nearest::NearDocument};
use crate::ingest::query::{SearchQuery, WordMatch};

/// Without it the first of a list would count for twice as much as the second.
const K: f64 = 60.0;

/// From so many words on, a query is a question.
const QUESTION: usize = 4;

/// How much each list counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FusionWeights {
    words: f64,
    meaning: f64,
}

impl FusionWeights {
    /// Those for `query`, whose words were `matched` so.
    pub(super) fn of(query: &SearchQuery, matched: WordMatch) -> Self {
        match matched {
            WordMatch::All if query.count_words() < QUESTION => Self { words: 30.0, meaning: 1.0 },
            WordMatch::All => Self { words: 1.0, meaning: 1.0 },
            WordMatch::Any => Self { words: 1.0, meaning: 3.0 },
        }
    }
}

/// A document of at least one list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FusedMatch {
    pub id: i64,
    pub score: f64,
    pub word: Option<Candidate>,
    pub near: Option<NearDocument>,
}

/// The documents of both lists, which have their best first; the best first.
pub(super) fn fuse(words: &[Candidate], near: &[NearDocument], weights: FusionWeights) -> Vec<FusedMatch> {
    let mut all: HashMap<i64, FusedMatch> = HashMap::new();
    let fresh = |id| FusedMatch { id, score: 0.0, word: None, near: None };
    let share = |weight: f64, at: u32| weight / (K + 1.0 + f64::from(at));
    for (at, word) in (0..).zip(words) {
        let it = all.entry(word.id).or_insert_with(|| fresh(word.id));
        it.score += share(weights.words, at);
        it.word = Some(*word);
    }
    for (at, document) in (0..).zip(near) {
        let it = all.entry(document.id).or_insert_with(|| fresh(document.id));
        it.score += share(weights.meaning, at);
        it.near = Some(*document);
    }
    let mut all: Vec<FusedMatch> = all.into_values().collect();
    // Of two equal ones that with the words.
    all.sort_by(|a, b| {
        b.score.total_cmp(&a.score).then(a.word.is_none().cmp(&b.word.is_none())).then(a.id.cmp(&b.id))
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::query;

    fn order(query: &str, matched: WordMatch, words: &[i64], near: &[i64]) -> Vec<i64> {
        let words: Vec<Candidate> = words.iter().map(|&id| Candidate { id, rank: 0.0 }).collect();
        let near: Vec<NearDocument> =
            near.iter().map(|&id| NearDocument { id, similarity: 0.5, start: 0 }).collect();
        let weights = FusionWeights::of(&query::parse(query), matched);
        fuse(&words, &near, weights).into_iter().map(|it| it.id).collect()
    }

    #[test]
    fn few_words_that_a_document_has_come_before_what_is_near() {
        assert_eq!(order("busy_timeout", WordMatch::All, &[1, 2], &[3, 4, 5]), [1, 2, 3, 4, 5]);
        assert_eq!(order("busy_timeout", WordMatch::All, &[1, 2], &[2, 3]), [2, 1, 3]);
    }

    #[test]
    fn of_a_question_the_meaning_comes_first_and_what_is_in_both_lists_before_all() {
        let question = "which process blocks the other writers";
        assert_eq!(order(question, WordMatch::Any, &[1, 2], &[3, 4]), [3, 4, 1, 2]);
        assert_eq!(order(question, WordMatch::Any, &[1, 2], &[3, 2]), [2, 3, 1]);
        assert_eq!(order(question, WordMatch::All, &[1, 2], &[3, 4]), [1, 3, 2, 4]);
        assert_eq!(order(question, WordMatch::Any, &[], &[]), [0; 0]);
    }
}
