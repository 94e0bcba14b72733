//! Search by words and by meaning together.

use std::path::Path;

use rusqlite::Connection;

use super::{
    fusion::{self, FusedMatch, FusionWeights},
    nearest::{self, QueryMeaning},
    search::{self, SearchError, SearchHit},
};
use crate::{
    config::profile::Profile,
    ingest::{
        embed::EmbedRefusal,
        query::{Needle, SearchQuery, WordMatch, WordsAlone},
    },
};

/// How many documents of each list are merged, if no more are asked for.
const DEPTH: usize = 200;

impl From<&EmbedRefusal> for WordsAlone {
    fn from(refusal: &EmbedRefusal) -> Self {
        match refusal {
            EmbedRefusal::Late(_) => Self::Late,
            EmbedRefusal::Unreachable(_) => Self::Unreachable,
            EmbedRefusal::Text(_) | EmbedRefusal::Later { .. } | EmbedRefusal::Never(_) => Self::Refused,
        }
    }
}

/// What a search by words and meaning found.
#[derive(Debug)]
pub struct HybridAnswer {
    pub hits: Vec<SearchHit>,
    /// What the words found: all of them in each document, or any; `None` if they found nothing.
    pub matched: Option<WordMatch>,
    /// Why the words alone were searched.
    pub words_alone: Option<(WordsAlone, SearchError)>,
}

/// The documents in the database at `path` that match the words of `query` or are near `meaning`, of those that meet its
/// conditions: at most `limit`, best first. The connection uses the settings of `profile`.
///
/// # Errors
///
/// There is no such database, nothing was ingested into it, or `query` asks for nothing.
pub fn hybrid(
    path: &Path,
    query: &SearchQuery,
    meaning: QueryMeaning<'_>,
    limit: usize,
    profile: &Profile,
) -> Result<HybridAnswer, SearchError> {
    if query.is_empty() {
        return Err(SearchError::NoWords);
    }
    let shown = path.display().to_string();
    search::read(path, profile, |connection| {
        if let Some(error) = nearest::unusable(connection, meaning, &shown)? {
            let kind = match &error {
                SearchError::Dimension { .. } => WordsAlone::OtherLength,
                _ => WordsAlone::NoVectors,
            };
            let answer = search::find(connection, query, limit)?;
            let matched = (!answer.hits.is_empty()).then_some(answer.matched);
            return Ok(HybridAnswer { hits: answer.hits, matched, words_alone: Some((kind, error)) });
        }
        let depth = DEPTH.max(limit);
        let (words, matched) = search::candidates(connection, query, depth)?;
        let near = nearest::most_alike(connection, query, meaning, depth)?;
        let fused = fusion::fuse(&words, &near, FusionWeights::of(query, matched));
        let needles = query.needles();
        let hits = fused.into_iter().take(limit).map(|it| hit(connection, it, matched, &needles));
        let matched = (!words.is_empty()).then_some(matched);
        Ok(HybridAnswer { hits: hits.collect::<rusqlite::Result<_>>()?, matched, words_alone: None })
    })
}

/// The document, with the snippet of its words if it has all of them, else that of its section.
fn hit(
    connection: &Connection,
    fused: FusedMatch,
    matched: WordMatch,
    needles: &[Needle],
) -> rusqlite::Result<SearchHit> {
    let hit = match (fused.word, fused.near) {
        (Some(word), None) => search::hit(connection, word, needles)?,
        (Some(word), Some(_)) if matched == WordMatch::All => search::hit(connection, word, needles)?,
        (_, Some(near)) => nearest::hit(connection, near)?,
        (None, None) => unreachable!("a document is in one of the lists"),
    };
    let similarity = fused.near.map(|it| f64::from(it.similarity));
    let section_offset = fused.near.map(|it| it.start as u64);
    Ok(SearchHit { rank: -fused.score, similarity, section_offset, ..hit })
}
