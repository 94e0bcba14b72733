//! The processes of the sandbox: actors with different roles.

use std::{
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::DemoError;
use crate::threads;

/// Documents that the writer inserts under one lock.
const BATCH: u32 = 50;
/// Time that the writer spends on each document while it holds the lock: the mistake that the sandbox demonstrates.
const EACH: Duration = Duration::from_millis(60);
/// Pause between two of its batches.
const PAUSE: Duration = Duration::from_secs(2);

/// The actors. They exit when this is dropped.
pub struct DemoActors {
    _writer: ActorProcess,
    _others: [DemoActor; 3],
}

impl DemoActors {
    /// Creates the database, and starts the actors up to the point where the contention begins.
    ///
    /// # Errors
    ///
    /// An actor cannot be started, or fails.
    pub fn assemble(database: &Path) -> Result<Self, DemoError> {
        let mut writer = DemoActor::start(database, "indexer")?;
        for sql in [
            "PRAGMA journal_mode = WAL",
            "PRAGMA busy_timeout = 5000",
            "CREATE TABLE documents (id INTEGER PRIMARY KEY, title TEXT, body BLOB)",
            "INSERT INTO documents (title, body) VALUES ('first', randomblob(40000))",
        ] {
            writer.sql(sql)?;
        }
        let mut watcher = DemoActor::start(database, "watcher")?;
        watcher.sql("SELECT count(*) FROM documents")?;
        let mut reader = DemoActor::start(database, "report")?;
        reader.sql("BEGIN")?;
        reader.sql("SELECT count(*) FROM documents")?;
        // A log large enough that the pin matters from the first screen on.
        writer.sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600) \
             INSERT INTO documents (title, body) SELECT 'page ' || i, randomblob(9000) FROM n",
        )?;
        let mut stopped = DemoActor::start(database, "importer")?;
        stopped.sql("BEGIN")?;
        stopped.sql("SELECT count(*) FROM documents")?;
        stopped.stop()?;
        let DemoActor { running, lines } = writer;
        threads::start("waltop-demo-writer", move || write_on(lines))?;
        Ok(Self { _writer: running, _others: [watcher, reader, stopped] })
    }
}

/// Writes batches until the writer is gone, for example because the user stops it.
fn write_on(mut writer: ActorPipe) {
    let mut batch = || -> Result<(), DemoError> {
        writer.sql("BEGIN IMMEDIATE")?;
        for _ in 0..BATCH {
            writer.sql("INSERT INTO documents (title, body) VALUES ('page', randomblob(2000))")?;
            thread::sleep(EACH);
        }
        writer.sql("COMMIT")
    };
    while batch().is_ok() {
        thread::sleep(PAUSE);
    }
}

/// An actor: its process, and the pipe to it.
struct DemoActor {
    running: ActorProcess,
    lines: ActorPipe,
}

impl DemoActor {
    fn start(database: &Path, role: &'static str) -> Result<Self, DemoError> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["actor", "--role", role])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let running = ActorProcess(child);
        let (Some(orders), Some(answers)) = (orders, answers) else {
            return Err(DemoError::Actor { role, answer: "nothing: it has no stdin or stdout".to_owned() });
        };
        let mut lines = ActorPipe { role, orders, answers: BufReader::new(answers) };
        lines.await_ok()?;
        Ok(Self { running, lines })
    }

    fn sql(&mut self, sql: &str) -> Result<(), DemoError> {
        self.lines.sql(sql)
    }

    /// Stops it as Ctrl-Z does, with all its locks.
    fn stop(&self) -> io::Result<()> {
        let pid = i32::try_from(self.running.0.id()).ok().and_then(Pid::from_raw);
        // It is this process's child and has not been reaped yet: the PID is still its own.
        pid.map_or(Ok(()), |pid| Ok(kill_process(pid, Signal::STOP)?))
    }
}

/// Statements to an actor, and its answers.
struct ActorPipe {
    role: &'static str,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl ActorPipe {
    fn sql(&mut self, sql: &str) -> Result<(), DemoError> {
        writeln!(self.orders, "{sql}")?;
        self.await_ok()
    }

    fn await_ok(&mut self) -> Result<(), DemoError> {
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim_end() {
            "ok" => Ok(()),
            other => Err(DemoError::Actor { role: self.role, answer: other.to_owned() }),
        }
    }
}

/// A process that is killed when this is dropped, even if it is stopped.
struct ActorProcess(Child);

impl Drop for ActorProcess {
    fn drop(&mut self) {
        // The user may have stopped it already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
