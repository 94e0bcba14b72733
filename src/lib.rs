//! waltop: which process holds the lock of a shared `SQLite` database, since when, and what to do about it.

pub mod act;
pub mod cli;
pub mod config;
pub mod console;
pub mod database;
pub mod demo;
pub mod diagnose;
pub mod history;
pub mod ingest;
pub mod journal;
pub mod observe;
pub mod profile;
pub mod report;
pub mod sampler;
pub mod snapshot;
pub mod text;
pub mod units;
