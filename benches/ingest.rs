//! What an ingestion costs: in time and memory, beside the least that any program must do, and for its neighbours.
//!
//! 1. The first index, one with nothing changed and one with ten documents changed, beside a yardstick of
//!    rows, full text and links in batches of ten, and beside sqlite-utils where Python has it. Whole processes, in
//!    turn; medians.
//! 2. How the time grows with the number of documents.
//! 3. A bystander that writes a row every 20 ms while documents are ingested.
//!
//! `cargo bench --bench ingest`. The documents are made up; `WALTOP_BENCH_FOLDERS` may name others, as a list of
//! paths with `:` between them.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use waltop::{database::busy::is_busy, ingest::RunSummary};

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/yardstick.rs"]
mod yardstick;

const WALTOP: &str = env!("CARGO_BIN_EXE_waltop");
const SIZES: [usize; 3] = [556, 5000, 20_000];
const ROUNDS: usize = 5;
/// From so many documents on, one round has to do.
const MANY: usize = 10_000;
const CHANGED: usize = 10;
/// How often the bystander writes.
const EVERY: Duration = Duration::from_millis(20);
/// How often a process is asked for its memory.
const LOOK: Duration = Duration::from_millis(2);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // These are processes of this same program.
        ["client", "index", folder, database] => yardstick::index(folder.as_ref(), database.as_ref()),
        ["client", "stat", folder] => yardstick::stat(folder.as_ref()),
        ["client", "bystander", database, end] => bystander(database.as_ref(), end.as_ref()),
        // `cargo test --all-targets` runs this program too, unoptimised and without this argument.
        _ if !arguments.iter().any(|argument| argument == "--bench") => {
            println!("nothing is measured but by cargo bench");
            Ok(())
        }
        _ => measure(),
    }
}

fn measure() -> Result<(), Failure> {
    let home = tempfile::tempdir()?;
    let folders = match env::var_os("WALTOP_BENCH_FOLDERS") {
        Some(named) => copies(&env::split_paths(&named).collect::<Vec<_>>(), home.path())?,
        None => made_up(home.path())?,
    };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_else(|_| "unknown".to_owned());
    println!("{ROUNDS} rounds in turn, medians; load {}", load.trim());
    let has_utils = run(python().args(["-c", "import sqlite_utils"])).is_ok();
    let mut pace = None;
    for folder in &folders {
        let bench = Bench { home: home.path(), folder, database: home.path().join("notes.db") };
        let (count, alone) = bench.table(has_utils)?;
        bench.beside_a_bystander(alone)?;
        let each = alone / count;
        if let Some(before) = pace.replace(each) {
            bound("time for each document, of that with fewer", each / before, 1.1, "x");
        }
        println!();
    }
    Ok(())
}

fn made_up(home: &Path) -> Result<Vec<PathBuf>, Failure> {
    let folder = |count: usize| -> Result<PathBuf, Failure> {
        let folder = home.join(format!("notes-{count}"));
        corpus::write(&folder, count)?;
        Ok(folder)
    };
    SIZES.into_iter().map(folder).collect()
}

/// Copies of the Markdown files in `folders`: they are changed here.
fn copies(folders: &[PathBuf], home: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut copies = Vec::new();
    for (number, folder) in folders.iter().enumerate() {
        let copy = home.join(format!("folder-{number}"));
        for file in yardstick::files(folder)? {
            let to = copy.join(file.strip_prefix(folder)?);
            fs::create_dir_all(to.parent().unwrap_or(&copy))?;
            fs::copy(&file, to)?;
        }
        copies.push(copy);
    }
    Ok(copies)
}

/// One folder, and where it is ingested.
struct Bench<'a> {
    home: &'a Path,
    folder: &'a Path,
    database: PathBuf,
}

impl Bench<'_> {
    /// Measures and prints; how many documents there are, and how long the first index took, in ms.
    fn table(&self, has_utils: bool) -> Result<(f64, f64), Failure> {
        let files = yardstick::files(self.folder)?;
        let count = files.len();
        let (mut first, mut least) = (Vec::new(), Vec::new());
        let (mut again, mut stat) = (Vec::new(), Vec::new());
        let (mut some, mut utils, mut holds) = (Vec::new(), Vec::new(), Vec::new());
        let mut sizes = (0.0, 0.0);
        for round in 0..if count < MANY { ROUNDS } else { 1 } {
            if has_utils {
                self.clear()?;
                utils.push(self.utils()?);
            }
            for is_ours in [round % 2 == 0, round % 2 == 1] {
                self.clear()?;
                if is_ours {
                    let began = Instant::now();
                    holds.push(self.ingest()?);
                    first.push(ms(began));
                    again.push(run(&mut self.waltop())?);
                    change(&files, round)?;
                    some.push(run(&mut self.waltop())?);
                    sizes.0 = megabytes(&self.database)?;
                } else {
                    least.push(run(&mut self.client("index"))?);
                    stat.push(run(&mut self.client("stat"))?);
                    sizes.1 = megabytes(&self.database)?;
                }
            }
        }
        self.clear()?;
        let memory = (peak(&mut self.waltop())?, {
            self.clear()?;
            peak(&mut self.client("index"))?
        });
        println!("\n{count} documents{:>38}{:>12}{:>10}", "waltop", "yardstick", "ratio");
        let row = |what: &str, ours: f64, theirs: f64, unit: &str| {
            println!("{what:<32}{ours:>14.1}{theirs:>12.1}{:>10.2}  {unit}", ours / theirs);
        };
        let (first, least) = (median(&first), median(&least));
        row("first index", first, least, "ms");
        row("nothing changed", median(&again), median(&stat), "ms, beside a look at each file");
        println!("{:<32}{:>14.1}{:>12}{:>10}  ms", "ten changed", median(&some), "", "");
        row("peak memory", memory.0, memory.1, "MB");
        row("database", sizes.0, sizes.1, "MB");
        if has_utils {
            row("sqlite-utils, first index", first, median(&utils), "ms");
        }
        bound("first index", first / least, 1.25, "x");
        bound("nothing changed", median(&again) / median(&stat), 2.0, "x");
        Self::tell_holds(&holds);
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        Ok((count as f64, first))
    }

    fn tell_holds(runs: &[RunSummary]) {
        let of = |part: fn(&waltop::snapshot::DurationSpread) -> f64| {
            runs.iter().filter_map(|run| run.hold.as_ref()).map(part).collect::<Vec<_>>()
        };
        println!(
            "{:<32}{:>14.1}  ms, {} transactions",
            "holds, p50",
            median(&of(|it| it.p50)),
            runs[0].batches
        );
        bound("holds, p99", median(&of(|it| it.p99)), 25.0, "ms");
        bound("holds, longest of all rounds", of(|it| it.max).into_iter().fold(0.0, f64::max), 60.0, "ms");
    }

    /// Measures and prints; `alone` is how long the run takes by itself, in ms.
    fn beside_a_bystander(&self, alone: f64) -> Result<(), Failure> {
        self.clear()?;
        Connection::open(&self.database)?
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE theirs (x)")?;
        let end = self.home.join("end");
        let mut bystander = Command::new(env::current_exe()?);
        bystander.args(["client", "bystander"]).arg(&self.database).arg(&end);
        let bystander = bystander.stdout(Stdio::piped()).spawn()?;
        thread::sleep(Duration::from_millis(300));
        let summary = self.ingest()?;
        fs::write(&end, "")?;
        let said = bystander.wait_with_output()?;
        fs::remove_file(&end)?;
        let said = String::from_utf8(said.stdout)?;
        let (busy, waits) = said.trim().split_once(' ').ok_or("the bystander wrote nothing")?;
        let mut waits: Vec<f64> = waits.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        waits.sort_by(f64::total_cmp);
        println!("beside a bystander: {:.0} ms, {} writes of it", summary.elapsed_ms, waits.len());
        bound("the run, of one alone", summary.elapsed_ms / alone, 3.0, "x");
        bound("its writes, p99", waits[(waits.len() * 99).div_ceil(100) - 1], 50.0, "ms");
        bound("its writes, slowest", waits[waits.len() - 1], 250.0, "ms");
        bound("its writes refused as BUSY", busy.parse()?, 0.0, "");
        Ok(())
    }

    fn clear(&self) -> Result<(), Failure> {
        for suffix in ["", "-wal", "-shm"] {
            let path = PathBuf::from(format!("{}{suffix}", self.database.display()));
            if path.exists() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn waltop(&self) -> Command {
        let mut command = Command::new(WALTOP);
        command.arg("ingest").arg(self.folder).arg("--db").arg(&self.database).arg("--json");
        for (name, folder) in
            [("XDG_STATE_HOME", "state"), ("XDG_DATA_HOME", "data"), ("XDG_CONFIG_HOME", "config")]
        {
            command.env(name, self.home.join(folder));
        }
        command
    }

    fn ingest(&self) -> Result<RunSummary, Failure> {
        // Documents of others may be bad ones, which the exit code tells.
        let output = self.waltop().stderr(Stdio::inherit()).output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn client(&self, what: &str) -> Command {
        let mut command = Command::new(env::current_exe().unwrap_or_default());
        command.args(["client", what]).arg(self.folder);
        if what == "index" {
            command.arg(&self.database);
        }
        command
    }

    fn utils(&self) -> Result<f64, Failure> {
        let began = Instant::now();
        let mut insert = python();
        insert.args(["-m", "sqlite_utils", "insert-files"]).arg(&self.database).arg("docs").arg(self.folder);
        run(insert.args(["--text", "--silent"]))?;
        let mut index = python();
        index.args(["-m", "sqlite_utils", "enable-fts"]).arg(&self.database);
        run(index.args(["docs", "content", "--fts5"]))?;
        Ok(ms(began))
    }
}

/// Writes a row every 20 ms until `end` is there, then says how often it was refused and how long each write took.
fn bystander(database: &Path, end: &Path) -> Result<(), Failure> {
    let connection = Connection::open(database)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch("PRAGMA synchronous = NORMAL")?;
    let (mut busy, mut waits) = (0, Vec::new());
    while !end.exists() {
        let began = Instant::now();
        match connection.execute("INSERT INTO theirs VALUES (1)", []) {
            Err(error) if is_busy(&error) => busy += 1,
            other => drop(other?),
        }
        waits.push(ms(began).to_string());
        thread::sleep(EVERY.saturating_sub(began.elapsed()));
    }
    writeln!(std::io::stdout(), "{busy} {}", waits.join(" "))?;
    Ok(())
}

/// Changes some documents, in each round in another way.
fn change(files: &[PathBuf], round: usize) -> Result<(), Failure> {
    for path in files.iter().step_by(files.len().div_ceil(CHANGED)) {
        let mut file = fs::OpenOptions::new().append(true).open(path)?;
        writeln!(file, "\nchanged in round {round}")?;
    }
    Ok(())
}

fn python() -> Command {
    Command::new(env::var_os("WALTOP_BENCH_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// How long it takes from the start to the end, in ms.
fn run(command: &mut Command) -> Result<f64, Failure> {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    // 1: some of the documents are bad ones.
    if !matches!(output.status.code(), Some(0 | 1))
        || output.stdout.is_empty() && output.status.code() == Some(1)
    {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(ms(began))
}

/// The most memory that it is seen to have at a time, in MB.
fn peak(command: &mut Command) -> Result<f64, Failure> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut peak = 0.0_f64;
    while child.try_wait()?.is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|it| it.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak = peak.max(kib.unwrap_or_default() * 1.024 / 1000.0);
        thread::sleep(LOOK);
    }
    Ok(peak)
}

fn bound(what: &str, figure: f64, most: f64, unit: &str) {
    let verdict = if figure <= most { "holds" } else { "over" };
    println!("{what:<42}{figure:>8.2} {unit:<3} bound {most} {verdict}");
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn megabytes(path: &Path) -> Result<f64, Failure> {
    #[expect(clippy::cast_precision_loss, reason = "some hundreds of megabytes")]
    Ok(fs::metadata(path)?.len() as f64 / 1e6)
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}
