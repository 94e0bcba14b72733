//! What embedding costs beside the embedder: 556 documents, a server that takes 100 ms a call, and 8 calls at a time. One
//! text a call, as waltop always does: so 556 * 100 ms / 8 is the least that it can take.
//!
//! `cargo bench --bench embed`. Prints how long the run took against that, how long a search by meaning takes then, and
//! for how much of the time the write lock was held.

use std::{
    env,
    process::{Command, Stdio},
    sync::{PoisonError, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use waltop::ingest::RunSummary;

#[path = "support/corpus.rs"]
mod corpus;
#[path = "../tests/all/embed/server.rs"]
mod server;

const WALTOP: &str = env!("CARGO_BIN_EXE_waltop");
const DOCUMENTS: u32 = 556;
const CALL: Duration = Duration::from_millis(100);
const CALLS: u32 = 8;
const DIMENSION: usize = 768;
const ROUNDS: usize = 3;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // `cargo test --all-targets` runs this program too, unoptimised and without this argument.
    if !env::args().any(|argument| argument == "--bench") {
        println!("nothing is measured but by cargo bench");
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    corpus::write(&home.path().join("notes"), usize::try_from(DOCUMENTS)?)?;
    let ideal = CALL.as_secs_f64() * f64::from(DOCUMENTS.div_ceil(CALLS));
    println!("{DOCUMENTS} documents, {CALL:?} a call, {CALLS} calls at a time; {ROUNDS} rounds");
    for round in 1..=ROUNDS {
        let server = server::Server::start();
        server.state.dimension.store(DIMENSION, SeqCst);
        *server.state.delay.lock().unwrap_or_else(PoisonError::into_inner) = CALL;
        let database = format!("{round}.db");
        let begun = Instant::now();
        let output = waltop(home.path())
            .args(["ingest", "notes", "--json", "--db", &database, "--embed", &server.url()])
            .output()?;
        let took = begun.elapsed().as_secs_f64();
        let summary: RunSummary = serde_json::from_slice(&output.stdout)?;
        let Some(embedding) = summary.embedding else { return Err("nothing was embedded".into()) };
        if embedding.embedded != u64::from(DOCUMENTS)
            || server.seen() != usize::try_from(DOCUMENTS)?
            || server.state.most_in_flight.load(SeqCst) != 8
        {
            return Err(format!("not as it should be: {embedding:?}").into());
        }
        println!("round {round}");
        println!(
            "  documents in and found by words after {:>7.0} ms",
            summary.elapsed_ms - embedding.elapsed_ms
        );
        bound("whole run, of what the server needs at the least", took / ideal, 1.1, "x");
        bound(
            "lock held, of the time in which was embedded",
            embedding.held_ms / embedding.elapsed_ms * 100.0,
            1.0,
            "%",
        );
        // The holds of the documents' own batches come on top; they are the same without an embedder.
        let hold = summary.hold.ok_or("no batch")?;
        println!(
            "  holds of the whole run: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            hold.p50, hold.p99, hold.max
        );
        *server.state.delay.lock().unwrap_or_else(PoisonError::into_inner) = Duration::ZERO;
        let begun = Instant::now();
        let found = waltop(home.path())
            .args(["search", "--db", &database, "--json", "--semantic", "--embed", &server.url(), "word"])
            .output()?;
        if !found.status.success() {
            return Err(String::from_utf8_lossy(&found.stderr).into_owned().into());
        }
        println!("  search by meaning, as a process: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}

fn waltop(home: &std::path::Path) -> Command {
    let mut command = Command::new(WALTOP);
    command
        .current_dir(home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_DATA_HOME", home.join("data"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    command
}

fn bound(what: &str, value: f64, most: f64, unit: &str) {
    let verdict = if value <= most { "holds" } else { "over" };
    println!("  {what:<50} {value:>7.2} {unit} (at most {most} {unit}: {verdict})");
}
