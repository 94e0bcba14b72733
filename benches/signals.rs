//! Whether a signal reaches another program than the one that was listed.
//!
//! 1. `exec`: processes that have a database open execute another program at the moment of the signal. Each third executes
//!    another file, another file with the descriptor inherited, or its own file without the database. KILL must never reach
//!    the program after the exec. TERM can, in the window between the last reading and the signal: both are counted.
//!    The same with a pidfd alone shows what the check prevents.
//! 2. `reuse`: PIDs given to another process, before and at the moment of the signal. Root only.
//! 3. `reap`: `waltop reap --yes` on processes that execute another program while it runs; `WALTOP_BENCH_PROGRAM` names
//!    another build to compare with.
//!
//! `cargo bench --bench signals`, or with the names of some of the three; a number after `--` is that of the exec-overs.
//! The zombie's name in `/proc/PID/stat`, which an execve(2) sets, tells which program a signal has ended.

use std::{
    env, fs,
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use waltop::{
    act::signal::{ExpectedProgram, PinnedProcess, SignalRefusal, SignalTarget, StopSignal, start_ticks},
    config::{Config, Permit},
    snapshot::{FileId, ProgramSample},
    state::places::Places,
};

#[path = "support/dice.rs"]
mod dice;
#[path = "support/signalled.rs"]
mod signalled;

use dice::Dice;
use signalled::{AFTER, PROC, Process, Tally};

const WALTOP: &str = env!("CARGO_BIN_EXE_waltop");
const EXECS: u64 = 10_000;
const REUSES: u64 = 1000;
const REAPS: u64 = 20;
const HOLDERS: u64 = 24;
/// The exec and the signal come at random within these times, so that each may come before the other.
const EXEC_MICROS: u64 = 700;
const SIGNAL_MICROS: u64 = 1500;
/// How long `reap` watches, in ms: long enough to confirm what it sees first.
const WATCHED: u64 = 600;
/// The exec comes within this time after the end of that, in which the last sample and TERM lie.
const REAP_MICROS: u64 = 250_000;
/// The name of the program before the exec.
const BEFORE: &str = "before";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        // The processes are this same program.
        ["holder", kind, database, after] => return hold(kind, Path::new(database), Path::new(after)),
        // Until the one that started it ends.
        ["idle"] => return Ok(io::copy(&mut io::stdin(), &mut io::sink()).map(|_| ExitCode::SUCCESS)?),
        ["reuse", home] => return Ok(verdict(Bench::at(Path::new(home)).reuse()?)),
        _ => {}
    }
    // `cargo test --all-targets` runs this program too, without this argument.
    if !words.contains(&"--bench") {
        println!("nothing is signalled but by cargo bench");
        return Ok(ExitCode::SUCCESS);
    }
    let parts = ["exec", "reuse", "reap"];
    let is_wanted = |part: &str| words.contains(&part) || !parts.iter().any(|part| words.contains(part));
    let execs = words.iter().find_map(|word| word.parse().ok()).unwrap_or(EXECS);
    let home = tempfile::tempdir()?;
    let mut bench = Bench::set(home.path())?;
    let mut wrong_kills = 0;
    if is_wanted("exec") {
        for (signal, execs) in [(StopSignal::Kill, execs), (StopSignal::Term, execs / 2)] {
            let tally = bench.exec_overs(signal, execs, true)?;
            let wrong = tally.wrong;
            tally.print(&format!("{signal} at an exec, checked"));
            wrong_kills += if signal == StopSignal::Kill { wrong } else { 0 };
            bench
                .exec_overs(signal, execs / 10, false)?
                .print(&format!("{signal} at an exec, a pidfd alone"));
        }
    }
    if is_wanted("reuse") {
        // In a PID namespace of its own, where nobody else is given the number that is wanted.
        let mut inside = Command::new("unshare");
        inside
            .args(["--pid", "--fork", "--mount-proc"])
            .arg(env::current_exe()?)
            .arg("reuse")
            .arg(home.path());
        wrong_kills += u64::from(!inside.status()?.success());
    }
    if is_wanted("reap") {
        bench.reap()?;
    }
    Ok(verdict(wrong_kills))
}

fn verdict(wrong_kills: u64) -> ExitCode {
    println!("wrong KILL: {wrong_kills}, bound 0: {}", if wrong_kills == 0 { "kept" } else { "NOT KEPT" });
    if wrong_kills == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Has `database` open, says so, and executes `after` as many µs after it was told to as the line says.
fn hold(kind: &str, database: &Path, after: &Path) -> Result<ExitCode, Failure> {
    let connection = (kind == "sqlite").then(|| Connection::open(database)).transpose()?;
    if let Some(connection) = &connection {
        connection.query_row("SELECT count(*) FROM t", [], |_| Ok(()))?;
    }
    let file =
        connection.is_none().then(|| File::options().read(true).write(true).open(database)).transpose()?;
    if let (Some(file), "inherits") = (&file, kind) {
        rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())?;
    }
    let mut next = Command::new(after);
    next.arg("idle");
    writeln!(io::stdout(), "ready")?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let told = Instant::now();
    let delay = Duration::from_micros(line.trim().parse()?);
    thread::sleep(delay.saturating_sub(Duration::from_millis(2)));
    while told.elapsed() < delay {
        std::hint::spin_loop();
    }
    Err(next.exec().into())
}

struct Bench {
    home: PathBuf,
    permit: Permit,
    dice: Dice,
}

impl Bench {
    fn at(home: &Path) -> Self {
        let places = Places::under(home);
        let permit = Config::new(places).permit().expect("it is not read-only");
        Self { home: home.to_owned(), permit, dice: Dice(0x5eed) }
    }

    fn set(home: &Path) -> Result<Self, Failure> {
        let own = env::current_exe()?;
        // One file under two names, and another file under the second name.
        fs::create_dir(home.join("other"))?;
        fs::copy(&own, home.join(BEFORE))?;
        fs::hard_link(home.join(BEFORE), home.join(AFTER))?;
        fs::copy(&own, home.join("other").join(AFTER))?;
        let bench = Self::at(home);
        bench.make_database()?;
        Ok(bench)
    }

    fn database(&self) -> PathBuf {
        self.home.join("notes.db")
    }

    fn make_database(&self) -> Result<(), Failure> {
        Ok(Connection::open(self.database())?
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1)")?)
    }

    fn holder(&self, kind: &str) -> Result<Process, Failure> {
        let after = if kind == "itself" { self.home.clone() } else { self.home.join("other") }.join(AFTER);
        let mut command = Command::new(self.home.join(BEFORE));
        Process::start(command.args(["holder", kind]).arg(self.database()).arg(after))
    }

    /// What a sample lists of a holder.
    fn listed(&self) -> Result<ProgramSample, Failure> {
        let id = |path: PathBuf| path.metadata().map(|metadata| FileId::of(&metadata));
        Ok(ProgramSample {
            executable: Some(id(self.home.join(BEFORE))?),
            files: Some(vec![id(self.database())?]),
        })
    }

    fn pin(&self, target: SignalTarget) -> Result<Result<PinnedProcess, SignalRefusal>, Failure> {
        Ok(PinnedProcess::open(target, ExpectedProgram::Listed(self.listed()?), Path::new(PROC)))
    }

    /// Until so many processes were at the other program when the signal came.
    fn exec_overs(&mut self, signal: StopSignal, execs: u64, is_checked: bool) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        while tally.execs < execs {
            let kind = ["other", "inherits", "itself"][usize::try_from(tally.tries % 3)?];
            tally.tries += 1;
            let mut process = self.holder(kind)?;
            process.is_ready()?;
            let pid = process.pid()?;
            let start_ticks = start_ticks(pid, Path::new(PROC)).ok_or("it has ended")?;
            let held = self.pin(SignalTarget { pid, start_ticks })??;
            let pidfd = pidfd_open(Pid::from_raw(pid).ok_or("a PID")?, PidfdFlags::empty())?;
            process.exec_in(self.dice.below(EXEC_MICROS))?;
            let told = Instant::now();
            let delay = Duration::from_micros(self.dice.below(SIGNAL_MICROS));
            while told.elapsed() < delay {
                std::hint::spin_loop();
            }
            let sent = if is_checked {
                held.send(self.permit, signal).map(|sent| sent.window)
            } else {
                send_unchecked(&pidfd, signal)?;
                Ok(None)
            };
            match sent {
                Ok(window) => {
                    if !held.wait(Duration::from_secs(10)) {
                        return Err("it does not end".into());
                    }
                    tally.windows.extend(window);
                    let is_after = process.stat()?.0 == AFTER;
                    tally.wrong += u64::from(is_after);
                    tally.right += u64::from(!is_after);
                    tally.execs += u64::from(is_after);
                }
                Err(refusal) => {
                    tally.refuse(&refusal);
                    process.goes_on_after()?;
                    tally.execs += 1;
                }
            }
        }
        Ok(tally)
    }

    /// How many KILLs reached a process that was given the PID of the one that was listed.
    fn reuse(&mut self) -> Result<u64, Failure> {
        let mut tally = Tally { tries: REUSES, ..Tally::default() };
        let mut wrong_kills = 0;
        for number in 0..REUSES {
            let signal = if number % 2 == 0 { StopSignal::Kill } else { StopSignal::Term };
            let mut first = self.holder("other")?;
            first.is_ready()?;
            let pid = first.pid()?;
            let start_ticks = start_ticks(pid, Path::new(PROC)).ok_or("it has ended")?;
            let target = SignalTarget { pid, start_ticks };
            let held = self.pin(target)??;
            let delay = Duration::from_micros(self.dice.below(SIGNAL_MICROS));
            let successor =
                if number % 4 < 2 { self.home.join("other") } else { self.home.clone() }.join(AFTER);
            // The first one ends and another gets its PID, while the signal is on its way.
            let (permit, second) = (self.permit, thread::spawn(move || succeed(first, &successor, delay)));
            let sent = held.send(permit, signal);
            let mut second =
                second.join().map_err(|_| "a thread has failed")?.map_err(|why| why.to_string())?;
            let again = match self.pin(target)? {
                Ok(held) => held.send(permit, signal),
                Err(refusal) => Err(refusal),
            };
            let late = held.send(permit, signal);
            if second.pid()? != pid {
                return Err("the PID was not given again".into());
            }
            for sent in [sent, again, late] {
                match sent {
                    Ok(_) => tally.right += 1,
                    Err(refusal) => tally.refuse(&refusal),
                }
            }
            thread::sleep(Duration::from_millis(2));
            let is_hit = second.child.try_wait()?.is_some() || second.stat()?.1 == 'T';
            tally.wrong += u64::from(is_hit);
            wrong_kills += u64::from(is_hit && signal == StopSignal::Kill);
        }
        tally.print("KILL and TERM, three signals each, at and after the reuse of a PID");
        Ok(wrong_kills)
    }

    /// How many processes `waltop reap --yes` ends after they have executed another program.
    fn reap(&mut self) -> Result<(), Failure> {
        let program = env::var_os("WALTOP_BENCH_PROGRAM").map_or_else(|| WALTOP.into(), PathBuf::from);
        let mut tally = Tally { tries: REAPS * HOLDERS, ..Tally::default() };
        let mut lives = 0;
        for _ in 0..REAPS {
            let mut holders = (0..HOLDERS).map(|_| self.holder("sqlite")).collect::<Result<Vec<_>, _>>()?;
            for holder in &mut holders {
                holder.is_ready()?;
            }
            // That they use files that are no longer there makes them stale.
            for suffix in ["", "-wal", "-shm"] {
                fs::remove_file(self.home.join(format!("notes.db{suffix}")))?;
            }
            self.make_database()?;
            for holder in &mut holders {
                holder.exec_in(WATCHED * 1000 + self.dice.below(REAP_MICROS))?;
            }
            let said = Command::new(&program)
                .args(["reap", "--yes", "--grace", "200ms", "--for", &format!("{WATCHED}ms")])
                .arg(self.database())
                .env("XDG_STATE_HOME", self.home.join("state"))
                .env("XDG_CONFIG_HOME", self.home.join("config"))
                .output()?;
            let said = String::from_utf8_lossy(&said.stdout);
            let refused = said.lines().filter(|line| line.contains("TERM was not sent")).count();
            tally.refused.push(("another program".to_owned(), u64::try_from(refused)?));
            for holder in holders {
                let (name, state) = holder.stat()?;
                tally.wrong += u64::from(state == 'Z' && name == AFTER);
                tally.right += u64::from(state == 'Z' && name != AFTER);
                lives += u64::from(state != 'Z');
            }
        }
        let refused = tally.refused.drain(..).map(|(_, count)| count).sum();
        tally.refused.push(("another program".to_owned(), refused));
        tally.print(&format!(
            "{} reap --yes, TERM while the holders execute another program",
            program.display()
        ));
        println!("  live on: {lives}");
        Ok(())
    }
}

fn send_unchecked(pidfd: &OwnedFd, signal: StopSignal) -> Result<(), Failure> {
    let raw = if signal == StopSignal::Kill {
        rustix::process::Signal::KILL
    } else {
        rustix::process::Signal::TERM
    };
    Ok(pidfd_send_signal(pidfd.as_fd(), raw)?)
}

/// Ends `first` after `delay`, and starts another process that gets its PID.
fn succeed(mut first: Process, successor: &Path, delay: Duration) -> io::Result<Process> {
    let begun = Instant::now();
    while begun.elapsed() < delay {
        std::hint::spin_loop();
    }
    first.child.kill()?;
    first.child.wait()?;
    fs::write("/proc/sys/kernel/ns_last_pid", (first.child.id() - 1).to_string())?;
    Process::start(Command::new(successor).arg("idle")).map_err(|error| io::Error::other(error.to_string()))
}
