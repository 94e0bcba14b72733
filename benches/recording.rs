//! What long recordings cost: a recorder through a day and a week of a simulated clock, in the format as it is, and what
//! reads them.
//!
//! The recorder is the one of `waltop record`. Its samples are real ones of a database with ten connections, taken before
//! and repeated; its clock runs as fast as it can. A day has an hour with 200 holds a second, eight with 20, and rests
//! otherwise. Each step runs in a process of its own, which prints its peak memory.
//!
//! `cargo bench --bench recording`, or for a first impression with hours instead of days, `-- quick`

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use waltop::{
    config::Config,
    history::{LockHistory, LockOwner, SampledLock, TimeWindow},
    observe::Observer,
    recording::{
        PerfettoExport, PerfettoFormat, Recorder, RecorderHost, RecorderTick, Recording, RecordingSummary,
        Redaction, RetentionLimits, Stamp, WhoReport,
    },
    replay::{Replay, ReplayCommand},
    sampler::{Monitor, Sample},
    snapshot::Snapshot,
    state::places::Places,
};

#[path = "support/dice.rs"]
mod dice;
#[path = "support/machine.rs"]
#[expect(dead_code, reason = "other measurements gather a crowd")]
mod machine;
#[path = "../tests/all/support.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod support;

use dice::Dice;

/// Connections of the database.
const CONNECTIONS: usize = 10;
/// Samples that are taken in reality.
const SAMPLES: usize = 40;
const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;
/// Times to which a reader goes.
const SEEKS: usize = 20;
/// What a seek, and the memory of each step, are to stay below.
const SEEK: Duration = Duration::from_millis(200);
const MEMORY_MB: f64 = 64.0;

type Failure = Box<dyn std::error::Error>;

/// How many holds of the write lock there are in a second.
#[derive(Clone, Copy)]
enum Load {
    Rest,
    Busy,
    Mixed,
}

impl Load {
    fn holds(self, second: u32) -> u32 {
        match self {
            Self::Rest => 0,
            Self::Busy => 200,
            Self::Mixed => match second % DAY / HOUR {
                10 => 200,
                8..17 => 20,
                _ => u32::from(second.is_multiple_of(10)),
            },
        }
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["step", name, folder, seconds, ..] = words[..] {
        return step(name, Path::new(folder), seconds.parse()?);
    }
    // `cargo test --all-targets` runs this program too, unoptimised and without this argument.
    if !words.contains(&"--bench") {
        println!("nothing is measured but by cargo bench");
        return Ok(());
    }
    let unit = if words.contains(&"quick") { HOUR / 10 } else { DAY };
    let home = tempfile::tempdir()?;
    for (name, load, seconds) in
        [("at rest, an hour", "rest", HOUR), ("200 holds a second, an hour", "busy", HOUR)]
    {
        let folder = home.path().join(load);
        run(&format!("record-{load}"), &folder, seconds)?;
        println!("{name}: {:.2} MB on the disk", megabytes(size(&folder)?));
    }
    for (name, units) in [("a day", 1), ("a week", 7)] {
        let (folder, seconds) = (home.path().join(name), unit * units);
        println!("\n{name}");
        run("record-mixed", &folder, seconds)?;
        println!("{:<24}{:.1} MB", "on the disk", megabytes(size(&folder)?));
        for step in ["open", "seek", "timeline", "who", "report", "export"] {
            run(step, &folder, seconds)?;
        }
    }
    Ok(())
}

/// Does a step in a process of its own.
fn run(name: &str, folder: &Path, seconds: u32) -> Result<(), Failure> {
    let mut command = Command::new(env::current_exe()?);
    let status = command.args(["step", name]).arg(folder).arg(seconds.to_string()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{name}: {status}").into()) }
}

/// A step; prints its time and its peak memory.
fn step(name: &str, folder: &Path, seconds: u32) -> Result<(), Failure> {
    let (from, to) = (start(), start() + SignedDuration::from_secs(seconds.into()));
    let began = Instant::now();
    let mut detail = String::new();
    match name {
        "record-rest" => record(folder, seconds, Load::Rest)?,
        "record-busy" => record(folder, seconds, Load::Busy)?,
        "record-mixed" => record(folder, seconds, Load::Mixed)?,
        "open" => {
            Recording::open(folder)?.span()?;
        }
        "seek" => detail = seek(folder, seconds)?,
        "timeline" => detail = timeline(folder, seconds)?,
        "who" => {
            let at = from + SignedDuration::from_secs((seconds * 3 / 7).into());
            let around = SignedDuration::from_secs(30);
            WhoReport::new(&Recording::open(folder)?, at, around, &[], Redaction::On)?;
        }
        "report" => {
            let summary = RecordingSummary::new(&Recording::open(folder)?, from, to, &[], Redaction::On)?;
            detail = format!("; {} holds", summary.databases.iter().map(|it| it.holds).sum::<u64>());
        }
        "export" => {
            let (redaction, format) = (Redaction::On, PerfettoFormat::Json);
            let export = PerfettoExport { from, to, redaction, format };
            let events = export.write(&Recording::open(folder)?, &mut io::sink())?;
            detail = format!("; {events} events");
        }
        _ => return Err("no such step".into()),
    }
    let (took, peak) = (began.elapsed(), memory("VmHWM")?);
    let is_within = if peak < MEMORY_MB { "" } else { " (over)" };
    println!("{name:<24}{:>10.1} ms, peak {peak:.1} MB{is_within}{detail}", took.as_secs_f64() * 1e3);
    Ok(())
}

fn start() -> Timestamp {
    Timestamp::from_second(1_796_000_000).unwrap_or_default()
}

/// Lets a replay go to random times, each until the sample of that moment is there.
fn seek(folder: &Path, seconds: u32) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (replay, mut output) = Replay::start(Recording::open(folder)?, None, 1.0)?;
    let mut dice = Dice(7);
    let mut longest = Duration::ZERO;
    for _ in 0..SEEKS {
        let second = i64::try_from(dice.below(u64::from(seconds)))?;
        let at = start() + SignedDuration::from_secs(second);
        let began = Instant::now();
        replay.order(ReplayCommand::GoTo(at));
        let is_there = |sample: &Option<Arc<Sample>>| {
            sample.as_ref().and_then(|it| it.replay.as_ref()).is_some_and(|moment| moment.at == at)
        };
        let sample = runtime.block_on(output.samples.wait_for(is_there))?.clone();
        longest = longest.max(began.elapsed());
        if sample.is_none_or(|it| it.snapshot.databases.is_empty()) {
            return Err(format!("nothing was sampled at {at}").into());
        }
    }
    let is_within = if longest < SEEK { "" } else { " (over)" };
    Ok(format!("; {SEEKS} seeks, the longest {:.1} ms{is_within}", longest.as_secs_f64() * 1e3))
}

/// Asks a replay for the timeline of all of it, and for that of its last hour.
fn timeline(folder: &Path, seconds: u32) -> Result<String, Failure> {
    let (replay, mut output) = Replay::start(Recording::open(folder)?, None, 1.0)?;
    let mut details = String::new();
    for seconds in [seconds, HOUR.min(seconds)] {
        let began = Instant::now();
        let window = TimeWindow { end: None, span: Duration::from_secs(seconds.into()) };
        replay.order(ReplayCommand::Timeline { index: 0, window });
        let answer = output.timelines.blocking_recv().ok_or("the replay ended")?;
        let holds = answer.timeline.map_or(0, |it| it.figures.count);
        let took = began.elapsed().as_secs_f64() * 1e3;
        details.push_str(&format!("; {seconds} s with {holds} holds in {took:.1} ms"));
    }
    Ok(details)
}

/// Records so many seconds, and prints the memory after each seventh.
fn record(folder: &Path, seconds: u32, load: Load) -> Result<(), Failure> {
    let samples = samples()?;
    let host =
        RecorderHost { boot_id: "simulated".to_owned(), pid_namespace: None, every: Duration::from_secs(1) };
    let limits = RetentionLimits { keep: Duration::from_hours(24 * 36_500), max_size: 1 << 40, min_free: 1 };
    let mut recorder = Recorder::start(folder, limits, host)?;
    let (history, instant) = (Arc::new(Mutex::new(LockHistory::default())), Instant::now());
    locked(&history).sampling_began(instant);
    let owners: Vec<_> = (0..CONNECTIONS).map(|number| owner(&samples[0], number)).collect();
    let stamp = |second: u32| Stamp {
        at: start() + SignedDuration::from_secs(second.into()),
        boot_ms: 1e6 + f64::from(second) * 1e3,
    };
    let mut resident = Vec::new();
    for second in 0..seconds {
        let count = load.holds(second);
        for number in 0..count {
            let began =
                instant + Duration::from_secs(second.into()) + Duration::from_secs(1) * number / count;
            let who = Arc::clone(&owners[(second + number) as usize % CONNECTIONS]);
            let mut history = locked(&history);
            history.open(SampledLock::Write, began, who);
            history.close(SampledLock::Write, began + Duration::from_millis(3));
        }
        let mut snapshot = samples[second as usize % samples.len()].clone();
        snapshot.taken_at = stamp(second + 1).at;
        let instant = instant + Duration::from_secs(u64::from(second) + 1);
        let now = RecorderTick { stamp: stamp(second + 1), instant, slept: Duration::ZERO };
        recorder.tick_at(now, &snapshot, std::slice::from_ref(&history));
        if let Some(trouble) = recorder.state().trouble {
            return Err(trouble.into());
        }
        if (second + 1) % (seconds / 7).max(1) == 0 {
            resident.push(format!("{:.1}", memory("VmRSS")?));
        }
    }
    recorder.end_at(stamp(seconds + 1));
    println!("{:<24}{} MB", "resident", resident.join(", "));
    Ok(())
}

fn locked(history: &Mutex<LockHistory>) -> std::sync::MutexGuard<'_, LockHistory> {
    history.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn owner(snapshot: &Snapshot, number: usize) -> Arc<LockOwner> {
    let processes = &snapshot.databases[0].processes;
    let process = &processes[number % processes.len()];
    Arc::new(LockOwner {
        pid: Some(process.pid),
        start_ticks: process.start_ticks,
        name: process.label.clone(),
        ..LockOwner::default()
    })
}

/// Real samples of a database in use.
fn samples() -> Result<Vec<Snapshot>, Failure> {
    let home = tempfile::tempdir()?;
    let database = home.path().join("notes.db");
    let _cast = machine::cast(&database, CONNECTIONS);
    let config = Config::new(Places::under(home.path()));
    let mut monitor = Monitor::new(Observer::new(&config.places, vec![database]), config);
    Ok((0..SAMPLES).map(|_| monitor.sample().snapshot.clone()).collect())
}

/// A line of `/proc/self/status` in MB.
fn memory(name: &str) -> Result<f64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib: f64 = line.ok_or("no memory")?.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1.024 / 1000.0)
}

fn size(folder: &Path) -> io::Result<u64> {
    let files: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|file| file.path()).collect();
    files.iter().map(|path| Ok(path.metadata()?.len())).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a size is printed")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
