//! Files and folders that cannot be taken in, or not as they are.

use super::*;

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
