//! The tests, in one binary.

mod database;
mod support;
