//! The options for embedding documents and queries.

use std::{num::NonZeroUsize, sync::Arc};

use super::from_one;
use crate::{
    config::{EMBED_MODEL, EmbedEndpoint, SearchSettings},
    ingest::embed::{
        self, CALLS, CHARS, EmbedOptions, EmbedRefusal, ExistingVectors, QUERY_LIMIT, http::HttpEmbedder,
    },
};

/// How to embed documents after they are ingested; without `--embed` they are not embedded.
#[derive(Debug, Clone, clap::Args)]
pub struct EmbedArgs {
    /// Embed the documents with the embeddings API at URL, as in `http://127.0.0.1:11434/v1`.
    #[arg(long, value_name = "URL")]
    embed: Option<EmbedEndpoint>,
    /// The model to request; each model has its own vectors.
    #[arg(long, value_name = "NAME", default_value = EMBED_MODEL, requires = "embed")]
    embed_model: String,
    /// Documents that are sent to the API at a time, at most 256.
    #[arg(long, value_name = "N", default_value_t = CALLS, value_parser = from_one, requires = "embed")]
    embed_calls: NonZeroUsize,
    /// Cut documents into sections of at most this many characters; each has a vector.
    #[arg(long, value_name = "N", default_value_t = CHARS, value_parser = from_one, requires = "embed")]
    embed_chars: NonZeroUsize,
    /// Delete the vectors of the model first, and make all of them again.
    #[arg(long, requires = "embed")]
    embed_anew: bool,
    /// Link each document to its 8 nearest with at least this cosine similarity, as in 0.8.
    #[arg(long, value_name = "T", value_parser = parse_similarity, requires = "embed", allow_negative_numbers = true)]
    neighbours: Option<f32>,
}

/// The most documents that are with the API at a time: each has a thread.
const MOST_CALLS: usize = 256;

impl EmbedArgs {
    /// The options for an ingestion; `None` without `--embed`.
    #[must_use]
    pub fn options(self) -> Option<EmbedOptions> {
        let Self { embed, embed_model, embed_calls, embed_chars, embed_anew, neighbours } = self;
        let embedder = Arc::new(HttpEmbedder::new(embed?, &embed_model));
        Some(EmbedOptions {
            calls: embed_calls.min(NonZeroUsize::new(MOST_CALLS).unwrap_or(CALLS)),
            chars: embed_chars,
            neighbours,
            have: if embed_anew { ExistingVectors::Discarded } else { ExistingVectors::Kept },
            ..EmbedOptions::new(embedder, &embed_model)
        })
    }
}

/// Whether the meaning of a query is searched, and how it gets its vector.
#[derive(Debug, Clone, clap::Args)]
pub struct QueryArgs {
    /// Search by words alone, whatever the settings say.
    #[arg(long, conflicts_with_all = ["semantic", "embed", "embed_model"])]
    words: bool,
    /// Search by meaning alone, with the vectors from `waltop ingest --embed`.
    #[arg(long)]
    semantic: bool,
    /// The embeddings API for the query, as in `http://127.0.0.1:11434/v1`; default: the one in the settings. With it, a
    /// search is by words and by meaning.
    #[arg(long, value_name = "URL")]
    embed: Option<EmbedEndpoint>,
    /// The model whose vectors are searched; default: the one in the settings, else nomic-embed-text.
    #[arg(long, value_name = "NAME")]
    embed_model: Option<String>,
}

/// How a search finds documents.
#[derive(Debug)]
pub enum SearchWay {
    Words,
    Meaning(QueryEmbedder),
    Both(QueryEmbedder),
}

/// The API for the vector of a query.
#[derive(Debug)]
pub struct QueryEmbedder {
    endpoint: EmbedEndpoint,
    pub model: String,
    /// Whether the command line names it.
    pub is_named: bool,
}

impl QueryArgs {
    /// # Errors
    ///
    /// Meaning is asked for, and there is no API.
    pub fn way(&self, settings: &SearchSettings) -> anyhow::Result<SearchWay> {
        let Some(endpoint) = self.embed.clone().or_else(|| settings.embed.clone()) else {
            if self.semantic || self.embed_model.is_some() {
                anyhow::bail!(
                    "give the embeddings API with --embed URL, or as `embed` below [search] in the settings"
                );
            }
            return Ok(SearchWay::Words);
        };
        let model = self.embed_model.clone().unwrap_or_else(|| settings.embed_model.clone());
        let embedder = QueryEmbedder { endpoint, model, is_named: self.embed.is_some() };
        Ok(match (self.words, self.semantic) {
            (true, _) => SearchWay::Words,
            (_, true) => SearchWay::Meaning(embedder),
            _ => SearchWay::Both(embedder),
        })
    }
}

impl QueryEmbedder {
    /// The vector of `query`, with retries.
    ///
    /// # Errors
    ///
    /// The API returns none.
    pub fn vector(&self, query: &str) -> anyhow::Result<Vec<f32>> {
        let embedder = Arc::new(HttpEmbedder::new(self.endpoint.clone(), &self.model));
        embed::vector_of(&EmbedOptions::new(embedder, &self.model), query)
            .map_err(|refusal| anyhow::anyhow!("the query cannot be embedded: {refusal}"))
    }

    /// The vector of `query`, if the API gives it within [`QUERY_LIMIT`].
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn vector_at_once(&self, query: &str) -> Result<Vec<f32>, EmbedRefusal> {
        let embedder = HttpEmbedder::within(QUERY_LIMIT, self.endpoint.clone(), &self.model);
        embed::vector_at_once(&embedder, query)
    }
}

fn parse_similarity(text: &str) -> Result<f32, String> {
    let no = || format!("`{text}` is no cosine: give a number above 0 and at most 1, as in 0.8");
    let cosine: f32 = text.parse().map_err(|_| no())?;
    if cosine > 0.0 && cosine <= 1.0 { Ok(cosine) } else { Err(no()) }
}
