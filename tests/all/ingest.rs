//! Ingestion: real folders, real databases, and other processes that want the same lock.

mod bad_files;
mod crash;
mod neighbours;
mod rows;
mod stopping;
mod told;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use waltop::{
    config::Places,
    ingest::{
        self, Batch, Error, Progress, Request, StopFlag, Summary,
        progress::{Committed, Silent},
        search,
    },
    journal::{Event, Line, Outcome},
    observe::journals::Journals,
    snapshot::{FailedFile, IngestionState},
};

use crate::support::{Actor, WALTOP, eventually};

/// A folder of documents, a database that is not there yet, and a state directory of its own.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        fs::create_dir(dir.path().join("notes")).expect("a folder");
        Self { dir }
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
        self.dir.path().join("notes.db")
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

    fn request(&self) -> Request {
        let root = Some("notes".to_owned());
        Request { root, ..Request::new(vec![self.notes()], self.db(), &self.places()) }
    }

    fn run(&self) -> Summary {
        go(&self.request()).expect("it is taken in")
    }

    /// `waltop ingest` as a process of its own.
    fn child(&self, options: &[&str]) -> Child {
        Command::new(WALTOP)
            .args(["ingest", "--root", "notes", "--db"])
            .arg(self.db())
            .args(options)
            .arg(self.notes())
            .env("XDG_STATE_HOME", self.dir.path().join("state"))
            .env("XDG_DATA_HOME", self.dir.path().join("data"))
            .env("XDG_CONFIG_HOME", self.dir.path().join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("waltop starts")
    }

    /// The lines of all journals, in the order of their names.
    fn journal(&self) -> Vec<Line> {
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
    fn end(&self) -> (Outcome, Option<String>) {
        match self.journal().pop() {
            Some(Line { event: Event::Finished { outcome, error }, .. }) => (outcome, error),
            line => panic!("the journal has no end: {line:?}"),
        }
    }

    fn batches(&self) -> usize {
        self.journal().iter().filter(|line| matches!(line.event, Event::Batch { .. })).count()
    }

    fn is_discovered(&self, runs: usize) -> bool {
        let discovered = |line: &&Line| matches!(line.event, Event::Discovered { .. });
        self.journal().iter().filter(discovered).count() >= runs
    }

    fn rows(&self) -> Rows {
        Rows::of(&self.db())
    }

    fn found(&self, query: &str) -> Vec<String> {
        let hits = search::search(&self.db(), query, 100).expect("it can be searched");
        hits.into_iter().map(|hit| hit.path).collect()
    }

    fn entries(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.dir.path()).expect("the folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

/// Everything that was taken in, without row numbers and times.
#[derive(Debug, PartialEq, Eq)]
struct Rows {
    nodes: Vec<String>,
    edges: Vec<String>,
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
        let check = "INSERT INTO nodes_fts (nodes_fts, rank) VALUES ('integrity-check', 1)";
        connection.execute(check, []).expect("the index is in step");
        Self {
            nodes: all("SELECT json_array(path, folder, title, kind, front_matter, body, bytes, hex(hash))
                        FROM nodes ORDER BY path"),
            edges: all("SELECT json_array(source.path, edges.kind, edges.target, target.path) FROM edges
                        JOIN nodes AS source ON source.id = edges.source
                        LEFT JOIN nodes AS target ON target.id = edges.target_node ORDER BY 1"),
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

fn go(request: &Request) -> Result<Summary, Error> {
    ingest::run(request, &StopFlag::default(), &mut Silent)
}

fn batch(files: usize) -> Batch {
    Batch::Files(NonZeroUsize::new(files).expect("not 0"))
}

fn terminate(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a PID fits")).expect("not 0");
    kill_process(pid, Signal::TERM).expect("it lives");
}
