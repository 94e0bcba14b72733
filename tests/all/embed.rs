//! Embedding: a real server on the loopback, real documents, and what is found by meaning.

mod hostile;
mod hybrid;
mod near;
mod sections;
pub mod server;
mod watching;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    sync::{Arc, atomic::Ordering::SeqCst},
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tempfile::TempDir;
use waltop::{
    ingest::{
        self, IngestRequest, RunSummary, StopFlag,
        embed::{EmbedOptions, ExistingVectors, http::HttpEmbedder},
        progress::SilentProgress,
    },
    observe::journals::Journals,
    snapshot::Ingestion,
    state::journal::RunOutcome,
    state::places::Places,
};

use self::server::{Server, UNWELCOME};
use crate::support::{WALTOP, eventually, set_apart};

const MODEL: &str = "words";

/// A folder of documents, their database and their embedder.
struct Scene {
    dir: TempDir,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        fs::create_dir(dir.path().join("notes")).expect("a folder");
        Self { dir, server: Server::start() }
    }

    /// The same with `count` documents, each with a word of its own.
    fn with(count: usize) -> Self {
        let scene = Self::new();
        for number in 0..count {
            scene.write(&format!("doc-{number:03}.md"), &format!("# Document\n\nabout word{number}\n"));
        }
        scene
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join("notes").join(name), text).expect("a file");
    }

    fn db(&self) -> PathBuf {
        self.dir.path().join("notes.db")
    }

    fn places(&self) -> Places {
        Places { runs: self.dir.path().join("state/waltop/runs"), ..Places::under(self.dir.path()) }
    }

    fn options(&self) -> EmbedOptions {
        let endpoint = self.server.url().parse().expect("an address");
        EmbedOptions {
            pause: Duration::from_millis(2),
            ..EmbedOptions::new(Arc::new(HttpEmbedder::new(endpoint, MODEL)), MODEL)
        }
    }

    fn run(&self, embed: EmbedOptions) -> RunSummary {
        let (root, embed) = (Some("notes".to_owned()), Some(embed));
        let notes = vec![self.dir.path().join("notes")];
        let request = IngestRequest { root, embed, ..IngestRequest::new(notes, self.db(), &self.places()) };
        ingest::run(&request, &StopFlag::default(), &mut SilentProgress).expect("it is ingested")
    }

    fn number(&self, sql: &str) -> i64 {
        Connection::open(self.db()).expect("it opens").query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    fn vectors(&self) -> i64 {
        self.number(
            "SELECT count(*) FROM nodes_vectors JOIN nodes ON id = node AND nodes.hash = nodes_vectors.hash",
        )
    }

    /// The edges between near documents, by the names of both ends.
    fn near(&self) -> Vec<(String, String)> {
        let connection = Connection::open(self.db()).expect("it opens");
        let sql = "SELECT nodes.path, edges.target FROM edges JOIN nodes ON nodes.id = edges.source
             WHERE edges.kind = 'semantic' AND target_node = (SELECT id FROM nodes WHERE path = target) ORDER BY 1, 2";
        let mut select = connection.prepare(sql).expect("a query");
        let short = |name: String| name.trim_start_matches("notes/").trim_end_matches(".md").to_owned();
        let edges = select.query_map([], |row| Ok((short(row.get(0)?), short(row.get(1)?)))).expect("edges");
        edges.map(|edge| edge.expect("an edge")).collect()
    }

    fn waltop(&self, args: &[&str]) -> Command {
        let mut command = Command::new(WALTOP);
        command.args(args).current_dir(self.dir.path());
        set_apart(command, self.dir.path())
    }

    /// `waltop ingest` with an embedder, as a process of its own.
    fn ingest(&self, url: &str, options: &[&str]) -> Child {
        self.embeds("ingest", url, options)
    }

    /// The same by `command`.
    fn embeds(&self, command: &str, url: &str, options: &[&str]) -> Child {
        let args =
            [command, "notes", "--root", "notes", "--db", "notes.db", "--embed", url, "--embed-model", MODEL];
        self.waltop(&[&args, options].concat()).spawn().expect("waltop starts")
    }

    /// What a search with the embedder prints as JSON.
    fn search(&self, options: &[&str]) -> serde_json::Value {
        let url = self.server.url();
        let args = ["search", "--db", "notes.db", "--json", "--embed", &url, "--embed-model", MODEL];
        let output = self.waltop(&[&args, options].concat()).output().expect("waltop starts");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// What is found by meaning, by name.
    fn found(&self, query: &str) -> Vec<String> {
        let found = self.search(&["--semantic", query]);
        let hits = found["hits"].as_array().expect("hits");
        assert!(hits.iter().all(|hit| hit["similarity"].is_f64() && hit["snippet"].is_string()), "{hits:?}");
        hits.iter().map(|hit| hit["path"].as_str().expect("a name").to_owned()).collect()
    }

    /// The newest run, as the console sees it.
    fn newest(&self) -> Ingestion {
        let (runs, unseen) = Journals::new(self.places().runs, PathBuf::from("/proc")).look();
        assert!(unseen.is_empty(), "{unseen:?}");
        runs.into_iter().next().expect("a run").1
    }
}

/// A process that ends with its value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn embedded(summary: &RunSummary) -> (u64, u64, Option<&str>) {
    let embedding = summary.embedding.as_ref().expect("it was come to");
    (embedding.embedded, embedding.wanted, embedding.error.as_deref())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_document_gets_its_vector_and_none_a_second_one() {
    let scene = Scene::with(100);
    let summary = scene.run(scene.options());
    assert_eq!(embedded(&summary), (100, 100, None));
    assert_eq!((summary.exit_code(), scene.vectors(), scene.server.seen()), (0, 100, 100));
    assert_eq!(scene.number("SELECT count(DISTINCT dimension * length(vector)) FROM nodes_vectors"), 1);
    assert_eq!(scene.number("SELECT max(dimension * 4 - length(vector)) FROM nodes_vectors"), 0);
    assert_eq!(embedded(&scene.run(scene.options())), (0, 0, None));
    assert_eq!(scene.server.seen(), 100);
    scene.write("doc-007.md", "# Document\n\nabout zebras\n");
    fs::remove_file(scene.dir.path().join("notes/doc-008.md")).expect("it was there");
    assert_eq!(embedded(&scene.run(scene.options())), (1, 1, None));
    assert_eq!((scene.vectors(), scene.server.seen()), (99, 101));
    assert_eq!(scene.number("SELECT count(*) FROM nodes_vectors"), 99);
}

#[test]
fn as_many_calls_as_allowed_are_under_way_and_no_more() {
    let scene = Scene::with(60);
    let state = &scene.server.state;
    state.is_held.store(true, SeqCst);
    thread::scope(|scope| {
        let run = scope.spawn(|| scene.run(scene.options()));
        eventually("eight calls are under way", || (state.in_flight.load(SeqCst) == 8).then_some(()));
        // The documents are in by then, and can be found by their words.
        assert_eq!(scene.number("SELECT count(*) FROM nodes_words WHERE nodes_words MATCH 'document'"), 60);
        let live = scene.newest();
        assert!(live.is_running());
        assert_eq!(live.embedding.expect("it has begun").to_string(), "0 of 60 embedded");
        state.is_held.store(false, SeqCst);
        assert_eq!(embedded(&run.join().expect("the run")), (60, 60, None));
    });
    assert_eq!(state.most_in_flight.load(SeqCst), 8);
    let done = scene.newest();
    assert_eq!(done.embedding.expect("it is told").to_string(), "60 of 60 embedded");
}

#[test]
fn a_call_that_fails_or_is_cut_off_is_tried_again() {
    let scene = Scene::with(20);
    // One more for the same document, and it would be given up.
    scene.server.state.fails.store(2, SeqCst);
    scene.server.state.hangs_up.store(2, SeqCst);
    let options = EmbedOptions { calls: NonZeroUsize::new(2).expect("two"), ..scene.options() };
    assert_eq!(embedded(&scene.run(options)), (20, 20, None));
}

#[test]
fn a_text_that_is_refused_is_reported_and_the_rest_goes_on() {
    let scene = Scene::with(10);
    scene.write("bad.md", UNWELCOME);
    let summary = scene.run(scene.options());
    assert_eq!(embedded(&summary), (10, 11, None));
    let [warned] = &summary.warned[..] else { panic!("{:?}", summary.warned) };
    assert!(
        warned.path.ends_with("bad.md") && warned.reason.ends_with("400 Bad Request: not this text"),
        "{warned:?}"
    );
    assert_eq!((summary.outcome, summary.exit_code()), (RunOutcome::Completed, 1));
}

#[test]
fn a_document_on_which_the_server_always_fails_is_reported_too() {
    let scene = Scene::with(3);
    scene.server.state.fails.store(15, SeqCst);
    let summary = scene.run(scene.options());
    let (done, wanted, error) = embedded(&summary);
    assert_eq!((wanted, error, done + summary.warned.len() as u64), (3, None, 3), "{summary:?}");
    scene.server.state.fails.store(0, SeqCst);
    assert_eq!(embedded(&scene.run(scene.options())).0, 3 - done);
}

#[test]
fn without_a_server_the_documents_are_in_and_the_next_run_embeds_them() {
    let scene = Scene::with(12);
    // Nobody listens there.
    let url = "http://127.0.0.1:1/v1".to_owned();
    let output = scene.ingest(&url, &[]).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = said(&output);
    let reported: Vec<&str> = lines.lines().filter(|line| line.contains(&url)).collect();
    let error = scene.newest().embedding.expect("it is recorded").error.expect("it ended early");
    assert!(reported.len() == 1 && reported[0].contains(&error), "{lines}");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.starts_with("12 of 12 ingested, 0 unchanged, 0 of 12 embedded in "), "{out}");
    assert_eq!((scene.number("SELECT count(*) FROM nodes"), scene.vectors()), (12, 0));
    let output = scene.ingest(&scene.server.url(), &[]).wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), scene.vectors()), (Some(0), 12), "{output:?}");
    let runs = scene.waltop(&["runs", "notes.db"]).output().expect("waltop starts");
    let runs = String::from_utf8_lossy(&runs.stdout).into_owned();
    assert!(runs.contains("    12 of 12 embedded") && runs.contains(&format!(": {error}")), "{runs}");
}

#[test]
fn a_run_that_is_killed_while_it_embeds_is_carried_on() {
    let scene = Scene::with(200);
    // All of them take ten seconds, and the first are written after one.
    *scene.server.state.delay.lock().expect("the delay") = Duration::from_millis(100);
    let url = scene.server.url();
    let mut child = scene.ingest(&url, &["--embed-calls", "2"]);
    eventually("some are written", || {
        let is_there = scene.db().exists() && scene.server.seen() > 10;
        (is_there && scene.vectors() > 0).then_some(())
    });
    child.kill().expect("it lives");
    child.wait().expect("it ends");
    let before = scene.vectors();
    assert!(before < 200, "it was killed in the middle");
    *scene.server.state.delay.lock().expect("the delay") = Duration::ZERO;
    let left = u64::try_from(200 - before).expect("some");
    assert_eq!(embedded(&scene.run(scene.options())), (left, left, None));
    assert_eq!(scene.vectors(), 200);
    let check: String = Connection::open(scene.db())
        .and_then(|it| it.query_row("PRAGMA integrity_check", [], |row| row.get(0)))
        .expect("a check");
    assert_eq!(check, "ok");
}

#[test]
fn a_stop_ends_it_and_keeps_what_is_there() {
    let scene = Scene::with(40);
    scene.server.state.is_held.store(true, SeqCst);
    let child = scene.ingest(&scene.server.url(), &[]);
    eventually("calls are under way", || (scene.server.state.in_flight.load(SeqCst) == 8).then_some(()));
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).expect("a PID");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it lives");
    // No answer has come yet, and none is waited for.
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!((scene.number("SELECT count(*) FROM nodes"), scene.vectors()), (40, 0));
}

#[test]
fn vectors_of_another_length_are_refused_until_all_are_created_again() {
    let scene = Scene::with(5);
    scene.run(scene.options());
    scene.server.state.dimension.store(32, SeqCst);
    scene.write("doc-001.md", "another one");
    let summary = scene.run(scene.options());
    let (done, wanted, error) = embedded(&summary);
    let error = error.expect("it is refused");
    assert!(error.contains(" 64 ") && error.contains(" 32") && error.contains("--embed-anew"), "{error}");
    assert_eq!((done, wanted, summary.exit_code(), scene.vectors()), (0, 1, 1, 4));
    let summary = scene.run(EmbedOptions { have: ExistingVectors::Discarded, ..scene.options() });
    assert_eq!(embedded(&summary), (5, 5, None));
    assert_eq!(scene.number("SELECT min(dimension) FROM nodes_vectors"), 32);
}

#[test]
fn two_models_have_vectors_of_their_own() {
    let scene = Scene::with(6);
    scene.run(scene.options());
    scene.server.state.dimension.store(16, SeqCst);
    let summary = scene.run(EmbedOptions { model: "other".to_owned(), ..scene.options() });
    assert_eq!(embedded(&summary), (6, 6, None));
    let sql = "SELECT count(DISTINCT model || dimension) * 100 + count(*) FROM nodes_vectors";
    assert_eq!(scene.number(sql), 212);
    scene.server.state.dimension.store(64, SeqCst);
    assert_eq!(scene.found("word3")[0], "notes/doc-003.md");
}

#[test]
fn a_key_is_sent_and_the_one_for_openai_only_where_no_process_listens() {
    let scene = Scene::with(1);
    let keys = |name: &str| {
        let url = scene.server.url();
        let args = ["ingest", "notes", "--db", "notes.db", "--embed", &url, "--embed-anew"];
        let mut command = scene.waltop(&args);
        command.env_remove("OPENAI_API_KEY").env_remove("WALTOP_EMBED_KEY").env(name, "open sesame");
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        scene.server.state.keys.lock().expect("the keys").pop().expect("a call")
    };
    assert_eq!(keys("WALTOP_EMBED_KEY").as_deref(), Some("Bearer open sesame"));
    assert_eq!(keys("OPENAI_API_KEY"), None);
}

#[test]
fn options_that_make_no_sense_are_one_line() {
    let scene = Scene::with(1);
    for (args, word) in [
        (&["--embed", "ftp://x"][..], "give one like http://"),
        (&["--embed", "http://x", "--neighbours", "1.5"], "at most 1"),
        (&["--embed", "http://x", "--neighbours", "-1"], "above 0"),
        (&["--embed", "http://x", "--embed-calls", "0"], "--embed-calls"),
        (&["--neighbours", "0.8"], "--embed"),
    ] {
        let args = [&["ingest", "notes", "--db", "notes.db"], args].concat();
        let output = scene.waltop(&args).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(said(&output).contains(word) && said(&output).lines().count() == 1, "{output:?}");
        assert!(!Path::new(&scene.db()).exists());
    }
}
