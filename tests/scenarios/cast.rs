//! Who plays in the scenarios: programs of the old way, and waltop in a home of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use waltop::{
    ingest::RunSummary,
    report::CheckReport,
    snapshot::{DurationSpread, Finding},
};

use crate::{
    embed::server::Server,
    python::Python,
    support::{Actor, WALTOP},
};

/// By how much the sleeps and the timeouts of a report are divided here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale(pub u32);

impl Scale {
    /// So many milliseconds of the report.
    pub fn ms(self, of_the_report: u64) -> Duration {
        Duration::from_millis(of_the_report) / self.0
    }
}

/// The programs of the old way.
const OLD_WAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/old_way.py");

/// A program of the old way, which has its database open. It ends with its value.
pub struct Program {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Takes documents in and works on each inside of the transaction.
pub struct Importer<'a> {
    pub folder: &'a Path,
    /// Documents to a transaction.
    pub batch: usize,
    /// For each document.
    pub work: Duration,
    /// Between two transactions.
    pub pause: Duration,
    pub timeout: Duration,
}

impl Importer<'_> {
    /// Starts it; `None`, and a word about it, where there is no Python for it.
    pub fn start(&self, name: &str, database: &Path) -> Option<Program> {
        let options = [
            ("name", name.to_owned()),
            ("folder", self.folder.display().to_string()),
            ("batch", self.batch.to_string()),
            ("work", seconds(self.work)),
            ("pause", seconds(self.pause)),
            ("timeout", seconds(self.timeout)),
        ];
        Program::start("importer", &options, database)
    }
}

/// What an importer came to.
#[derive(Debug, Deserialize)]
pub struct Imported {
    pub ingested: u64,
    pub longest_hold_ms: f64,
    pub elapsed_ms: f64,
    /// What SQLite said that ended it.
    pub error: Option<String>,
    /// When, in ns since 1970.
    pub error_at: Option<i128>,
}

impl Imported {
    /// When it ended with an error; the beginning of time if it did not.
    pub fn error_time(&self) -> Timestamp {
        Timestamp::from_nanosecond(self.error_at.unwrap_or_default()).expect("a time")
    }
}

/// Writes a row at a time until it is told to end.
pub struct Writer {
    /// How long it keeps each transaction open.
    pub hold: Duration,
    /// Between two transactions.
    pub pause: Duration,
    pub timeout: Duration,
}

impl Writer {
    /// Starts it; `None`, and a word about it, where there is no Python for it.
    pub fn start(&self, name: &str, database: &Path) -> Option<Program> {
        let options = [
            ("name", name.to_owned()),
            ("hold", seconds(self.hold)),
            ("pause", seconds(self.pause)),
            ("timeout", seconds(self.timeout)),
        ];
        Program::start("writer", &options, database)
    }
}

/// What a writer came to.
#[derive(Debug, Deserialize)]
pub struct Wrote {
    /// How long each row took beyond the time for which it was worked on.
    pub waits_ms: Vec<f64>,
    /// How often it was refused.
    pub busy: u64,
}

impl Wrote {
    /// How its waits spread; `None` where it wrote nothing.
    pub fn spread(&self) -> Option<DurationSpread> {
        DurationSpread::of(&self.waits_ms)
    }
}

impl Program {
    fn start(what: &str, options: &[(&str, String)], database: &Path) -> Option<Self> {
        if !has_python() {
            return None;
        }
        let mut child = Command::new("python3")
            .args([OLD_WAY, what])
            .args(options.iter().map(|(name, value)| format!("{name}={value}")))
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut program = Self { child, orders, answers };
        assert_eq!(program.line(), "ready");
        Some(program)
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a PID fits")
    }

    /// Waits for the end of an importer.
    pub fn imported(mut self) -> Imported {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Lets it begin.
    #[must_use]
    pub fn go(mut self) -> Self {
        self.order("go");
        self
    }

    /// Lets a writer count anew from here.
    pub fn anew(&mut self) {
        self.order("anew");
        assert_eq!(self.line(), "anew");
    }

    /// Tells a writer to end, and waits for that.
    pub fn wrote(mut self) -> Wrote {
        drop(self.orders.take());
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Whether it has ended by itself or by a signal.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_some()
    }

    fn order(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("it is under orders");
        writeln!(orders, "{order}").expect("it lives");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.answers.read_line(&mut line).expect("it answers") > 0, "it has ended");
        line.trim_end().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether there is a Python that knows SQLite, with a word about it where there is none.
pub fn has_python() -> bool {
    let can = Command::new("python3").args(["-c", "import sqlite3"]).stderr(Stdio::null()).status();
    let has = can.is_ok_and(|status| status.success());
    if !has {
        eprintln!("not tested: there is no python3 with sqlite3 here");
    }
    has
}

/// Does `sql` in `python`'s connection; what SQLite said where it was refused.
pub fn refusal(python: &mut Python, sql: &str) -> Option<String> {
    let attempt = format!("try:\n db.execute({sql:?}).fetchall()\nexcept sqlite3.Error as e:\n print(e)");
    python.run("import sqlite3");
    python.run(&format!("exec({attempt:?})")).pop()
}

/// What `database` answers to a question with one text.
pub fn text(database: &Path, sql: &str) -> String {
    let connection = Connection::open(database).expect("the database");
    connection.query_row(sql, [], |row| row.get(0)).expect("a text")
}

/// How many rows `table` has.
pub fn rows(database: &Path, table: &str) -> u64 {
    let count = format!("SELECT count(*) FROM {table}");
    let connection = Connection::open(database).expect("the database");
    let count: i64 = connection.query_row(&count, [], |row| row.get(0)).expect("a count");
    count.cast_unsigned()
}

/// What the work of the old way is for waltop: a server that takes so long over each document.
pub fn embedder(delay: Duration) -> Server {
    let server = Server::start();
    *server.state.delay.lock().expect("nobody has panicked") = delay;
    server
}

/// A folder to work in, and beside it what waltop keeps for its user.
pub struct Home {
    dir: TempDir,
}

/// What a run of waltop came to.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Home {
    pub fn new() -> Self {
        Self { dir: TempDir::new().expect("a folder") }
    }

    /// Where everything is.
    pub fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().expect("there")
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// A database made by `sql`, a statement to an item, that nobody has open.
    pub fn database(&self, name: &str, sql: &[&str]) -> PathBuf {
        let path = self.at(name);
        let mut maker = Actor::open(&path);
        for statement in sql {
            maker.sql(statement);
        }
        maker.close();
        path
    }

    /// Writes the settings, or a file beside them.
    pub fn set(&self, name: &str, text: &str) {
        let path = self.at("config/waltop").join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    /// `waltop ARGS…`.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(WALTOP);
        command
            .args(args)
            .current_dir(self.root())
            .env("XDG_STATE_HOME", self.at("state"))
            .env("XDG_DATA_HOME", self.at("data"))
            .env("XDG_CONFIG_HOME", self.at("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Said {
        Said::of(self.command(args).spawn().expect("waltop starts"))
    }

    pub fn json(&self, args: &[&str]) -> Value {
        self.run(args).json()
    }

    /// What `waltop status` shows of `database`.
    pub fn status(&self, database: &Path) -> Value {
        self.json(&["status", "--json", &database.display().to_string()])["databases"][0].clone()
    }

    /// `waltop check` of `database`, which samples its locks for `watch`.
    pub fn check(&self, database: &Path, watch: Duration) -> Child {
        let watch = format!("{}ms", watch.as_millis());
        let mut check = self.command(&["check", "--json", "--for", &watch, &database.display().to_string()]);
        check.spawn().expect("waltop starts")
    }

    /// What it finds.
    pub fn findings(&self, database: &Path, watch: Duration) -> Vec<Finding> {
        Said::of(self.check(database, watch)).findings()
    }
}

impl Said {
    pub fn of(child: Child) -> Self {
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("what it says is text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What a check found.
    pub fn findings(&self) -> Vec<Finding> {
        let report: CheckReport =
            serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        report.databases.into_iter().flat_map(|it| it.findings).collect()
    }

    /// What an ingestion did.
    pub fn summary(&self) -> RunSummary {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn seconds(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}
