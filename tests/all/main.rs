//! The tests, in one binary.

mod database;
mod ingest;
mod support;
