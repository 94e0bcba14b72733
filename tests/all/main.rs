//! The tests, in one binary.

mod act;
mod commands;
mod database;
mod diagnose;
mod fake_proc;
mod findings;
mod ingest;
mod ingestions;
mod layers;
mod namespace;
mod observe;
mod overview;
mod pty;
mod python;
mod readme;
mod reap;
mod schedule;
mod screens;
mod settings;
mod stage;
mod stale;
mod support;
mod terminal;
mod timeline;
