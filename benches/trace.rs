//! How exact the kernel's trace of lock requests is, and what it costs the processes that take locks.
//!
//! 1. Processes that time their own holds of the write lock, against the same holds in the trace.
//! 2. Write transactions with the trace, with sampling and with neither, in turn: of the watched database, of another
//!    one, and the locks of a program that has nothing to do with SQLite.
//!
//! It needs root and a tracefs at `/sys/kernel/tracing`:
//! `cargo bench --bench trace`, or with the name of one of the two: `-- exact cost`

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use waltop::{
    config::TraceMode, database::actor, history::TimeWindow, observe::Observer, state::places::Places,
};

#[path = "support/lockers.rs"]
mod lockers;
#[path = "support/spread.rs"]
mod spread;
#[path = "../tests/all/support.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod support;

use lockers::{OwnHold, monotonic};
use spread::{interval, rank};
use support::Actor;

type Failure = Box<dyn std::error::Error>;

/// How far apart the trace and a program may be, in microseconds.
const BOUND: f64 = 50.0;
/// A hold from this length on may not be missed, in microseconds.
const SHORTEST: f64 = 1000.0;
/// The trace has whole microseconds, and so have the start and the length of a hold.
const ROUNDING: f64 = 3.0;
/// Until the trace has started, and until it has shown the last request.
const SETTLE: Duration = Duration::from_millis(400);
/// How often each of the three is measured.
const ROUNDS: usize = 60;
const TRANSACTIONS: u32 = 3000;
const LOCKS: u32 = 20_000;

/// How processes hold the lock, one process for each database.
struct Shape {
    what: &'static str,
    client: &'static str,
    databases: usize,
    holds: u32,
    hold_us: u64,
    gap_us: u64,
}

/// The client that writes with SQLite.
const WRITER: &str = "write";

const SHAPES: [Shape; 4] = [
    Shape { what: "fcntl", client: "hold", databases: 1, holds: 2000, hold_us: 2000, gap_us: 8000 },
    Shape { what: "fcntl, no pause", client: "hold", databases: 1, holds: 10_000, hold_us: 1000, gap_us: 0 },
    Shape { what: "fcntl", client: "hold", databases: 4, holds: 3000, hold_us: 1500, gap_us: 2300 },
    Shape { what: "SQLite", client: WRITER, databases: 1, holds: 2000, hold_us: 2000, gap_us: 8000 },
];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The clients are processes of this same program.
    if arguments.first().is_some_and(|word| word == "client") {
        actor::end_with_parent()?;
        return lockers::client(&arguments[1..]);
    }
    // `cargo test --all-targets` runs this program too, unoptimised and without this argument.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing is measured but by cargo bench");
        return Ok(());
    }
    let is_named = |part: &str| arguments.iter().any(|argument| argument == part);
    let is_all = !is_named("exact") && !is_named("cost");
    if is_all || is_named("exact") {
        exact()?;
    }
    if is_all || is_named("cost") {
        cost()?;
    }
    Ok(())
}

/// One hold of the trace, in microseconds: its start on the same clock, and its length.
type TracedHold = (f64, f64);

fn exact() -> Result<(), Failure> {
    println!(
        "Holds of the write lock as their process timed them and as traced; differences of lengths in µs"
    );
    println!(
        "{:<18}{:>4}{:>9}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>9}{:>9}",
        "", "DBs", "holds/s", ">=1 ms", "seen", "missed", "p50", "p99", "max", "over 50", "outside"
    );
    for shape in &SHAPES {
        let home = tempfile::tempdir()?;
        let paths: Vec<PathBuf> =
            (0..shape.databases).map(|number| home.path().join(format!("{number}.db"))).collect();
        let mut actors: Vec<Actor> = paths.iter().map(|path| Actor::open(path)).collect();
        for actor in &mut actors {
            actor.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)");
        }
        let mut observer = Observer::new(&Places::under(home.path()), paths.clone());
        if let Some(why) = observer.trace_locks(TraceMode::On) {
            return Err(why.into());
        }
        thread::sleep(SETTLE);
        let began = Instant::now();
        let orders = [shape.holds.to_string(), shape.hold_us.to_string(), shape.gap_us.to_string()];
        let clients: Vec<Client> = paths
            .iter()
            .map(|path| {
                Client::start(&[shape.client, &path.to_string_lossy(), &orders[0], &orders[1], &orders[2]])
            })
            .collect::<Result<_, _>>()?;
        let own: Vec<Vec<OwnHold>> = clients.into_iter().map(Client::holds).collect::<Result<_, _>>()?;
        let took = began.elapsed();
        thread::sleep(SETTLE);
        let mut differences = Differences::default();
        for (index, own) in own.iter().enumerate() {
            let traced = traced(&observer, index, began);
            for hold in own {
                differences.add(hold, &traced);
            }
        }
        differences.print(shape, took);
    }
    println!("outside: beyond what lies between the beginning and the end of the program's own calls\n");
    Ok(())
}

/// The holds of the database at `index` since `from`, by their starts.
fn traced(observer: &Observer, index: usize, from: Instant) -> Vec<TracedHold> {
    // A timeline lists its 200 longest holds.
    const SPAN: Duration = Duration::from_millis(50);
    let histories = observer.histories();
    let history = histories[index].lock().expect("no thread has panicked");
    let now = (Instant::now(), jiff::Timestamp::now());
    let clocks = (Instant::now(), monotonic());
    let mut found = Vec::new();
    let mut end = from;
    while end < now.0 {
        end += SPAN;
        let timeline =
            history.timeline(TimeWindow { end: Some(end), span: SPAN }, now).expect("it is traced");
        let ago = clocks.0.saturating_duration_since(timeline.oldest);
        #[expect(clippy::cast_precision_loss, reason = "microseconds since the boot")]
        let origin = (clocks.1 - u64::try_from(ago.as_nanos()).unwrap_or(0)) as f64 / 1e3;
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a minute")]
        found.extend(timeline.holds.iter().map(|hold| (origin + hold.start as f64, hold.length_ms * 1e3)));
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}

#[derive(Default)]
struct Differences {
    holds: usize,
    long: usize,
    seen: usize,
    /// Between the traced length and that from the end of the request to the beginning of the release.
    from_own: Vec<f64>,
    outside: usize,
}

impl Differences {
    fn add(&mut self, own: &OwnHold, traced: &[TracedHold]) {
        #[expect(clippy::cast_precision_loss, reason = "microseconds since the boot")]
        let [asked, taken, done, released] = own.map(|at| at as f64 / 1e3);
        let (inner, outer) = (done - taken, released - asked);
        self.holds += 1;
        if inner < SHORTEST {
            return;
        }
        self.long += 1;
        let from = traced.partition_point(|hold| hold.0 < asked - ROUNDING);
        let Some((_, length)) = traced.get(from).filter(|hold| hold.0 <= taken + ROUNDING) else { return };
        self.seen += 1;
        self.from_own.push((length - inner).abs());
        self.outside += usize::from(*length < inner - ROUNDING || *length > outer + ROUNDING);
    }

    fn print(&self, shape: &Shape, took: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let rate = self.holds as f64 / took.as_secs_f64();
        let over = self.from_own.iter().filter(|difference| **difference > BOUND).count();
        // COMMIT writes before it releases the lock: only the beginning and the end of the calls are known.
        let differences = if shape.client == WRITER {
            format!("{:>8}{:>8}{:>8}{:>9}", "–", "–", "–", "–")
        } else {
            let [median, most, longest] = [50, 99, 100].map(|percent| rank(&self.from_own, percent));
            format!("{median:>8.1}{most:>8.1}{longest:>8.1}{over:>9}")
        };
        println!(
            "{:<18}{:>4}{rate:>9.0}{:>8}{:>8}{:>8}{differences}{:>9}",
            shape.what,
            shape.databases,
            self.long,
            self.seen,
            self.long - self.seen,
            self.outside,
        );
    }
}

#[derive(Debug, Clone, Copy)]
enum Watch {
    Nothing,
    Sampling,
    Trace,
}

fn cost() -> Result<(), Failure> {
    let home = tempfile::tempdir()?;
    let paths = ["watched.db", "other.db"].map(|name| home.path().join(name));
    let mut actors = paths.each_ref().map(|path| Actor::open(path));
    for actor in &mut actors {
        actor.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)").sql("SELECT * FROM t");
    }
    let file = home.path().join("file");
    let work: [(&str, &Path, u32); 3] =
        [("pairs", &paths[0], TRANSACTIONS), ("pairs", &paths[1], TRANSACTIONS), ("locks", &file, LOCKS)];
    let mut clients = Vec::new();
    for (what, path, count) in work {
        clients.push((Client::start(&[what, &path.to_string_lossy()])?, count));
    }
    // For each client: with nothing, and what sampling and the trace added in the same round.
    let mut figures = vec![[const { Vec::new() }; 3]; clients.len()];
    for round in 0..ROUNDS {
        let mut order = [Watch::Nothing, Watch::Sampling, Watch::Trace];
        order.rotate_left(round % 3);
        let mut taken = vec![[0.0; 3]; clients.len()];
        for watch in order {
            let _observer = watching(home.path(), &paths[0], watch)?;
            for ((client, count), taken) in clients.iter_mut().zip(&mut taken) {
                taken[watch as usize] = client.timed(*count)?;
            }
        }
        for (figures, [nothing, sampling, trace]) in figures.iter_mut().zip(taken) {
            figures[0].push(nothing);
            figures[1].push(sampling - nothing);
            figures[2].push(trace - nothing);
        }
    }
    println!(
        "Time of one transaction (BEGIN IMMEDIATE, ROLLBACK), or of one lock and its release, in µs, median of"
    );
    println!("{ROUNDS} rounds, and what was added to it in the same round, with 95 % confidence from – to");
    println!("{:<34}{:>9}{:>28}{:>28}", "", "nothing", "sampling adds", "the trace adds");
    let names =
        ["a write of the watched database", "a write of another database", "a lock of another program"];
    for (name, [nothing, sampling, trace]) in names.iter().zip(&figures) {
        let added = |values: &[f64]| {
            let (low, high) = interval(values);
            format!("{:.2} ({low:.2} – {high:.2})", rank(values, 50))
        };
        println!("{name:<34}{:>9.2}{:>28}{:>28}", rank(nothing, 50), added(sampling), added(trace));
    }
    Ok(())
}

fn watching(home: &Path, database: &Path, watch: Watch) -> Result<Option<Observer>, Failure> {
    let mut observer = Observer::new(&Places::under(home), vec![database.to_owned()]);
    match watch {
        Watch::Nothing => return Ok(None),
        Watch::Sampling => observer.watch_locks(),
        Watch::Trace => {
            if let Some(why) = observer.trace_locks(TraceMode::On) {
                return Err(why.into());
            }
        }
    }
    observer.sample();
    thread::sleep(Duration::from_millis(50));
    Ok(Some(observer))
}

/// A process of this program. It ends with this value.
struct Client {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    fn start(arguments: &[&str]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("client").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let orders = child.stdin.take().ok_or("its input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("its output")?);
        Ok(Self { child, orders, answers })
    }

    fn holds(mut self) -> Result<Vec<OwnHold>, Failure> {
        let mut holds = Vec::new();
        for line in self.answers.by_ref().lines() {
            let times: Vec<u64> = line?.split(' ').map(str::parse).collect::<Result<_, _>>()?;
            holds.push(times.try_into().map_err(|_| "four times")?);
        }
        Ok(holds)
    }

    /// How long it takes for one of `count`, in microseconds.
    fn timed(&mut self, count: u32) -> Result<f64, Failure> {
        writeln!(self.orders, "{count}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of less than a second")]
        let total = line.trim().parse::<u64>()? as f64;
        Ok(total / 1e3 / f64::from(count))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
