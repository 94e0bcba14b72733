//! How soon the console is there, and how soon it answers a key, on a machine with 600 processes.
//!
//! The optimised program runs in a real pseudo-terminal of 120 columns and 40 rows, on a database that ten
//! processes share. A figure is the time from the moment before the program is started, or before a key is
//! written, until the output arrives that makes the expected change on the screen. The last row is the timeline
//! of four hours in which two hundred processes a second held the lock: a key that asks for it waits so long, and so
//! does the thread that samples the locks.
//!
//! `cargo bench --bench console`

use std::{
    io::{Read, Write},
    num::NonZero,
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use waltop::history::{LockHistory, LockOwner, SampledLock, TimeWindow};

#[path = "support/machine.rs"]
mod machine;
#[path = "../tests/all/support.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod support;

use machine::{Crowd, cast, processes};
use support::WALTOP;

const PROCESSES: usize = 600;
const CONNECTIONS: usize = 10;
const STARTS: usize = 30;
/// Four presses each.
const ROUNDS: usize = 50;
/// What a user leaves between two keys: long enough that the presses meet looks and ticks of the clock too.
const BETWEEN_KEYS: Duration = Duration::from_millis(50);
const COLUMNS: u16 = 120;
const ROWS: u16 = 40;
/// How long the first frame may take.
const START: Duration = Duration::from_millis(150);
/// How long a key may take: one frame at 30 frames a second.
const FRAME: Duration = Duration::from_millis(33);
/// A screen that has not changed by then never will.
const HOPELESS: Duration = Duration::from_secs(30);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // `cargo test --all-targets` runs this program too, unoptimised and without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing is measured but by cargo bench");
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    let database = home.path().join("notes.db");
    let _cast = cast(&database, CONNECTIONS);
    let crowd = Crowd::gather(PROCESSES)?;
    println!(
        "{COLUMNS}x{ROWS}, {CONNECTIONS} connections, {} processes on the machine ({} to fill it up)",
        processes(),
        crowd.len(),
    );
    let mut starts = [Vec::new(), Vec::new()];
    for _ in 0..STARTS {
        let mut console = Console::start(home.path(), &database)?;
        starts[0].push(console.until("the first frame", has_frame)?);
        starts[1].push(console.until("the processes", has_processes)?);
        console.quit()?;
    }
    let mut console = Console::start(home.path(), &database)?;
    console.until("the processes", has_processes)?;
    let mut presses = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let first = selected(console.parser.screen());
        presses[0].push(console.press("j", |screen| selected(screen).is_some_and(|now| Some(now) != first))?);
        presses[1].push(console.press("?", has_help)?);
        presses[2].push(console.press("\u{1b}", |screen| !has_help(screen) && selected(screen).is_some())?);
        presses[3].push(console.press("k", |screen| selected(screen) == first)?);
    }
    console.quit()?;
    println!("{:<34}{:>5}{:>9}{:>9}{:>9}{:>9}{:>9}", "ms", "n", "min", "median", "p99", "max", "bound");
    for (what, times) in ["start to the first frame", "start to the table of processes"].iter().zip(starts) {
        row(what, times, START);
    }
    let keys =
        ["j to the next row selected", "? to the help", "Esc to no help", "k to the row before selected"];
    for (what, times) in keys.iter().zip(&presses) {
        row(what, times.clone(), FRAME);
    }
    row("all keys", presses.concat(), FRAME);
    row("the timeline of four full hours", timelines(), FRAME);
    Ok(())
}

fn timelines() -> Vec<Duration> {
    const HOLDS_A_SECOND: u32 = 200;
    let (start, hours) = (Instant::now(), Duration::from_hours(4));
    let (mut history, pause) = (LockHistory::default(), Duration::from_secs(1) / HOLDS_A_SECOND);
    history.sampling_began(start);
    let mut at = start;
    for number in 0..HOLDS_A_SECOND * 60 * 245 {
        let name = format!("client {number}");
        let who = LockOwner {
            pid: i32::try_from(number).ok(),
            start_ticks: Some(number.into()),
            name,
            ..LockOwner::default()
        };
        history.open(SampledLock::Write, at, Arc::new(who));
        history.close(SampledLock::Write, at + pause / 3);
        at += pause;
    }
    let timed = |_| {
        let began = Instant::now();
        let timeline = history.timeline(TimeWindow { end: None, span: hours }, (at, Timestamp::now()));
        let took = began.elapsed();
        assert!(timeline.is_some_and(|timeline| timeline.unknown_cells() == 0), "all of it is there");
        took
    };
    (0..STARTS).map(timed).collect()
}

fn row(what: &str, mut times: Vec<Duration>, bound: Duration) {
    times.sort();
    let milliseconds = |time: Duration| format!("{:>9.1}", time.as_secs_f64() * 1e3);
    // The nearest rank: the smallest time that so many in a hundred do not exceed.
    let percentile = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
    let worst = percentile(100);
    println!(
        "{what:<34}{:>5}{}{}{}{}{} {}",
        times.len(),
        milliseconds(times[0]),
        milliseconds(percentile(50)),
        milliseconds(percentile(99)),
        milliseconds(worst),
        milliseconds(bound),
        if worst < bound { "holds" } else { "over" },
    );
}

fn has_frame(screen: &vt100::Screen) -> bool {
    // The header is drawn first and the footer last.
    let mut lines = screen.rows(0, COLUMNS);
    lines.next().is_some_and(|line| line.contains("waltop"))
        && lines.last().is_some_and(|line| line.contains("quit"))
}

fn has_processes(screen: &vt100::Screen) -> bool {
    has_frame(screen)
        && screen.contents().contains(&format!("Locks and processes: {CONNECTIONS} open"))
        && selected(screen).is_some()
}

fn has_help(screen: &vt100::Screen) -> bool {
    screen.contents().contains("Keys that act here and now")
}

/// The process on the marked row of the table.
fn selected(screen: &vt100::Screen) -> Option<u32> {
    let contents = screen.contents();
    let (_, row) = contents.split_once('▸')?;
    // A sign may stand before the PID.
    row.split_whitespace().take(2).find_map(|word| word.parse().ok())
}

/// The program in a terminal. It ends with its value.
struct Console {
    began: Instant,
    /// When the output arrived that made the screen what it is.
    changed: Instant,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    output: Receiver<(Instant, Vec<u8>)>,
    parser: vt100::Parser,
    _master: Box<dyn MasterPty + Send>,
}

impl Console {
    fn start(home: &Path, database: &Path) -> Result<Self, Failure> {
        let size = PtySize { rows: ROWS, cols: COLUMNS, ..PtySize::default() };
        let pair = native_pty_system().openpty(size)?;
        let mut reader = pair.master.try_clone_reader()?;
        let keyboard = pair.master.take_writer()?;
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send((Instant::now(), buffer[..count].to_vec())).is_err() {
                    return;
                }
            }
        });
        let mut command = CommandBuilder::new(WALTOP);
        command.arg(database);
        command.cwd(home);
        command.env("XDG_STATE_HOME", home.join("state"));
        command.env("XDG_DATA_HOME", home.join("data"));
        command.env("XDG_CONFIG_HOME", home.join("config"));
        command.env("TERM", "xterm-256color");
        let cells = |count| NonZero::new(count).ok_or("a terminal has cells");
        let parser = vt100::Parser::new(cells(ROWS)?, cells(COLUMNS)?, 0);
        let began = Instant::now();
        let child = pair.slave.spawn_command(command)?;
        Ok(Self { began, changed: began, child, keyboard, output, parser, _master: pair.master })
    }

    /// Waits until the screen is as `expected`; the time since the start, or since the last key.
    fn until(&mut self, what: &str, expected: impl Fn(&vt100::Screen) -> bool) -> Result<Duration, Failure> {
        while !expected(self.parser.screen()) {
            let (at, bytes) = self.output.recv_timeout(HOPELESS).map_err(|error| {
                format!(
                    "the screen never showed what {what} brings ({error}), but:\n{}",
                    self.parser.screen().contents()
                )
            })?;
            self.parser.process(&bytes);
            self.changed = at;
        }
        Ok(self.changed - self.began)
    }

    /// Presses `key` a moment after the last one, and waits until the screen is as `expected`.
    fn press(&mut self, key: &str, expected: impl Fn(&vt100::Screen) -> bool) -> Result<Duration, Failure> {
        let due = Instant::now() + BETWEEN_KEYS;
        while let Ok((_, bytes)) = self.output.recv_timeout(due.saturating_duration_since(Instant::now())) {
            self.parser.process(&bytes);
        }
        if expected(self.parser.screen()) {
            return Err(format!("the screen is as {key:?} would make it before it is pressed").into());
        }
        self.began = Instant::now();
        self.keyboard.write_all(key.as_bytes())?;
        self.until(key, expected)
    }

    fn quit(mut self) -> Result<(), Failure> {
        self.keyboard.write_all(b"q")?;
        // Its output ends with it.
        while self.output.recv_timeout(HOPELESS).is_ok() {}
        Ok(())
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
