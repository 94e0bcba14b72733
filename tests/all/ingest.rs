//! Ingestion: real folders, real databases, and other processes that want the same lock.

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
    profile::Profile,
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
        let hits = search::search(&self.db(), query, 100, &Profile::hardened()).expect("it can be searched");
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

#[test]
fn a_folder_becomes_rows_that_can_be_found() {
    let scene = Scene::with(20);
    scene.write("plain.txt", "just text");
    let summary = scene.run();
    assert_eq!((summary.files_total, summary.taken_in, summary.exit_code()), (21, 21, 0));
    assert_eq!((summary.failed.len(), summary.warned.len(), summary.outcome), (0, 0, Outcome::Completed));
    let rows = scene.rows();
    assert_eq!(rows.nodes.len(), 21);
    assert!(
        rows.nodes[0]
            .starts_with(r#"["notes/00/doc-0.md","notes","Document 0","document","{\"tags\":[\"t0\"]}""#)
    );
    assert!(rows.links().contains(&"notes/00/doc-0.md wikilink doc-1 -> notes/01/doc-1.md".to_owned()));
    assert!(
        rows.links().contains(&"notes/00/doc-0.md link notes/01/doc-1.md -> notes/01/doc-1.md".to_owned())
    );
    let hits =
        search::search(&scene.db(), "scarce goo", 5, &Profile::hardened()).expect("it can be searched");
    assert_eq!(hits.len(), 5);
    assert!(hits[0].snippet.contains("«scarce» «good»"), "{}", hits[0].snippet);
    let best =
        &search::search(&scene.db(), "Document 13", 5, &Profile::hardened()).expect("it can be searched")[0];
    assert_eq!((best.title.as_str(), best.path.as_str()), ("Document 13", "notes/06/doc-13.md"));
}

#[test]
fn without_a_root_a_document_is_named_by_its_path() {
    let scene = Scene::with(2);
    go(&Request { root: None, ..scene.request() }).expect("it is taken in");
    let path = fs::canonicalize(scene.notes()).expect("the folder").join("00/doc-0.md");
    assert!(scene.rows().nodes[0].starts_with(&format!("[\"{}\"", path.display())));
}

#[test]
fn what_has_not_changed_is_not_written() {
    let scene = Scene::with(10);
    scene.run();
    let before = fs::read(scene.db()).expect("the database");
    let touched = File::options().write(true).open(scene.notes().join("00/doc-0.md")).expect("a document");
    touched.set_modified(SystemTime::UNIX_EPOCH).expect("another time");
    let summary = scene.run();
    assert_eq!((summary.unchanged, summary.taken_in, summary.batches), (10, 0, 0));
    assert!(before == fs::read(scene.db()).expect("the database"), "the database was written");
}

#[test]
fn a_changed_document_is_replaced_whole() {
    let scene = Scene::with(5);
    scene.run();
    scene.write("00/doc-0.md", "---\ntype: task\n---\n# New\n\n#fresh [[doc-3]]");
    let summary = scene.run();
    assert_eq!((summary.taken_in, summary.unchanged), (1, 4));
    let rows = scene.rows();
    let of_it = |row: &&String| row.starts_with("[\"notes/00/doc-0.md\"");
    assert!(rows.nodes[0].contains("\"New\",\"task\""));
    let expected = [
        r#"["notes/00/doc-0.md","tag","fresh",null]"#,
        r#"["notes/00/doc-0.md","wikilink","doc-3","notes/03/doc-3.md"]"#,
    ];
    assert_eq!(rows.edges.iter().filter(of_it).collect::<Vec<_>>(), expected);
    assert_eq!(scene.found("fresh"), ["notes/00/doc-0.md"]);
    assert!(!scene.found("Document 0").contains(&"notes/00/doc-0.md".to_owned()));
}

#[test]
fn links_find_documents_that_come_later_and_lose_those_that_go() {
    let scene = Scene::new();
    scene.write("a.md", "[[Later]] [[sub/later]] [x](sub/later) [y](sub/later.md)\n");
    scene.write("b.md", "---\nrelated: ['[[Later]]', sub/later.md]\n---\n");
    let links = || scene.rows().links();
    let all = |node: &str| {
        [
            "notes/a.md link notes/sub/later",
            "notes/a.md link notes/sub/later.md",
            "notes/a.md wikilink Later",
            "notes/a.md wikilink sub/later",
            "notes/b.md relation:related Later",
            "notes/b.md relation:related notes/sub/later.md",
        ]
        .map(|link| format!("{link} -> {node}"))
    };
    scene.run();
    assert_eq!(links(), all(""));
    scene.write("sub/later.md", "# Here");
    scene.run();
    assert_eq!(links(), all("notes/sub/later.md"));
    // A shorter path takes the bare name over, and gives it back when it goes.
    scene.write("LATER.txt", "closer");
    scene.run();
    assert_eq!(links()[2], "notes/a.md wikilink Later -> notes/LATER.txt");
    assert_eq!(links()[3], "notes/a.md wikilink sub/later -> notes/sub/later.md");
    scene.delete("LATER.txt");
    assert_eq!(scene.run().removed, 1);
    assert_eq!(links(), all("notes/sub/later.md"));
    // Renamed to another ending: a link that names the ending no longer finds it.
    fs::rename(scene.notes().join("sub/later.md"), scene.notes().join("sub/later.txt")).expect("a new name");
    assert_eq!(scene.run().removed, 1);
    let mut renamed = all("notes/sub/later.txt");
    renamed[1] = "notes/a.md link notes/sub/later.md -> ".to_owned();
    renamed[5] = "notes/b.md relation:related notes/sub/later.md -> ".to_owned();
    assert_eq!(links(), renamed);
}

#[test]
fn what_the_folder_has_no_longer_is_taken_out() {
    let scene = Scene::with(8);
    scene.run();
    scene.delete("01/doc-1.md");
    scene.write(".gitignore", "02/\n");
    let summary = scene.run();
    assert_eq!((summary.removed, summary.unchanged, summary.exit_code()), (2, 6, 0));
    assert_eq!(scene.rows().nodes.len(), 6);
    assert!(!scene.found("Document 1").contains(&"notes/01/doc-1.md".to_owned()));
}

#[test]
fn what_cannot_be_looked_at_stays() {
    let scene = Scene::with(3);
    scene.run();
    scene.delete("01/doc-1.md");
    let pipe = scene.notes().join("01/doc-1.md");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .expect("a pipe");
    let summary = scene.run();
    assert_eq!((summary.removed, summary.exit_code()), (0, 1));
    let path = fs::canonicalize(scene.notes()).expect("the folder").join("01/doc-1.md").display().to_string();
    assert_eq!(summary.failed, [FailedFile { path, reason: "it is not a regular file".to_owned() }]);
    assert_eq!(scene.rows().nodes.len(), 3);
}

#[test]
fn a_folder_inside_another_takes_out_only_its_own() {
    let scene = Scene::with(8);
    let of = |folder: PathBuf| Request { root: None, folders: vec![folder], ..scene.request() };
    go(&of(scene.notes())).expect("it is taken in");
    scene.write("01/new.md", "new");
    scene.delete("00/doc-0.md");
    scene.delete("01/doc-1.md");
    let summary = go(&of(scene.notes().join("01"))).expect("it is taken in");
    assert_eq!((summary.taken_in, summary.removed), (1, 1));
    let summary = go(&of(scene.notes())).expect("it is taken in");
    assert_eq!((summary.unchanged, summary.removed), (7, 1));
}

#[test]
fn a_bad_file_takes_no_other_with_it() {
    let scene = Scene::with(10);
    fs::write(scene.notes().join("bad.md"), b"\xff\xfe").expect("a file");
    let large = File::create(scene.notes().join("large.txt")).expect("a file");
    large.set_len(17 << 20).expect("a large file");
    scene.write("front.md", "---\na: [1\n---\nThe text");
    let summary = scene.run();
    assert_eq!((summary.files_total, summary.taken_in, summary.exit_code()), (13, 11, 1));
    let mut reasons: Vec<_> = summary.failed.iter().map(|it| it.reason.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["it is larger than 16 MiB", "it is not UTF-8: byte 0 is out of place"]);
    assert_eq!(summary.warned.len(), 1);
    assert!(summary.warned[0].path.ends_with("notes/front.md"), "{:?}", summary.warned);
    assert_eq!(scene.found("The text"), ["notes/front.md"]);
}

#[test]
fn a_document_that_the_database_refuses_takes_no_other_with_it() {
    let scene = Scene::with(10);
    scene.run();
    let mut other = Actor::open(&scene.db());
    other.sql(
        "CREATE TRIGGER poison AFTER INSERT ON edges WHEN new.target = 'poison' BEGIN SELECT RAISE(ABORT, 'poisoned'); END",
    );
    other.close();
    scene.write("a.md", "[[z]]");
    scene.write("b.md", "#before #poison [[a]]");
    scene.write("z.md", "[[b]]");
    let summary = go(&Request { batch: batch(50), ..scene.request() }).expect("it is taken in");
    assert_eq!((summary.taken_in, summary.batches, summary.exit_code()), (2, 1, 1));
    assert!(summary.failed[0].path.ends_with("/b.md"));
    assert!(summary.failed[0].reason.contains("poisoned"), "{:?}", summary.failed);
    let rows = scene.rows();
    assert_eq!(rows.nodes.len(), 12);
    assert!(!rows.edges.iter().any(|edge| edge.contains("notes/b.md")));
    assert!(rows.links().contains(&"notes/a.md wikilink z -> notes/z.md".to_owned()));
    assert!(rows.links().contains(&"notes/z.md wikilink b -> ".to_owned()));
}

#[test]
fn a_fixed_batch_means_just_that() {
    let scene = Scene::with(25);
    let summary = go(&Request { batch: batch(10), ..scene.request() }).expect("it is taken in");
    assert_eq!(summary.batches, 3);
    let files: Vec<u64> = scene
        .journal()
        .iter()
        .filter_map(|line| match line.event {
            Event::Batch { files, .. } => Some(files),
            _ => None,
        })
        .collect();
    assert_eq!(files, [10, 10, 5]);
}

#[test]
fn beside_others_the_lock_is_left_alone_between_two_batches() {
    let scene = Scene::with(6);
    let mut other = Actor::open(&scene.db());
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE theirs (x)").sql("SELECT * FROM theirs");
    go(&Request { batch: batch(1), ..scene.request() }).expect("it is taken in");
    other.close();
    let journal = scene.journal();
    let ends: Vec<_> =
        journal.iter().filter(|line| matches!(line.event, Event::Batch { .. })).map(|it| it.at).collect();
    assert_eq!(ends.len(), 6);
    for pair in ends.windows(2) {
        let apart = pair[1].duration_since(pair[0]);
        assert!(apart.as_millis() >= 20, "{apart:?}");
    }
}

#[test]
fn a_run_that_is_refused_the_lock_goes_on_when_it_is_free() {
    let scene = Scene::with(1);
    scene.run();
    let mut other = Actor::open(&scene.db());
    let mut runs = 1;
    // Whether the run comes before the lock is given back is not ours to say, so it is tried until it does.
    eventually("a run that was refused and went on", || {
        scene.write("new.md", &format!("number {runs}"));
        other.sql("BEGIN IMMEDIATE");
        let summary = thread::scope(|scope| {
            let run = scope.spawn(|| scene.run());
            runs += 1;
            eventually("the run is about to write", || scene.is_discovered(runs).then_some(()));
            thread::sleep(Duration::from_millis(10));
            other.sql("COMMIT");
            run.join().expect("it is taken in")
        });
        assert_eq!((summary.taken_in, summary.exit_code()), (1, 0));
        (summary.retries > 0).then_some(())
    });
}

#[test]
fn a_lock_that_is_held_for_too_long_ends_the_run_with_what_is_in_kept() {
    let scene = Scene::with(2);
    scene.run();
    scene.write("new.md", "new");
    let mut other = Actor::open(&scene.db());
    other.sql("BEGIN IMMEDIATE");
    let request = Request { busy_budget: Duration::from_millis(100), ..scene.request() };
    let error = go(&request).expect_err("the lock is held").to_string();
    assert!(error.contains("stayed locked for 0.1 s") && error.contains("waltop status"), "{error}");
    assert_eq!(scene.end(), (Outcome::Failed, Some(error)));
    other.sql("ROLLBACK").sql("SELECT * FROM nodes");
    other.close();
    assert_eq!(scene.rows().nodes.len(), 2);
    assert_eq!(scene.run().taken_in, 1);
}

#[test]
fn a_run_that_waits_for_the_lock_can_be_stopped() {
    let scene = Scene::with(2);
    scene.run();
    scene.write("new.md", "new");
    let mut other = Actor::open(&scene.db());
    other.sql("BEGIN IMMEDIATE");
    let stop = StopFlag::default();
    let summary = thread::scope(|scope| {
        let run = scope.spawn(|| ingest::run(&scene.request(), &stop, &mut Silent));
        eventually("the run is about to write", || scene.is_discovered(2).then_some(()));
        stop.raise();
        run.join().expect("no panic").expect("a stop is no error")
    });
    assert_eq!((summary.outcome, summary.exit_code(), summary.taken_in), (Outcome::Stopped, 130, 0));
}

/// Raises its flag at the first batch.
struct StopAtFirst(StopFlag);

impl Progress for StopAtFirst {
    fn discovered(&mut self, _files: u64, _unchanged: u64) {}
    fn batch(&mut self, _batch: &Committed) {
        self.0.raise();
    }
    fn failed(&mut self, _file: &FailedFile) {}
    fn warned(&mut self, _file: &FailedFile) {}
    fn finished(&mut self, _summary: &Summary) {}
}

#[test]
fn a_stopped_run_ends_after_its_batch_and_the_next_carries_on() {
    let scene = Scene::with(10);
    let request = Request { batch: batch(3), ..scene.request() };
    let stop = StopFlag::default();
    let summary = ingest::run(&request, &stop, &mut StopAtFirst(stop.clone())).expect("a stop is no error");
    assert_eq!((summary.outcome, summary.exit_code(), summary.taken_in), (Outcome::Stopped, 130, 3));
    assert_eq!(scene.rows().nodes.len(), 3);
    let summary = scene.run();
    assert_eq!((summary.taken_in, summary.unchanged, summary.outcome), (7, 3, Outcome::Completed));
}

#[test]
fn a_run_that_is_stopped_while_it_walks_leaves_nothing_behind() {
    let scene = Scene::with(3);
    let before = scene.entries();
    let stop = StopFlag::default();
    stop.raise();
    let summary = ingest::run(&scene.request(), &stop, &mut Silent).expect("a stop is no error");
    assert_eq!((summary.outcome, summary.exit_code(), summary.run), (Outcome::Stopped, 130, None));
    assert_eq!(scene.entries(), before);
}

#[test]
fn sigterm_ends_a_run_after_its_batch() {
    let scene = Scene::with(200);
    // With a neighbour there are gaps, so that the run cannot be over before the signal comes.
    let mut other = Actor::open(&scene.db());
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE theirs (x)").sql("SELECT * FROM theirs");
    let child = scene.child(&["--batch", "1", "--json"]);
    eventually("two batches", || (scene.batches() >= 2).then_some(()));
    terminate(&child);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let summary: Summary = serde_json::from_slice(&output.stdout).expect("a summary");
    assert_eq!((summary.outcome, summary.taken_in), (Outcome::Stopped, scene.batches() as u64));
    assert_eq!(scene.end(), (Outcome::Stopped, None), "what somebody asked for is no error");
}

#[test]
fn a_second_run_is_refused_with_the_process_of_the_first() {
    let scene = Scene::with(5);
    scene.run();
    scene.write("new.md", "new");
    let mut other = Actor::open(&scene.db());
    other.sql("BEGIN IMMEDIATE");
    let first = scene.child(&[]);
    let first_pid = i32::try_from(first.id()).expect("a PID fits");
    eventually("the first run is about to write", || scene.is_discovered(2).then_some(()));
    let refused = go(&scene.request()).expect_err("the first is at work");
    assert!(matches!(&refused, Error::Running { pid: Some(pid), .. } if *pid == first_pid), "{refused}");
    let elsewhere = TempDir::new().expect("a folder");
    fs::write(elsewhere.path().join("x.md"), "other folder").expect("a file");
    other.sql("ROLLBACK");
    let output = first.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    go(&Request { folders: vec![elsewhere.path().to_owned()], root: None, ..scene.request() })
        .expect("it is free");
    assert_eq!(scene.run().unchanged, 6);
}

#[test]
fn a_run_and_a_busy_neighbour_both_get_their_work_done() {
    let scene = Scene::with(556);
    let mut other = Actor::open(&scene.db());
    other.sql("PRAGMA busy_timeout = 5000").sql("PRAGMA journal_mode = wal").sql("CREATE TABLE theirs (x)");
    let done = AtomicBool::new(false);
    let (summary, theirs) = thread::scope(|scope| {
        let neighbour = scope.spawn(|| {
            let mut rows = 0;
            while !done.load(Ordering::Relaxed) {
                other.sql("INSERT INTO theirs VALUES (1)");
                rows += 1;
            }
            rows
        });
        let summary = scene.run();
        done.store(true, Ordering::Relaxed);
        (summary, neighbour.join().expect("it was never refused"))
    });
    assert_eq!((summary.taken_in, summary.exit_code()), (556, 0));
    assert!(theirs > 0);
    assert_eq!(scene.rows().nodes.len(), 556);
}

#[test]
fn a_killed_run_is_seen_to_have_crashed_and_the_next_ends_where_a_clean_one_does() {
    let clean = Scene::with(300);
    clean.run();
    let expected = clean.rows();
    let scene = Scene::with(300);
    let mut other = Actor::open(&scene.db());
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE theirs (x)").sql("SELECT * FROM theirs");
    for killed in 1..=3 {
        let before = scene.batches();
        let mut child = scene.child(&["--batch", "3"]);
        eventually("some batches", || (scene.batches() > before + killed).then_some(()));
        child.kill().expect("it can be killed");
        // Not collected yet, it is dead all the same.
        let mut journals = Journals::new(scene.runs(), "/proc".into());
        let newest = eventually("the crash is seen", || {
            let (ingestions, unseen) = journals.look();
            assert_eq!(unseen, []);
            let newest = ingestions.into_iter().next().expect("an ingestion").1;
            (newest.state == IngestionState::Crashed).then_some(newest)
        });
        assert_eq!(newest.pid, i32::try_from(child.id()).expect("a PID fits"));
        child.wait().expect("it ends");
    }
    other.close();
    let summary = scene.run();
    assert!(summary.unchanged > 0 && summary.taken_in > 0, "{summary}");
    assert_eq!(scene.rows(), expected);
}

#[test]
fn the_journal_tells_what_the_summary_tells() {
    let scene = Scene::with(30);
    scene.write("old.md", "goes");
    scene.run();
    scene.delete("old.md");
    scene.write("00/doc-0.md", "changed");
    fs::write(scene.notes().join("bad.md"), b"\xff").expect("a file");
    let touched = File::options().write(true).open(scene.notes().join("01/doc-1.md")).expect("a document");
    touched.set_modified(SystemTime::UNIX_EPOCH).expect("another time");
    let summary = scene.run();
    assert_eq!((summary.taken_in, summary.unchanged, summary.removed), (1, 29, 1));
    let (ingestions, unseen) = Journals::new(scene.runs(), "/proc".into()).look();
    assert_eq!((ingestions.len(), unseen), (2, vec![]));
    let (database, newest) = &ingestions[0];
    assert_eq!(*database, fs::canonicalize(scene.db()).expect("the database").display().to_string());
    assert_eq!((Some(&newest.run), newest.state), (summary.run.as_ref(), IngestionState::Completed));
    assert_eq!((newest.files_total, newest.files_done, newest.files_unchanged), (Some(31), 30, 29));
    assert_eq!((newest.files_failed, &newest.failures), (1, &summary.failed));
    assert_eq!((newest.batches, newest.busy_retries), (summary.batches, summary.retries));
    assert_eq!((newest.hold_ms, newest.wait_ms), (summary.hold, summary.wait));
    assert_eq!(newest.folders, [fs::canonicalize(scene.notes()).expect("the folder").display().to_string()]);
}

#[test]
fn a_folder_that_cannot_be_taken_in_leaves_nothing_behind() {
    let scene = Scene::new();
    scene.write("only.rs", "no document");
    fs::write(scene.dir.path().join("file.md"), "text").expect("a file");
    let before = scene.entries();
    let of = |path: &str| Request {
        folders: vec![scene.dir.path().join(path)],
        make_folder: true,
        ..scene.request()
    };
    for (path, said) in
        [("notes", "no documents"), ("missing", "there is no folder"), ("file.md", "is not a folder")]
    {
        let error = go(&of(path)).expect_err("it is no folder of documents").to_string();
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
    scene.write("a.md", "text");
    for root in ["", "a/../b", "/", "a\nb"] {
        let request = Request { root: Some(root.to_owned()), ..scene.request() };
        assert!(matches!(go(&request), Err(Error::Root(_))), "{root:?}");
    }
    let request = Request { folders: vec![scene.notes(), scene.dir.path().to_owned()], ..scene.request() };
    assert!(matches!(go(&request), Err(Error::RootOfMany)));
    assert_eq!(scene.entries(), before);
}

#[test]
fn a_file_that_is_no_database_is_left_as_it_is() {
    let scene = Scene::with(1);
    fs::write(
        scene.db(),
        "this is a text, and long enough to be looked at as a header of a database, or so it seems",
    )
    .expect("a file");
    let text = fs::read(scene.db()).expect("the file");
    let error = go(&scene.request()).expect_err("it is no database").to_string();
    assert!(error.contains("is not a SQLite database"), "{error}");
    assert_eq!(fs::read(scene.db()).expect("the file"), text);
    assert_eq!(scene.entries(), ["notes", "notes.db", "state"].map(str::to_owned).into());
    assert_eq!(scene.end(), (Outcome::Failed, Some(error)));
}

#[test]
fn a_run_that_no_journal_can_be_kept_of_leaves_the_database_as_it_is() {
    let scene = Scene::with(1);
    fs::write(scene.dir.path().join("state"), "in the way").expect("a file");
    let error = go(&scene.request()).expect_err("there is no room for journals").to_string();
    assert!(error.contains("cannot write the journal in"), "{error}");
    assert!(!scene.db().exists());
    Actor::open(&scene.db()).sql("CREATE TABLE theirs (x)");
    let before = fs::read(scene.db()).expect("the database");
    assert!(matches!(go(&scene.request()), Err(Error::Journal { .. })));
    assert_eq!(fs::read(scene.db()).expect("the database"), before, "its journal mode is theirs");
}

#[test]
fn a_run_that_another_keeps_out_leaves_the_database_as_it_is() {
    let scene = Scene::with(1);
    let mut other = Actor::open(&scene.db());
    other.sql("CREATE TABLE theirs (x)");
    let before = fs::read(scene.db()).expect("the database");
    other.sql("BEGIN IMMEDIATE");
    let mut first = scene.child(&[]);
    eventually("the first run waits, and its journal tells that it does", || scene.journal().pop());
    let refused = go(&scene.request()).expect_err("the first is at work");
    assert!(matches!(refused, Error::Running { .. }), "{refused}");
    assert_eq!(fs::read(scene.db()).expect("the database"), before);
    first.kill().expect("it can be killed");
    first.wait().expect("it ends");
}

#[test]
fn a_database_among_the_documents_is_never_read_as_one() {
    let scene = Scene::with(3);
    let database = scene.notes().join("base.md");
    let request = Request { database: database.clone(), ..scene.request() };
    go(&request).expect("it is taken in");
    let mut other = Actor::open(&database);
    other.sql("SELECT * FROM nodes");
    fs::hard_link(&database, scene.notes().join("twin.md")).expect("a second name");
    let summary = go(&request).expect("it is taken in");
    assert_eq!((summary.files_total, summary.failed.len()), (3, 0));
}

#[test]
fn the_default_database_gets_its_folder() {
    let scene = Scene::with(1);
    let places = scene.places();
    go(&Request::new(vec![scene.notes()], places.default_database.clone(), &places)).expect("it is taken in");
    assert!(places.default_database.is_file());
    let request = Request::new(vec![scene.notes()], scene.dir.path().join("typo/notes.db"), &places);
    assert!(go(&request).is_err());
    assert!(!scene.dir.path().join("typo").exists());
}

#[test]
fn the_command_tells_and_counts() {
    let scene = Scene::with(3);
    let output = scene.child(&[]).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.starts_with("3 of 3 taken in, 0 unchanged in "), "{out}");
    assert_eq!((out.lines().count(), err.as_ref()), (1, "3 files found, 0 of them unchanged\n"));
    fs::write(scene.notes().join("bad.md"), b"\xff").expect("a file");
    let output = scene.child(&[]).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/bad.md: it is not UTF-8"));
    let output = scene.child(&["--batch", "0"]).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a batch has at least 1 file"));
}

#[test]
fn the_search_command_finds_and_never_makes_a_database() {
    let scene = Scene::with(3);
    let find = |words: &[&str]| {
        let output = Command::new(WALTOP)
            .args(["search", "--db"])
            .arg(scene.db())
            .arg("--")
            .args(words)
            .env("XDG_STATE_HOME", scene.dir.path().join("state"))
            .output()
            .expect("waltop runs");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = find(&["lock"]);
    assert_eq!((code, text.lines().count()), (Some(2), 1), "{text}");
    assert!(!scene.db().exists());
    Actor::open(&scene.db()).sql("PRAGMA journal_mode = wal");
    assert!(find(&["lock"]).1.contains("nothing was ingested"));
    scene.run();
    let (code, text) = find(&["document", "2"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("notes/02/doc-2.md") && text.contains("«Document» «2»"), "{text}");
    for odd in ["\"", "a\" OR *", "-x", "(", "NEAR(a b)", "title:", "^", "\u{202e}"] {
        let (code, text) = find(&[odd]);
        assert!(
            code == Some(1) && text.starts_with("nothing found for ")
                || text.contains("nothing to search for"),
            "{odd}: {text}"
        );
    }
}
