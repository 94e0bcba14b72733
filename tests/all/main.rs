//! The tests, in one binary.

mod database;
mod fake_proc;
mod ingest;
mod layers;
mod observe;
mod pty;
mod readme;
mod screens;
mod stage;
mod support;
mod terminal;
