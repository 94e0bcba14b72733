//! Vectors of the sections of long documents: what is sent, what is stored, and what replaces the vectors of an older
//! version.

use waltop::ingest::embed::sections::MOST_SECTIONS;

use super::*;

/// Text that has none of the words that the tests search for.
fn filler() -> String {
    "Nothing of note is written in this part of the document. ".repeat(160)
}

impl Scene {
    fn sections(&self) -> i64 {
        self.number("SELECT count(*) FROM nodes_sections")
    }
}

#[test]
fn a_passage_at_the_end_of_a_long_document_is_found_and_shown() {
    let scene = Scene::new();
    let late = format!("## Herrings\n\n{}", ["Herrings swim in the cold sea."; 10].join(" "));
    scene.write("long.md", &format!("# Long\n\n{}\n\n{late}\n\n## Rest\n\n{}\n", filler(), filler()));
    scene.write("short.md", "# Short\n\nA horse runs over the meadow of a farm.\n");
    scene.write("other.md", &format!("# Other\n\n{}\n", filler()));
    assert_eq!(embedded(&scene.run(scene.options())), (3, 3, None));
    let output = scene.search(&["herrings swim cold sea", "--semantic"]);
    let hit = &output["hits"][0];
    assert_eq!(hit["path"], "notes/long.md");
    let snippet = hit["snippet"].as_str().expect("a snippet");
    assert!(snippet.starts_with("…## Herrings Herrings swim in the cold sea."), "{hit}");
    let offset = usize::try_from(hit["section_offset"].as_u64().expect("an offset")).expect("a place");
    let body = fs::read_to_string(scene.dir.path().join("notes/long.md")).expect("the document");
    assert!(offset > 8500 && body[offset..].starts_with("## Herrings"), "{hit}");
    // A short document has the vector of the whole alone, a long one those of its sections with its title.
    assert_eq!(
        scene.number("SELECT sections FROM nodes_vectors JOIN nodes ON id = node WHERE title = 'Short'"),
        1
    );
    assert_eq!(scene.number("SELECT sum(sections) FROM nodes_vectors WHERE sections > 1"), scene.sections());
    let texts = scene.server.state.texts.lock().expect("the texts");
    assert!(texts.contains(&format!("Long\n\n{late}")), "{texts:#?}");
    assert!(texts.iter().all(|text| text.chars().count() <= 1000));
}

#[test]
fn the_sections_of_a_document_go_with_it() {
    let scene = Scene::new();
    scene.write("a.md", &filler());
    scene.write("b.md", &filler());
    scene.run(scene.options());
    let each = scene.sections() / 2;
    assert!(each > 5);
    scene.write("a.md", "now it is short");
    let plain = ["ingest", "notes", "--root", "notes", "--db", "notes.db"];
    assert!(scene.waltop(&plain).output().expect("it runs").status.success());
    assert_eq!((scene.vectors(), scene.sections()), (1, each), "those of the old text are gone at once");
    fs::remove_file(scene.dir.path().join("notes/b.md")).expect("it was there");
    scene.run(scene.options());
    assert_eq!((scene.vectors(), scene.sections()), (1, 0));
    scene.write("a.md", &filler());
    scene.run(scene.options());
    scene.run(EmbedOptions { have: ExistingVectors::Discarded, ..scene.options() });
    assert_eq!((scene.vectors(), scene.sections()), (1, each));
}

#[test]
fn a_document_with_more_sections_than_the_most_is_reported() {
    let scene = Scene::new();
    scene.write("huge.md", &filler().repeat(3));
    let chars = NonZeroUsize::new(100).expect("some");
    let summary = scene.run(EmbedOptions { chars, ..scene.options() });
    assert_eq!(embedded(&summary), (1, 1, None));
    let [warned] = &summary.warned[..] else { panic!("{:?}", summary.warned) };
    let most = i64::try_from(MOST_SECTIONS).expect("some");
    assert!(warned.path.ends_with("huge.md") && warned.reason.contains(&most.to_string()), "{warned:?}");
    assert_eq!((scene.sections(), summary.exit_code()), (most, 0));
}

#[test]
fn the_sections_that_a_server_refuses_together_are_sent_one_by_one() {
    let scene = Scene::new();
    scene.server.state.most_texts.store(1, SeqCst);
    scene.write("a.md", &filler());
    let summary = scene.run(scene.options());
    assert_eq!((embedded(&summary), summary.warned.len()), ((1, 1, None), 0), "{summary:?}");
    assert!(scene.sections() > 5);
}

#[test]
fn vectors_of_an_older_version_answer_until_the_next_run_replaces_them() {
    let scene = Scene::new();
    scene.write("fish.md", "# Herring\n\nHerrings swim in the cold sea.\n");
    scene.write("long.md", &filler());
    scene.run(scene.options());
    let older = "DELETE FROM nodes_sections; UPDATE nodes_vectors SET sections = NULL";
    Connection::open(scene.db()).expect("it opens").execute_batch(older).expect("as it was");
    assert_eq!(scene.found("herrings swim in cold sea")[0], "notes/fish.md");
    let before = scene.server.seen();
    assert_eq!(embedded(&scene.run(scene.options())), (2, 2, None));
    assert!(scene.server.seen() > before + 5 && scene.sections() > 5);
    assert_eq!(scene.found("herrings swim in cold sea")[0], "notes/fish.md");
    assert_eq!(embedded(&scene.run(scene.options())), (0, 0, None));
}

#[test]
fn a_run_that_is_killed_leaves_each_document_with_all_of_its_sections_or_none() {
    let scene = Scene::new();
    for number in 0..60 {
        scene.write(&format!("doc-{number:02}.md"), &format!("# Word{number}\n\n{}", filler()));
    }
    *scene.server.state.delay.lock().expect("the delay") = Duration::from_millis(100);
    let mut child = scene.ingest(&scene.server.url(), &["--embed-calls", "2"]);
    eventually("some are written", || {
        (scene.db().exists() && scene.server.seen() > 10 && scene.vectors() > 0).then_some(())
    });
    child.kill().expect("it lives");
    child.wait().expect("it ends");
    assert!(scene.vectors() < 60, "it was killed in the middle");
    let in_part = "SELECT count(*) FROM nodes_vectors WHERE sections <>
        (SELECT count(*) FROM nodes_sections AS own WHERE own.node = nodes_vectors.node)";
    assert_eq!(scene.number(in_part), 0);
    *scene.server.state.delay.lock().expect("the delay") = Duration::ZERO;
    scene.run(scene.options());
    assert_eq!((scene.vectors(), scene.number(in_part)), (60, 0));
}
