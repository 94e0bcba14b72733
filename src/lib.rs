//! waltop: which process holds the lock of a shared `SQLite` database, since when, and what to do about it.

pub mod cli;
pub mod config;
pub mod database;
pub mod diagnose;
pub mod history;
pub mod ingest;
pub mod journal;
pub mod observe;
pub mod profile;
pub mod snapshot;
pub mod text;
pub mod units;
