//! What is seen of the write lock, what seeing it costs, and what it costs those who are watched.
//!
//! 1. A process that times its own holds of the write lock, against what was sampled of them.
//! 2. CPU time and memory of the console in a pseudo-terminal, beside htop in one of the same size at the same time.
//! 3. Commits of two processes that do nothing but write, watched and unwatched in turn.
//!
//! `cargo bench --bench locks`, or with the names of some of the three: `-- accuracy cost disturbance`

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::FileExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use portable_pty::CommandBuilder;
use waltop::{
    observe::Observer,
    snapshot::{SamplingFacts, WriteHolds},
    state::places::Places,
};

#[path = "support/clients.rs"]
mod clients;
#[path = "support/machine.rs"]
mod machine;
#[path = "support/program.rs"]
mod program;
#[path = "support/spread.rs"]
mod spread;
#[path = "../tests/all/support.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod support;

use clients::{HOLDS, PAUSE};
use machine::{Crowd, cast, processes};
use program::{COLUMNS, Program, ROWS};
use spread::{interval, rank};
use support::{Actor, WALTOP};

const CONNECTIONS: usize = 10;
const ROUNDS: usize = 3;
/// How long CPU time is counted, after a start that does not count.
const COUNTED: Duration = Duration::from_secs(20);
const START: Duration = Duration::from_secs(5);
const FOREIGN_LOCKS: usize = 1000;
/// How often, and for how long at a time, writers are watched and not watched.
const TURNS: usize = 240;
const TURN: Duration = Duration::from_millis(250);
/// In every so many watched turns there is a look, as there is one a second.
const LOOKS: usize = 4;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The clients are processes of this same program.
    if clients::run(&arguments)? {
        return Ok(());
    }
    // `cargo test --all-targets` runs this program too, unoptimised and without this argument.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing is measured but by cargo bench");
        return Ok(());
    }
    let parts = ["accuracy", "cost", "disturbance"];
    let is_named = |part: &str| arguments.iter().any(|argument| argument == part);
    let is_wanted = |part: &str| is_named(part) || !parts.iter().any(|part| is_named(part));
    if is_wanted("accuracy") {
        accuracy()?;
    }
    if is_wanted("disturbance") {
        disturbance()?;
    }
    if is_wanted("cost") {
        cost()?;
    }
    Ok(())
}

fn accuracy() -> Result<(), Failure> {
    println!(
        "{HOLDS} holds of 5 to 400 ms, {} ms apart, as their holder timed them and as sampled",
        PAUSE.as_millis()
    );
    println!(
        "{:<8}{:>8}{:>8}{:>12}{:>12}{:>12}{:>12}{:>10}{:>10}",
        "round", "held", "seen", "longest ms", "seen ms", "total ms", "seen ms", "every ms", "CPU %"
    );
    for round in 1..=ROUNDS {
        let home = tempfile::tempdir()?;
        let database = home.path().join("notes.db");
        let mut actor = Actor::open(&database);
        actor.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)");
        let mut observer = observer(home.path(), &database);
        observer.watch_locks();
        let mut holder = client(&["hold", &database.to_string_lossy()], true)?;
        let output = holder.0.stdout.take().ok_or("its output")?;
        let mut held = Vec::new();
        for line in BufReader::new(output).lines() {
            held.push(Duration::from_nanos(line?.parse()?));
        }
        holder.0.wait()?;
        let snapshot = observer.sample();
        let holds = snapshot.databases[0].locks.write_holds.clone().ok_or("nothing was sampled")?;
        tell_accuracy(round, &held, &holds, snapshot.sampling);
    }
    println!();
    Ok(())
}

fn tell_accuracy(round: usize, held: &[Duration], holds: &WriteHolds, sampling: Option<SamplingFacts>) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let longest = held.iter().copied().max().map_or(0.0, ms);
    let total: f64 = held.iter().copied().map(ms).sum();
    let seen: f64 = holds.by_process.iter().map(|part| part.total_ms).sum();
    #[expect(clippy::cast_precision_loss, reason = "some dozens")]
    let share = holds.count as f64 / held.len() as f64 * 100.0;
    let verdict = |holds: bool| if holds { "holds" } else { "fails" };
    let known = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |value| format!("{value:.2}"));
    println!(
        "{round:<8}{:>8}{:>8}{longest:>12.2}{:>12.2}{total:>12.1}{seen:>12.1}{:>10}{:>10}",
        held.len(),
        holds.count,
        holds.max_ms,
        known(sampling.and_then(|it| it.interval_ms)),
        known(sampling.and_then(|it| it.cpu_percent)),
    );
    println!(
        "        {share:.1} % of the holds seen (at least 99: {}), longest off by {:.2} ms (at most 2: {}), \
         total off by {:.2} % (at most 3: {})",
        verdict((99.0..=101.0).contains(&share)),
        (holds.max_ms - longest).abs(),
        verdict((holds.max_ms - longest).abs() <= 2.0),
        (seen - total).abs() / total * 100.0,
        verdict((seen - total).abs() <= total * 0.03),
    );
}

fn cost() -> Result<(), Failure> {
    let has_htop = Command::new("htop").arg("--version").output().is_ok();
    println!(
        "CPU time over {} s and resident memory, {COLUMNS}x{ROWS}, looks once a second; {}",
        COUNTED.as_secs(),
        if has_htop { "htop -d 10 beside it" } else { "htop is not installed" }
    );
    println!(
        "{:<40}{:>10}{:>10}{:>10}{:>8}{:>12}{:>12}",
        "", "processes", "waltop %", "htop %", "share", "waltop MB", "htop MB"
    );
    let crowd = Crowd::gather(600)?;
    cost_row("locks at rest", None, &[], has_htop)?;
    cost_row("a writer at work", Some("work"), &[], has_htop)?;
    cost_row("a writer at work, --no-sampling", Some("work"), &["--no-sampling"], has_htop)?;
    cost_row("20 writes a second, sampled", Some("trickle"), &["--trace", "off"], has_htop)?;
    if Path::new("/sys/kernel/tracing/instances").is_dir() {
        cost_row("20 writes a second, traced", Some("trickle"), &["--trace", "on"], has_htop)?;
    } else {
        println!("there is no tracefs at /sys/kernel/tracing: the trace is not measured");
    }
    {
        let _foreign = foreign_locks()?;
        cost_row(&format!("a writer, {FOREIGN_LOCKS} foreign locks"), Some("work"), &[], has_htop)?;
    }
    match Crowd::gather(5000) {
        Ok(_many) => {
            cost_row("locks at rest, many processes", None, &[], has_htop)?;
            cost_row("a writer at work, many processes", Some("work"), &[], has_htop)?;
        }
        Err(error) => println!("this machine gives no 5,000 processes: {error}"),
    }
    println!("({} processes were started to make 600)\n", crowd.len());
    Ok(())
}

fn cost_row(what: &str, writer: Option<&str>, options: &[&str], has_htop: bool) -> Result<(), Failure> {
    let home = tempfile::tempdir()?;
    let database = home.path().join("notes.db");
    let mut cast = cast(&database, CONNECTIONS - usize::from(writer.is_some()));
    cast[0].sql("COMMIT");
    let _writer = writer.map(|kind| client(&[kind, &database.to_string_lossy()], false)).transpose()?;
    let mut waltop = CommandBuilder::new(WALTOP);
    waltop.args(options);
    waltop.arg(&database);
    let mut watchers = vec![Program::start(waltop, home.path())?];
    if has_htop {
        let mut htop = CommandBuilder::new("htop");
        htop.args(["-d", "10"]);
        watchers.push(Program::start(htop, home.path())?);
    }
    thread::sleep(START);
    let began = Instant::now();
    let before = watchers.iter().map(Program::cpu).collect::<Result<Vec<_>, _>>()?;
    thread::sleep(COUNTED);
    let mut figures = Vec::new();
    for (watcher, before) in watchers.iter().zip(before) {
        let used = watcher.cpu()?.saturating_sub(before);
        figures.push((used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0, watcher.memory()?));
    }
    let (cpu, memory) = figures[0];
    print!("{what:<40}{:>10}{cpu:>10.2}", processes());
    match figures.get(1) {
        Some((theirs, their_memory)) => {
            println!("{theirs:>10.2}{:>8.2}{memory:>12.1}{their_memory:>12.1}", cpu / theirs);
        }
        None => println!("{:>10}{:>8}{memory:>12.1}{:>12}", "–", "–", "–"),
    }
    Ok(())
}

/// Processes that hold locks which are none of ours.
fn foreign_locks() -> Result<(tempfile::TempDir, Vec<Client>), Failure> {
    const EACH: usize = 250;
    let folder = tempfile::tempdir()?;
    let mut holders = Vec::new();
    for number in 0..FOREIGN_LOCKS / EACH {
        let files = folder.path().join(number.to_string());
        let mut holder = client(&["lock", &files.to_string_lossy(), &EACH.to_string()], true)?;
        // It says when it has them all.
        let mut said = [0];
        holder.0.stdout.as_mut().ok_or("its output")?.read_exact(&mut said)?;
        holders.push(holder);
    }
    Ok((folder, holders))
}

fn disturbance() -> Result<(), Failure> {
    let home = tempfile::tempdir()?;
    let database = home.path().join("notes.db");
    let mut actor = Actor::open(&database);
    actor.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)").sql("SELECT * FROM t");
    let index = fs::File::open(home.path().join("notes.db-shm"))?;
    let commits = || -> Result<u32, Failure> {
        let mut counter = [0; 4];
        index.read_exact_at(&mut counter, 8)?;
        Ok(u32::from_ne_bytes(counter))
    };
    let _writers = [
        client(&["loop", &database.to_string_lossy()], false)?,
        client(&["loop", &database.to_string_lossy()], false)?,
    ];
    thread::sleep(START);
    let (mut off, mut on) = (Vec::new(), Vec::new());
    let mut observer = observer(home.path(), &database);
    observer.watch_locks();
    observer.sample();
    for turn in 0..TURNS * 2 {
        // Off, on, on, off: what drifts falls on both alike.
        let is_watched = matches!(turn % 4, 1 | 2);
        observer.set_databases(if is_watched { vec![database.clone()] } else { Vec::new() });
        let (began, before) = (Instant::now(), commits()?);
        if is_watched && on.len() % LOOKS == 0 {
            observer.sample();
        }
        thread::sleep(TURN.saturating_sub(began.elapsed()));
        let rate = f64::from(commits()?.wrapping_sub(before)) / began.elapsed().as_secs_f64();
        if is_watched { on.push(rate) } else { off.push(rate) }
    }
    let pairs: Vec<f64> = off.iter().zip(&on).map(|(off, on)| (off - on) / off * 100.0).collect();
    println!(
        "two processes that do nothing but write: commits a second in {TURNS} turns of {} ms each",
        TURN.as_millis()
    );
    println!("{:<40}{:>12}{:>12}{:>12}", "", "unwatched", "watched", "loss %");
    for (what, percent) in [("lower quartile", 25), ("median", 50), ("upper quartile", 75)] {
        let (unwatched, watched) = (rank(&off, percent), rank(&on, percent));
        let loss = (unwatched - watched) / unwatched * 100.0;
        println!("{what:<40}{unwatched:>12.0}{watched:>12.0}{loss:>12.2}");
    }
    let (low, high) = interval(&pairs);
    println!(
        "{:<40}{:>36.2}, with 95 % confidence from {low:.2} to {high:.2} (bound: 1)\n",
        "median of the losses from turn to turn",
        rank(&pairs, 50),
    );
    Ok(())
}

fn observer(home: &Path, database: &Path) -> Observer {
    Observer::new(&Places::under(home), vec![database.to_owned()])
}

/// A process of this program. It ends with this value.
struct Client(Child);

fn client(arguments: &[&str], is_heard: bool) -> Result<Client, Failure> {
    let stdout = if is_heard { Stdio::piped() } else { Stdio::null() };
    let mut command = Command::new(std::env::current_exe()?);
    Ok(Client(command.arg("client").args(arguments).stdin(Stdio::null()).stdout(stdout).spawn()?))
}

impl Drop for Client {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
