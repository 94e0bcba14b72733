//! The one door to `SQLite`, open in worker processes only.

pub mod actor;
pub mod factory;
