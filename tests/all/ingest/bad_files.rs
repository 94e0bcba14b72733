//! Files and folders that cannot be ingested, or not as they are.

use super::*;

#[test]
fn what_cannot_be_looked_at_stays() {
    let scene = Scene::with(3);
    scene.run();
    scene.delete("01/doc-1.md");
    pipe(&scene.notes().join("01/doc-1.md"));
    let summary = scene.run();
    assert_eq!((summary.removed, summary.exit_code()), (0, 1));
    let path = fs::canonicalize(scene.notes()).expect("the folder").join("01/doc-1.md").display().to_string();
    assert_eq!(summary.failed, [FailedFile { path, reason: "it is not a regular file".to_owned() }]);
    assert_eq!(scene.rows().nodes.len(), 3);
}

#[test]
fn a_bad_file_takes_no_other_with_it() {
    let scene = Scene::with(10);
    fs::write(scene.notes().join("bad.md"), b"\xff\xfe").expect("a file");
    let large = File::create(scene.notes().join("large.txt")).expect("a file");
    large.set_len(17 << 20).expect("a large file");
    scene.write("front.md", "---\na: [1\n---\nThe text");
    let summary = scene.run();
    assert_eq!((summary.files_total, summary.ingested, summary.exit_code()), (13, 11, 1));
    let mut reasons: Vec<_> = summary.failed.iter().map(|it| it.reason.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        ["it is larger than 16 MiB (--max-file-size)", "it is not UTF-8: byte 0 is out of place"]
    );
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
    let summary = go(&IngestRequest { batch: batch(50), ..scene.request() }).expect("it is ingested");
    assert_eq!((summary.ingested, summary.batches, summary.exit_code()), (2, 1, 1));
    assert!(summary.failed[0].path.ends_with("/b.md"));
    assert!(summary.failed[0].reason.contains("poisoned"), "{:?}", summary.failed);
    let rows = scene.rows();
    assert_eq!(rows.nodes.len(), 12);
    assert!(!rows.edges.iter().any(|edge| edge.contains("notes/b.md")));
    assert!(rows.links().contains(&"notes/a.md wikilink z -> notes/z.md".to_owned()));
    assert!(rows.links().contains(&"notes/z.md wikilink b -> ".to_owned()));
}

#[test]
fn a_folder_that_cannot_be_ingested_leaves_nothing_behind() {
    let scene = Scene::new();
    scene.write("only.rs", "no document");
    fs::write(scene.dir.path().join("file.md"), "text").expect("a file");
    let before = scene.entries();
    let of = |path: &str| IngestRequest {
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
        let request = IngestRequest { root: Some(root.to_owned()), ..scene.request() };
        assert!(matches!(go(&request), Err(IngestError::Root(_))), "{root:?}");
    }
    let request =
        IngestRequest { folders: vec![scene.notes(), scene.dir.path().to_owned()], ..scene.request() };
    assert!(matches!(go(&request), Err(IngestError::RootOfMany)));
    assert_eq!(scene.entries(), before);
}

#[test]
fn a_database_among_the_documents_is_never_read_as_one() {
    let scene = Scene::with(3);
    let database = scene.notes().join("base.md");
    let request = IngestRequest { database: database.clone(), ..scene.request() };
    go(&request).expect("it is ingested");
    let mut other = Actor::open(&database);
    other.sql("SELECT * FROM nodes");
    fs::hard_link(&database, scene.notes().join("twin.md")).expect("a second name");
    let summary = go(&request).expect("it is ingested");
    assert_eq!((summary.files_total, summary.failed.len()), (3, 0));
}

fn pipe(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .expect("a pipe");
}

#[test]
fn what_only_looks_like_a_document_is_reported_and_never_opened() {
    let scene = Scene::with(2);
    let at = |name: &str| scene.notes().join(name);
    // To open this one to read would wait for a writer who never comes.
    pipe(&at("pipe.md"));
    let _socket = std::os::unix::net::UnixListener::bind(at("socket.md")).expect("a socket");
    symlink(scene.notes(), at("circle")).expect("a link");
    symlink("loop.md", at("loop.md")).expect("a link to itself");
    fs::create_dir(at("folder.md")).expect("a folder");
    let device = rustix::fs::makedev(1, 3);
    let mode = rustix::fs::Mode::RUSR;
    let is_device = rustix::fs::mknodat(
        rustix::fs::CWD,
        at("null.md"),
        rustix::fs::FileType::CharacterDevice,
        mode,
        device,
    )
    .inspect_err(|_| eprintln!("not tested: only root can make a device"))
    .is_ok();
    let said = scene.said(&["--json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let summary: RunSummary = serde_json::from_str(&said.out).expect("a summary");
    let failed: Vec<_> =
        summary.failed.iter().map(|it| it.path.rsplit('/').next().expect("a name")).collect();
    let expected =
        if is_device { &["null.md", "pipe.md", "socket.md"][..] } else { &["pipe.md", "socket.md"] };
    assert_eq!(failed, expected);
    assert!(summary.failed.iter().all(|it| it.reason == "it is not a regular file"), "{summary:?}");
    assert_eq!(scene.rows().nodes.len(), 2);
}

#[test]
fn a_file_above_the_limit_is_reported_and_the_limit_can_be_moved() {
    let scene = Scene::with(1);
    let huge = File::create(scene.notes().join("huge.md")).expect("a file");
    huge.set_len(200 << 20).expect("a file of holes");
    scene.write("middle.md", &"word ".repeat(1000));
    let said = scene.said(&[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("/huge.md: it is larger than 16 MiB (--max-file-size)\n"), "{said:?}");
    fs::remove_file(scene.db()).expect("the database");
    let said = scene.said(&["--max-file-size", "4KiB"]);
    assert!(said.err.contains("/middle.md: it is larger than 4 KiB (--max-file-size)\n"), "{said:?}");
    assert!(said.out.starts_with("1 of 3 ingested ("), "{said:?}");
    assert!(said.out.contains("), 0 unchanged, 2 failed in "), "{said:?}");
    for bad in ["0", "16XB", "-1", ""] {
        let said = scene.said(&[&format!("--max-file-size={bad}")]);
        assert!(said.refusal().contains("give a size above nothing, as in 64MiB"), "{said:?}");
    }
}

#[test]
fn front_matter_becomes_json_or_is_reported_beside_the_text() {
    let scene = Scene::new();
    scene.write(
        "good.md",
        "+++\ntitle = \"From TOML\"\ndraft = true\nday = 2026-01-02\n[more]\nx = [1, 2]\n+++\nText one",
    );
    scene.write("yaml.md", "---\na: [1\n---\nText two");
    scene.write("toml.md", "+++\na = = 1\n+++\nText three");
    let said = scene.said(&["--json"]);
    assert_eq!(said.code, Some(0), "the text is in: {said:?}");
    let summary: RunSummary = serde_json::from_str(&said.out).expect("a summary");
    let warned: Vec<_> =
        summary.warned.iter().map(|it| it.path.rsplit('/').next().expect("a name")).collect();
    assert_eq!((warned, summary.ingested), (vec!["toml.md", "yaml.md"], 3));
    for FailedFile { reason, .. } in &summary.warned {
        assert!(reason.starts_with("the front matter was left out: ") && !reason.contains('\n'), "{reason}");
    }
    let told =
        scene.journal().into_iter().filter(|it| matches!(it.event, JournalEvent::FileWarned { .. })).count();
    assert_eq!(told, 2);
    let rows = scene.rows();
    let json = r#"{\"day\":\"2026-01-02\",\"draft\":true,\"more\":{\"x\":[1,2]},\"title\":\"From TOML\"}"#;
    assert!(rows.nodes[0].contains(json) && rows.nodes[0].contains("Text one"), "{}", rows.nodes[0]);
    for (node, text) in rows.nodes[1..].iter().zip(["Text three", "Text two"]) {
        assert!(node.contains(&format!("\"document\",null,\"{text}\"")), "{node}");
    }
}

/// Does something once the folder has been walked, before any file is read.
struct OnceWalked<F: FnMut()>(F);

impl<F: FnMut()> RunProgress for OnceWalked<F> {
    fn discovered(&mut self, _files: u64, _unchanged: u64) {
        (self.0)();
    }
    fn batch(&mut self, _batch: &CommittedBatch) {}
    fn failed(&mut self, _file: &FailedFile) {}
    fn warned(&mut self, _file: &FailedFile) {}
    fn finished(&mut self, _summary: &RunSummary) {}
}

#[test]
fn a_file_that_vanishes_between_the_walk_and_the_reading_is_gone_and_no_failure() {
    let scene = Scene::with(4);
    scene.run();
    scene.write("00/doc-0.md", "changed");
    scene.write("new.md", "new");
    scene.write("01/doc-1.md", "changed too");
    let mut meddle = OnceWalked(|| {
        scene.delete("00/doc-0.md");
        scene.delete("new.md");
        scene.write("01/doc-1.md", "changed once more");
    });
    let summary = ingest::run(&scene.request(), &StopFlag::default(), &mut meddle).expect("it is ingested");
    assert_eq!((summary.failed.len(), summary.exit_code()), (0, 0));
    assert_eq!((summary.files_total, summary.ingested, summary.unchanged, summary.removed), (3, 1, 2, 1));
    assert_eq!(scene.rows().nodes.len(), 3);
    assert_eq!(scene.found("once more"), ["notes/01/doc-1.md"]);
    assert_eq!(scene.run().unchanged, 3, "what was read is what was noted");
    let newest = Journals::new(scene.runs(), "/proc".into()).look().0.swap_remove(1).1;
    assert_eq!((newest.files_total, newest.files_done), (Some(3), 3));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_ingested_whole_or_reported() {
    let scene = Scene::with(1);
    let path = scene.notes().join("busy.md");
    let file = File::create(&path).expect("a file");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for length in [1 << 20, (1 << 20) + 1] {
                    file.set_len(length).expect("another length");
                }
            }
        });
        let reported = eventually("it is seen to change", || {
            let summary = scene.run();
            let rows = Connection::open(scene.db()).expect("the database");
            let sql = "SELECT count(*) FROM nodes WHERE bytes <> length(CAST(body AS BLOB)) AND path LIKE '%busy.md'";
            let torn: i64 = rows.query_row(sql, [], |row| row.get(0)).expect("a count");
            assert_eq!(torn, 0);
            summary.failed.first().cloned()
        });
        done.store(true, Ordering::Relaxed);
        assert_eq!(reported.reason, "it changes while it is read: take it in again later");
    });
    let summary = scene.run();
    assert_eq!((summary.failed.len(), scene.rows().nodes.len()), (0, 2));
}

#[test]
fn odd_texts_and_names_are_ingested_or_reported() {
    let scene = Scene::with(1);
    scene.write("line.md", &"a very long line ".repeat(300_000));
    scene.write("nul.md", "before\0after #tag\0 zebra\0\0");
    scene.write("empty.md", "");
    scene.write("red\u{1b}[31m\nline\u{202e}.md", "named oddly");
    scene.write("utf16.txt", "");
    fs::write(scene.notes().join("utf16.txt"), b"\xff\xfea\0b\0").expect("a file");
    let raw = OsStr::from_bytes(b"not\xffutf8\x1b.md");
    fs::write(scene.notes().join(raw), "text").expect("a file");
    let said = scene.said(&[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains("its name is not UTF-8") && said.err.contains("utf16.txt: it is not UTF-8"),
        "{said:?}"
    );
    // On a slow machine its progress is reported as well.
    let lines = said.err.lines().filter(|line| !line.contains("batch of")).count();
    assert!(!said.err.contains(['\u{1b}', '\u{202e}']) && lines == 3, "{said:?}");
    assert_eq!(scene.rows().nodes.len(), 5);
    assert_eq!(scene.found("zebra"), ["notes/nul.md"]);
    assert_eq!(scene.found("oddly"), ["notes/red\u{1b}[31m\nline\u{202e}.md"]);
}

#[test]
fn folders_below_what_a_path_can_name_are_reported_and_the_rest_is_in() {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};
    let scene = Scene::with(3);
    let name = "a-folder-in-a-folder";
    let open = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut folder = openat(rustix::fs::CWD, scene.notes(), open, Mode::empty()).expect("the folder");
    // 4096 bytes is the longest path that the kernel takes.
    for depth in 0..300 {
        mkdirat(&folder, name, Mode::RWXU).expect("a folder");
        folder = openat(&folder, name, open, Mode::empty()).expect("a folder");
        if depth % 100 == 50 {
            let create = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(&folder, "deep.md", create, Mode::RUSR | Mode::WUSR).expect("a document");
        }
    }
    let said = scene.said(&["--json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let summary: RunSummary = serde_json::from_str(&said.out).expect("a summary");
    assert_eq!((summary.ingested, summary.failed.len()), (5, 1), "{}", summary.failed.len());
    assert!(summary.failed[0].reason.contains("name too long"), "{}", summary.failed[0].reason);
    assert_eq!(scene.run().unchanged, 5);
}
