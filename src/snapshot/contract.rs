//! The version of the JSON contract, and how an output includes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of every command's `--json` output. Within a version, fields and names are added; none changes its type,
/// and none is removed.
pub const CONTRACT_VERSION: u32 = 1;

/// An output object, with the version before its fields.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// The version of the JSON contract.
    #[schemars(extend("const" = CONTRACT_VERSION))]
    pub version: u32,
    #[serde(flatten)]
    pub answer: T,
}

impl<T> Versioned<T> {
    pub fn new(answer: T) -> Self {
        Self { version: CONTRACT_VERSION, answer }
    }
}
