//! waltop: which process holds the lock of a shared SQLite database, since when, and what to do about it.
//!
//! The screen, and the module behind each region:
//!
//! ```text
//!  waltop notes.db  WAL 78.2 MB ▲1.20 MB/s  writer holder.py 71201 …       console/view/header
//! ╭ 1 Findings ──────────────────────────────────────────────────────────╮
//! │ diagnose/ ─▶ snapshot/finding ─▶ console/app/findings                │
//! ╰──────────────────────────────────────────────────────────────────────╯
//! ╭ 2 Locks and processes ──────────────╮╭ 3 Files ──────────────────────╮
//! │ observe/processes, proc, activity   ││ observe/files, header         │
//! │ observe/lock_table, locks           ││ observe/wal, wal_index        │
//! │ observe/lock_sampler, trace         │╰───────────────────────────────╯
//! │ history (the last minute)           │╭ 4 Pragmas ────────────────────╮
//! │ console/app/rows, process_columns   ││ diagnose/compliance           │
//! │                                     ││ database/pragmas (in a worker)│
//! │                                     │╰───────────────────────────────╯
//! │                                     │╭ 5 Ingestion ──────────────────╮
//! │                                     ││ ingest/ ─▶ state/journal      │
//! │                                     ││         ─▶ observe/journals   │
//! │                                     │╰───────────────────────────────╯
//! │                                     │╭ 6 Log ────────────────────────╮
//! │                                     ││ act/ and its outcomes         │
//! ╰─────────────────────────────────────╯╰───────────────────────────────╯
//!  i ingest  c checkpoint  x stop …           keymap; console/dialogs opens over the panels
//! ```
//!
//! How a byte of `/proc` becomes a cell of the screen, and a key an effect:
//!
//! ```text
//!             observe                         decide                     present
//! kernel ───▶ observe/ ─▶ snapshot ─▶ diagnose/ ─▶ findings ─┬─▶ console/ (app ─▶ view) ─▶ terminal
//! files ────▶    ╰──────── sampler (a named thread) ─────────┴─▶ report (text, JSON)    ─▶ stdout
//! journals ─▶
//!
//! keys ─▶ console/app ─▶ Effect ─▶ act/ ─┬─▶ signal (pidfd)
//!                                        ╰─▶ worker: waltop checkpoint, fix, health, ingest, pragmas, search
//! worker process: cli/ ─▶ database/ (the only SQLite connections) ◀─ ingest/
//! worker process: cli/ ─▶ rescue/ (raw copies under a reader's locks) ─▶ closed ─▶ database/ (opens the copy)
//!
//! MCP client ─▶ mcp/ (holds nothing open) ─▶ worker: waltop status, check, search, read … ─▶ JSON ─▶ MCP client
//!
//! snapshots and holds ─▶ recording/ (after each sample) ─▶ who, report, export: text, JSON, HTML, a trace
//!                                                      ├─▶ replay/ (a named thread) ─▶ console/
//!                                                      ╰─▶ cli/stream ─▶ ssh ─▶ remote/ (a thread a host) ─▶ console/
//! snapshots and holds ─▶ metrics/ (after each sample) ─▶ stdout, a file, or serve/ (a named thread) ─▶ HTTP
//! ```
//!
//! Three walks (`docs/architecture.md` explains the modules):
//!
//! - `/proc/locks` ─▶ `observe/lock_table/row` (parses a row) ─▶ `observe/locks` (which SQLite lock it is) ─▶ `snapshot`
//!   ─▶ `console/app/rows` ─▶ `console/view/processes`.
//! - `x` (bound in `keymap/table`) ─▶ `console/runtime` ─▶ `app/keys` ─▶ `app/asking` (may it?) ─▶ `app/stopping` ─▶
//!   `Effect::Pin` ─▶ `act/executor` ─▶ `act/signal/pinned` (opens the pidfd). Then `dialogs/stop`, or `tagged` for
//!   several (text, `confirm`) ─▶ `app/stopping/recheck` ─▶ `act/gate` ─▶ `Effect::Act` ─▶ `act/executor` ─▶ `act/reap`
//!   (of `x` and `X`) ─▶ `act/signal/pinned` (sends). `dialogs/kill` asks about a process that is
//!   still there after the grace period.
//! - A finding is a kind in `snapshot/finding`, a `Rule` in a family of `diagnose/`, a page in `assets/findings`, an
//!   example in `golden/findings`, and a test in `tests/all/diagnose`. `.github/CONTRIBUTING.md` has the recipe.
//!
//! Invariants; `tests/all/layers.rs` and `tests/all/pty.rs` check most of them:
//!
//! - The graph of rooms (top-level modules) is acyclic: a test computes it from the `crate::` paths of all files.
//! - The console process never opens a SQLite connection.
//! - Only `observe/proc` names the files of `/proc/PID`; `state/folder` reads its own `uid_map`.
//! - A process that has a connection never closes a raw descriptor on the main file or `-shm`: closing any descriptor
//!   on a file drops every POSIX lock that the process has on it. Workers observe first, close everything, then connect;
//!   what one opens on `-shm` after that stays open until it ends (`observe/lock_probe`).
//! - Data flows one way. `view` only reads `&App`: no I/O, no clock, no log. `app` does no I/O and reads no clock;
//!   `observe` knows no screen and no SQL; `diagnose` is pure.
//! - The sampler is a named thread that publishes whole samples; the latest wins and no queue grows.
//! - What waltop cannot see is a value, `Unseen { what, why }`, never 0.
//! - Every effect is a value first. What changes anything outside of the console is confirmed, carried out in `act`, and
//!   logged with its outcome.

// `println!` panics where the terminal is gone; `writeln!` returns the error.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod act;
mod bounded;
pub mod cli;
mod clock;
pub mod config;
pub mod console;
pub mod database;
pub mod demo;
pub mod diagnose;
pub mod endings;
mod file_format;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod fuzz_edits;
#[cfg(test)]
mod golden;
pub mod history;
pub mod hosts;
pub mod ingest;
pub mod json;
pub mod keymap;
pub mod mcp;
pub mod metrics;
pub mod observe;
pub mod paths;
pub mod recording;
pub mod remote;
pub mod replay;
pub mod report;
pub mod rescue;
pub mod sampler;
pub mod serve;
pub mod snapshot;
pub mod state;
pub mod text;
pub mod threads;
pub mod units;
