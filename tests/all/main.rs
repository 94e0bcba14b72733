//! The tests, in one binary.

mod absence;
mod act;
mod activity;
mod alerts;
mod attribution;
mod commands;
mod contract;
mod database;
mod diagnose;
mod documents;
mod embed;
mod exec;
mod fake_proc;
mod findings;
mod foreign_home;
mod habits;
mod hangup;
mod ingest;
mod ingestions;
mod layers;
mod limits;
mod log_file;
mod mcp;
mod namespace;
mod observe;
mod overview;
mod pragmas;
mod pty;
mod python;

mod reap;
mod remote;
mod replay;
#[path = "../scenarios/mod.rs"]
#[expect(dead_code, reason = "the measurement tells of the rest")]
mod scenarios;
mod schedule;
mod screens;
mod settings;
mod stage;
mod stale;
mod support;
mod terminal;
mod timeline;
mod traced;
mod waiters;
mod watch;
