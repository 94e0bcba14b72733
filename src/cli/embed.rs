//! The options for embedding documents and queries.

use std::{num::NonZeroUsize, sync::Arc};

use super::from_one;
use crate::ingest::embed::{
    self, CALLS, CHARS, EmbedOptions, ExistingVectors, MODEL,
    http::{EmbedEndpoint, HttpEmbedder},
};

/// How to embed documents after they are ingested; without `--embed` they are not embedded.
#[derive(Debug, Clone, clap::Args)]
pub struct EmbedArgs {
    /// Embed the documents with the embeddings API at URL, as in `http://127.0.0.1:11434/v1`.
    #[arg(long, value_name = "URL")]
    embed: Option<EmbedEndpoint>,
    /// The model to request; each model has its own vectors.
    #[arg(long, value_name = "NAME", default_value = MODEL, requires = "embed")]
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

/// How a query is embedded.
#[derive(Debug, Clone, clap::Args)]
pub struct QueryArgs {
    /// Search by meaning, with the vectors from `waltop ingest --embed`.
    #[arg(long, requires = "embed")]
    pub semantic: bool,
    /// The embeddings API for the query, as in `http://127.0.0.1:11434/v1`.
    #[arg(long, value_name = "URL", requires = "semantic")]
    embed: Option<EmbedEndpoint>,
    /// The model whose vectors are searched.
    #[arg(long, value_name = "NAME", default_value = MODEL, requires = "semantic")]
    pub embed_model: String,
}

impl QueryArgs {
    /// The vector of `query`.
    ///
    /// # Errors
    ///
    /// There is no address, or the API returns no vector.
    pub fn vector(&self, query: &str) -> anyhow::Result<Vec<f32>> {
        let Some(endpoint) = self.embed.clone() else { anyhow::bail!("--semantic needs --embed URL") };
        let embedder = Arc::new(HttpEmbedder::new(endpoint, &self.embed_model));
        embed::vector_of(&EmbedOptions::new(embedder, &self.embed_model), query)
            .map_err(|refusal| anyhow::anyhow!("the query cannot be embedded: {refusal}"))
    }
}

fn parse_similarity(text: &str) -> Result<f32, String> {
    let no = || format!("`{text}` is no cosine: give a number above 0 and at most 1, as in 0.8");
    let cosine: f32 = text.parse().map_err(|_| no())?;
    if cosine > 0.0 && cosine <= 1.0 { Ok(cosine) } else { Err(no()) }
}
