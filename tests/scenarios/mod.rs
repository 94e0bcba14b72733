//! Five field reports re-enacted: each one first lost as it was lost there, by programs of the old way, and then won.
//!
//! `cargo test scenarios` holds both to what every machine shows. `cargo bench --bench reports` plays the same scenes
//! with the optimised program and prints what came out.

pub mod amalfa;
pub mod amalfa_connections;
pub mod cast;
#[path = "../../benches/support/corpus.rs"]
mod corpus;
pub mod haios;
pub mod huey;
pub mod recorded;
pub mod skillmeat;
