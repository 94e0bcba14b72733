//! What stands in the database after a run.

use super::*;

#[test]
fn a_folder_becomes_rows_that_can_be_found() {
    let scene = Scene::with(20);
    scene.write("plain.txt", "just text");
    let summary = scene.run();
    assert_eq!((summary.files_total, summary.ingested, summary.exit_code()), (21, 21, 0));
    assert_eq!((summary.failed.len(), summary.warned.len(), summary.outcome), (0, 0, RunOutcome::Completed));
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
    let hits = search::search(&scene.db(), &query::parse("scarce goo"), 5, &Profile::hardened())
        .expect("it is")
        .hits;
    assert_eq!(hits.len(), 5);
    assert!(hits[0].snippet.contains("«scarce» «good»"), "{}", hits[0].snippet);
    let best = &search::search(&scene.db(), &query::parse("Document 13"), 5, &Profile::hardened())
        .expect("it is")
        .hits[0];
    assert_eq!((best.title.as_str(), best.path.as_str()), ("Document 13", "notes/06/doc-13.md"));
}

#[test]
fn without_a_root_a_document_is_named_by_its_path() {
    let scene = Scene::with(2);
    go(&IngestRequest { root: None, ..scene.request() }).expect("it is ingested");
    let path = fs::canonicalize(scene.notes()).expect("the folder").join("00/doc-0.md");
    assert!(scene.rows().nodes[0].starts_with(&format!("[\"{}\"", path.display())));
}

#[test]
fn what_has_not_changed_is_not_written() {
    let scene = Scene::with(10);
    scene.run();
    let before = fs::read(scene.db()).expect("the database");
    let summary = scene.run();
    assert_eq!((summary.unchanged, summary.ingested, summary.batches), (10, 0, 0));
    assert!(before == fs::read(scene.db()).expect("the database"), "the database was written");
}

#[test]
fn a_changed_document_is_replaced_whole() {
    let scene = Scene::with(5);
    scene.run();
    scene.write("00/doc-0.md", "---\ntype: task\n---\n# New\n\n#fresh [[doc-3]]");
    let summary = scene.run();
    assert_eq!((summary.ingested, summary.unchanged), (1, 4));
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
fn a_folder_inside_another_takes_out_only_its_own() {
    let scene = Scene::with(8);
    let of = |folder: PathBuf| IngestRequest { root: None, folders: vec![folder], ..scene.request() };
    go(&of(scene.notes())).expect("it is ingested");
    scene.write("01/new.md", "new");
    scene.delete("00/doc-0.md");
    scene.delete("01/doc-1.md");
    let summary = go(&of(scene.notes().join("01"))).expect("it is ingested");
    assert_eq!((summary.ingested, summary.removed), (1, 1));
    let summary = go(&of(scene.notes())).expect("it is ingested");
    assert_eq!((summary.unchanged, summary.removed), (7, 1));
}

#[test]
fn a_fixed_batch_means_just_that() {
    let scene = Scene::with(25);
    let summary = go(&IngestRequest { batch: batch(10), ..scene.request() }).expect("it is ingested");
    assert_eq!(summary.batches, 3);
    let files: Vec<u64> = scene
        .journal()
        .iter()
        .filter_map(|line| match line.event {
            JournalEvent::Batch { files, .. } => Some(files),
            _ => None,
        })
        .collect();
    assert_eq!(files, [10, 10, 5]);
}

#[test]
fn the_default_database_gets_its_folder() {
    let scene = Scene::with(1);
    let places = scene.places();
    go(&IngestRequest::new(vec![scene.notes()], places.default_database.clone(), &places))
        .expect("it is ingested");
    assert!(places.default_database.is_file());
    let request = IngestRequest::new(vec![scene.notes()], scene.dir.path().join("typo/notes.db"), &places);
    assert!(go(&request).is_err());
    assert!(!scene.dir.path().join("typo").exists());
}

#[test]
fn what_goes_takes_its_edges_along_whatever_the_profile_says_of_foreign_keys() {
    let scene = Scene::new();
    scene.write("a.md", "[[z]] #first");
    scene.write("z.md", "[[a]] #last");
    let mut profile = Profile::hardened();
    for pragma in profile.pragmas.iter_mut().filter(|it| it.name == "foreign_keys") {
        "OFF".clone_into(&mut pragma.expected);
    }
    let run = || go(&IngestRequest { profile: profile.clone(), ..scene.request() }).expect("it is ingested");
    run();
    scene.delete("z.md");
    assert_eq!(run().removed, 1);
    assert_eq!(scene.rows().links(), ["notes/a.md wikilink z -> "]);
    // It may get the row number of the one that went.
    scene.write("y.md", "nothing but text");
    run();
    assert!(!scene.rows().links().iter().any(|link| link.starts_with("notes/y.md")), "{:?}", scene.rows());
}

#[test]
fn an_alias_of_logseq_leads_to_its_page_where_no_document_has_the_name() {
    let scene = Scene::new();
    let leads_to = |target: &str| {
        let start = format!("notes/source.md wikilink {target} -> ");
        let links = scene.rows().links();
        let link = links.into_iter().find_map(|link| link.strip_prefix(&start).map(str::to_owned));
        link.unwrap_or_else(|| panic!("no link to {target}"))
    };
    scene.write("source.md", "[[The Log]] [[wal]] [[Write-Ahead, Log]]\n");
    scene.write("pages/log.md", "- title:: The Log\n  alias:: WAL, [[Write-Ahead, Log]]\n- text\n");
    scene.run();
    assert_eq!([leads_to("The Log"), leads_to("wal")], ["", ""], "no folder of Logseq");

    // The text is read again when its file changes.
    scene.write("logseq/config.edn", "{}");
    scene.write("pages/log.md", "- title:: The Log\n  alias:: WAL, [[Write-Ahead, Log]]\n- other text\n");
    scene.run();
    for target in ["The Log", "wal", "Write-Ahead, Log"] {
        assert_eq!(leads_to(target), "notes/pages/log.md", "{target}");
    }
    assert!(scene.found("ahead").contains(&"notes/pages/log.md".to_owned()), "properties are text too");

    scene.write("WAL.md", "A page of that name.\n");
    scene.write("pages/a.md", "alias:: The Log\n");
    scene.run();
    assert_eq!(leads_to("wal"), "notes/WAL.md", "a document comes first");
    assert_eq!(leads_to("The Log"), "notes/pages/a.md", "the first by path");

    scene.delete("WAL.md");
    scene.write("pages/a.md", "text\n");
    scene.run();
    assert_eq!([leads_to("wal"), leads_to("The Log")], ["notes/pages/log.md"; 2]);

    scene.delete("pages/log.md");
    scene.run();
    assert_eq!([leads_to("wal"), leads_to("The Log")], ["", ""]);
}
