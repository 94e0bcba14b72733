//! Ingestion: real folders, real databases, and other processes that want the same lock.

mod bad_files;
mod crash;
mod disk;
mod index;
mod log;
mod neighbours;
mod replaced;
mod reports;
mod rows;
mod stamps;
mod stopping;
mod upgrade;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    num::NonZeroUsize,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use waltop::{
    config::profile::Profile,
    ingest::{
        self, BatchSetting, IngestError, IngestRequest, RunProgress, RunSummary, StopFlag,
        progress::{CommittedBatch, SilentProgress},
        query, search,
    },
    observe::journals::Journals,
    snapshot::{FailedFile, IngestionState},
    state::journal::{JournalEvent, JournalLine, RunOutcome},
    state::places::Places,
};

use crate::{
    python::Python,
    support::{Actor, WALTOP, eventually, set_apart},
};

/// A folder of documents, a database that is not there yet, and a state directory of its own.
struct Scene {
    dir: TempDir,
    /// Where the database is, from there.
    db: PathBuf,
    /// What the documents' names begin with.
    root: &'static str,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        fs::create_dir(dir.path().join("notes")).expect("a folder");
        Self { dir, db: "notes.db".into(), root: "notes" }
    }

    /// The same with `count` documents that link to each other.
    fn with(count: usize) -> Self {
        let scene = Self::new();
        for number in 0..count {
            let next = (number + 1) % count;
            scene.write(
                &format!("{:02}/doc-{number}.md", number % 7),
                &format!(
                    "---\ntags: [t{}]\n---\n# Document {number}\n\nSee [[doc-{next}]] and [it](../{:02}/doc-{next}.md).\n{}",
                    number % 5,
                    next % 7,
                    "The write lock is the scarce good. ".repeat(20)
                ),
            );
        }
        scene
    }

    fn notes(&self) -> PathBuf {
        self.dir.path().join("notes")
    }

    fn db(&self) -> PathBuf {
        self.dir.path().join(&self.db)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.notes().join(name);
        fs::create_dir_all(path.parent().expect("it has a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn delete(&self, name: &str) {
        fs::remove_file(self.notes().join(name)).expect("it was there");
    }

    fn places(&self) -> Places {
        let default_database = self.dir.path().join("data/default.db");
        Places { runs: self.runs(), default_database, ..Places::under(self.dir.path()) }
    }

    fn runs(&self) -> PathBuf {
        self.dir.path().join("state/waltop/runs")
    }

    fn request(&self) -> IngestRequest {
        let root = Some(self.root.to_owned());
        IngestRequest { root, ..IngestRequest::new(vec![self.notes()], self.db(), &self.places()) }
    }

    fn run(&self) -> RunSummary {
        go(&self.request()).expect("it is ingested")
    }

    /// `waltop ingest` as a process of its own.
    fn child(&self, options: &[&str]) -> Child {
        self.ingest(Command::new(WALTOP), options).spawn().expect("waltop starts")
    }

    /// What it said, and its exit code.
    fn said(&self, options: &[&str]) -> Said {
        Said::of(self.child(options).wait_with_output().expect("it ends"))
    }

    /// `command`, which becomes waltop, as an ingestion.
    fn ingest(&self, mut command: Command, options: &[&str]) -> Command {
        command.args(["ingest", "--root", self.root, "--db"]).arg(self.db()).args(options).arg(self.notes());
        set_apart(command, self.dir.path())
    }

    /// The lines of all journals, in the order of their names.
    fn journal(&self) -> Vec<JournalLine> {
        let mut paths: Vec<_> = fs::read_dir(self.runs())
            .map(|entries| entries.map(|entry| entry.expect("an entry").path()).collect())
            .unwrap_or_default();
        paths.retain(|path: &PathBuf| path.extension().is_some_and(|it| it == "jsonl"));
        paths.sort();
        let text: String = paths.iter().map(|path| fs::read_to_string(path).expect("a journal")).collect();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("a line")).collect()
    }

    /// How the newest journal says that its run ended.
    fn end(&self) -> (RunOutcome, Option<String>) {
        match self.journal().pop() {
            Some(JournalLine { event: JournalEvent::Finished { outcome, error }, .. }) => (outcome, error),
            line => panic!("the journal has no end: {line:?}"),
        }
    }

    fn batches(&self) -> usize {
        self.journal().iter().filter(|line| matches!(line.event, JournalEvent::Batch { .. })).count()
    }

    fn is_discovered(&self, runs: usize) -> bool {
        let discovered = |line: &&JournalLine| matches!(line.event, JournalEvent::Discovered { .. });
        self.journal().iter().filter(discovered).count() >= runs
    }

    fn rows(&self) -> Rows {
        Rows::of(&self.db())
    }

    fn found(&self, query: &str) -> Vec<String> {
        let hits = search::search(&self.db(), &query::parse(query), 100, &Profile::hardened());
        hits.expect("it can be searched").hits.into_iter().map(|hit| hit.path).collect()
    }

    fn entries(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.dir.path()).expect("the folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

/// What a process said before it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn of(output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("what it says is text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The one line that it ended with where it failed.
    fn refusal(&self) -> &str {
        assert_eq!(self.code, Some(2), "{self:?}");
        self.err.lines().last().and_then(|line| line.strip_prefix("waltop: ")).expect("a line")
    }
}

/// Everything that was ingested, without row numbers and times.
#[derive(Debug, PartialEq, Eq)]
struct Rows {
    nodes: Vec<String>,
    edges: Vec<String>,
    /// Every word of the index, with how many documents it is in, and how often.
    words: Vec<String>,
    /// What some searches find.
    found: Vec<String>,
}

impl Rows {
    fn of(database: &Path) -> Self {
        let connection = Connection::open(database).expect("the database");
        let all = |sql: &str| -> Vec<String> {
            let mut select = connection.prepare(sql).expect("it is sound");
            let rows = select.query_map([], |row| row.get(0)).expect("rows");
            rows.collect::<Result<_, _>>().expect("rows")
        };
        assert_eq!(all("PRAGMA integrity_check"), ["ok"]);
        // An index that differs from the text it was made of is an error here.
        let check = "INSERT INTO nodes_words (nodes_words, rank) VALUES ('integrity-check', 1)";
        connection.execute(check, []).expect("the index is in step");
        let words = "CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, nodes_words, col)";
        connection.execute(words, []).expect("its words");
        let find = |query: &str| -> Vec<String> {
            let sql = "SELECT json_array(?1, path) FROM nodes
                       JOIN nodes_words ON nodes_words.rowid = nodes.id WHERE nodes_words MATCH ?1 ORDER BY path";
            let mut select = connection.prepare(sql).expect("it is sound");
            let rows = select.query_map([query], |row| row.get(0)).expect("rows");
            rows.collect::<Result<_, _>>().expect("rows")
        };
        Self {
            nodes: all("SELECT json_array(path, folder, title, kind, front_matter, body, bytes, hex(hash))
                        FROM nodes ORDER BY path"),
            edges: all("SELECT json_array(source.path, edges.kind, edges.target, target.path) FROM edges
                        JOIN nodes AS source ON source.id = edges.source
                        LEFT JOIN nodes AS target ON target.id = edges.target_node ORDER BY 1"),
            words: all("SELECT json_array(term, col, doc, cnt) FROM temp.words ORDER BY term, col"),
            found: ["lock", "scarce good", "title : document", "doc*"]
                .iter()
                .flat_map(|it| find(it))
                .collect(),
        }
    }

    /// The links as `source kind target -> document`, without tags.
    fn links(&self) -> Vec<String> {
        let link = |row: &String| {
            let row: [Option<String>; 4] = serde_json::from_str(row).expect("JSON");
            let [source, kind, target, node] = row.map(Option::unwrap_or_default);
            (kind != "tag").then(|| format!("{source} {kind} {target} -> {node}"))
        };
        self.edges.iter().filter_map(link).collect()
    }
}

fn go(request: &IngestRequest) -> Result<RunSummary, IngestError> {
    ingest::run(request, &StopFlag::default(), &mut SilentProgress)
}

fn batch(files: usize) -> BatchSetting {
    BatchSetting::Files(NonZeroUsize::new(files).expect("not 0"))
}

fn terminate(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a PID fits")).expect("not 0");
    kill_process(pid, Signal::TERM).expect("it lives");
}
