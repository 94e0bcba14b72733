//! What it costs to watch twelve databases instead of one, with the same sixty processes around them.
//!
//! The optimised program runs in a pseudo-terminal on one database and on twelve in turn, for several rounds, and its CPU
//! time and memory are taken. The sixty processes either have every database open, or five of them each; once all of
//! them rest, and once somebody writes to the first database.
//!
//! `cargo bench --bench many`, or for a first impression, `-- quick`

use std::{
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use portable_pty::CommandBuilder;
use rusqlite::Connection;
use waltop::database::actor;

#[path = "support/program.rs"]
mod program;
#[path = "../tests/all/support.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod support;

use program::{COLUMNS, Program, ROWS};
use support::WALTOP;

const DATABASES: usize = 12;
const PROCESSES: usize = 60;
/// The cost of twelve is to stay below that many times the cost of one.
const BOUND: f64 = 12.0;
/// A writer at work holds the lock this long, this often.
const HOLD: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(15);

type Failure = Box<dyn std::error::Error>;

/// How long is measured.
struct Effort {
    rounds: usize,
    /// A start that does not count.
    start: Duration,
    counted: Duration,
}

const WHOLE: Effort = Effort { rounds: 5, start: Duration::from_secs(5), counted: Duration::from_secs(20) };
const QUICK: Effort = Effort { rounds: 1, start: Duration::from_secs(3), counted: Duration::from_secs(5) };

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The clients are processes of this same program.
    match arguments.split_first() {
        Some((first, paths)) if first == "hold" => return hold(paths),
        Some((first, paths)) if first == "work" => return work(&paths[0]),
        _ => {}
    }
    // `cargo test --all-targets` runs this program too, unoptimised and without this argument.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing is measured but by cargo bench");
        return Ok(());
    }
    let effort = if arguments.iter().any(|argument| argument == "quick") { QUICK } else { WHOLE };
    println!(
        "the console on 1 and on {DATABASES} databases, {PROCESSES} processes, {COLUMNS}x{ROWS}, looks once a second; \
         medians of {} rounds of {} s",
        effort.rounds,
        effort.counted.as_secs()
    );
    println!("{:<44}{:>8}{:>8}{:>8}{:>10}{:>10}", "", "1: CPU %", "12: %", "ratio", "1: MB", "12: MB");
    compare("each process has all of them open, at rest", Spread::All, false, &effort)?;
    compare("each process has all of them open, a writer", Spread::All, true, &effort)?;
    compare("five processes to a database, at rest", Spread::Few, false, &effort)?;
    compare("five processes to a database, a writer", Spread::Few, true, &effort)?;
    Ok(())
}

/// Who has what open, of several databases.
#[derive(Clone, Copy)]
enum Spread {
    All,
    Few,
}

fn compare(what: &str, spread: Spread, works: bool, effort: &Effort) -> Result<(), Failure> {
    let (mut one, mut many) = (Vec::new(), Vec::new());
    // In turn, so that what drifts falls on both alike.
    for _ in 0..effort.rounds {
        one.push(cost(1, spread, works, effort)?);
        many.push(cost(DATABASES, spread, works, effort)?);
    }
    let median = |figures: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
        let mut figures: Vec<f64> = figures.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let (cpu, memory) = (|it: &(f64, f64)| it.0, |it: &(f64, f64)| it.1);
    let ratio = median(&many, cpu) / median(&one, cpu);
    println!(
        "{what:<44}{:>8.2}{:>8.2}{ratio:>8.2}{:>10.1}{:>10.1}  (bound {BOUND}: {})",
        median(&one, cpu),
        median(&many, cpu),
        median(&one, memory),
        median(&many, memory),
        if ratio < BOUND { "holds" } else { "over" },
    );
    Ok(())
}

/// CPU time in percent of a processor, and resident memory in MB, of a console on `count` databases.
fn cost(count: usize, spread: Spread, works: bool, effort: &Effort) -> Result<(f64, f64), Failure> {
    let home = tempfile::tempdir()?;
    let databases: Vec<PathBuf> = (0..count).map(|number| home.path().join(format!("{number}.db"))).collect();
    for path in &databases {
        let connection = Connection::open(path)?;
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)")?;
    }
    let holder = |number: usize| match spread {
        Spread::All => Client::holding(&databases),
        Spread::Few => Client::holding(&databases[number % count..=number % count]),
    };
    let _holders = (0..PROCESSES).map(holder).collect::<Result<Vec<_>, _>>()?;
    let _writer = if works { Some(Client::start("work", &databases[..1])?) } else { None };
    // As it opens: with the panels of one, or with the overview of twelve.
    let mut command = CommandBuilder::new(WALTOP);
    command.args(&databases);
    let console = Program::start(command, home.path())?;
    thread::sleep(effort.start);
    let (began, before) = (Instant::now(), console.cpu()?);
    thread::sleep(effort.counted);
    let used = console.cpu()?.saturating_sub(before);
    Ok((used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0, console.memory()?))
}

/// Has each of `paths` open, with all of its files, and does nothing.
fn hold(paths: &[String]) -> Result<(), Failure> {
    actor::end_with_parent()?;
    let mut connections = Vec::new();
    for path in paths {
        let connection = Connection::open(path)?;
        connection.query_row("SELECT count(*) FROM t", [], |_| Ok(()))?;
        connections.push(connection);
    }
    println!("ready");
    loop {
        thread::park();
    }
}

/// Writes now and then, for ever.
fn work(path: &str) -> Result<(), Failure> {
    actor::end_with_parent()?;
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    println!("ready");
    loop {
        connection.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)")?;
        thread::sleep(HOLD);
        connection.execute_batch("COMMIT")?;
        thread::sleep(PAUSE);
    }
}

/// A process of this program. It ends with its value.
struct Client(Child);

impl Client {
    fn holding(paths: &[PathBuf]) -> Result<Self, Failure> {
        Self::start("hold", paths)
    }

    /// Starts it, and waits until it has everything open.
    fn start(what: &str, paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(what).args(paths).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut client = Self(command.spawn()?);
        let mut said = [0];
        client.0.stdout.as_mut().ok_or("its output")?.read_exact(&mut said)?;
        Ok(client)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
