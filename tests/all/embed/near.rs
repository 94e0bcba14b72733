//! Documents that are near in meaning: found by a search, and linked.

use waltop::ingest::search::SearchError;

use super::*;

#[test]
fn what_is_near_in_meaning_is_found() {
    let scene = Scene::new();
    scene.write("fish.md", "# Herring\n\nHerrings swim in the sea, the cold sea.\n");
    scene.write("horse.md", "# Horse\n\nA horse runs over the meadow.\n");
    scene.write("log.md", "# The log\n\nIt grows while a reader pins it.\n");
    scene.run(scene.options());
    assert_eq!(scene.found("what swims or swim in sea?")[0], "notes/fish.md");
    assert_eq!(scene.found("meadow horse")[0], "notes/horse.md");
    // A text that has changed is not found by what it was.
    scene.write("horse.md", "# Cow\n\nIt stands.\n");
    let output =
        scene.waltop(&["ingest", "notes", "--root", "notes", "--db", "notes.db"]).output().expect("it runs");
    assert!(output.status.success());
    assert!(!scene.found("meadow horse").contains(&"notes/horse.md".to_owned()));
    let url = scene.server.url();
    for (args, word) in [
        (
            &["--semantic", "--embed", &*url, "--embed-model", "none"][..],
            "has no vectors of none (but of words): make",
        ),
        (&["--semantic"], "--embed"),
        (&["--semantic", "--embed", "nonsense"], "give one like http://"),
    ] {
        let args = [&["search", "x", "--db", "notes.db"], args].concat();
        let output = scene.waltop(&args).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(said(&output).contains(word) && said(&output).lines().count() == 1, "{output:?}");
    }
    scene.server.state.dimension.store(32, SeqCst);
    let args = ["search", "x", "--db", "notes.db", "--semantic", "--embed", &url, "--embed-model", MODEL];
    let output = scene.waltop(&args).output().expect("it runs");
    let dimension = SearchError::Dimension { model: MODEL.to_owned(), stored: 64, query: 32 };
    assert!(said(&output).contains(&dimension.to_string()), "{output:?}");
}

#[test]
fn near_documents_are_linked_and_no_longer_once_they_part() {
    let scene = Scene::new();
    let sea = "herrings swim in the cold northern sea";
    scene.write("a.md", sea);
    scene.write("b.md", &format!("{sea} again"));
    scene.write("c.md", "a horse runs over some green meadow");
    let near = || EmbedOptions { neighbours: Some(0.8), ..scene.options() };
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(scene.run(near()).embedding.expect("it was come to").edges_changed, 2);
    assert_eq!(scene.near(), [pair("a", "b"), pair("b", "a")]);
    assert_eq!(scene.run(near()).embedding.expect("it was come to").edges_changed, 0);
    // One comes near that was far, one goes.
    scene.write("c.md", &format!("{sea} too"));
    fs::remove_file(scene.dir.path().join("notes/b.md")).expect("it was there");
    scene.run(near());
    assert_eq!(scene.near(), [pair("a", "c"), pair("c", "a")]);
    assert_eq!(scene.number("SELECT count(*) FROM edges WHERE kind = 'semantic'"), 2);
    // One turns away.
    scene.write("a.md", "something else entirely, about locks and readers");
    scene.run(near());
    assert_eq!(scene.near(), []);
    assert_eq!(scene.number("SELECT count(*) FROM edges WHERE kind = 'semantic'"), 0);
}

#[test]
fn another_document_under_an_old_name_does_not_take_over_its_edges() {
    let scene = Scene::new();
    for name in ["a.md", "b.md"] {
        scene.write(name, "herrings swim in the cold northern sea");
    }
    scene.run(EmbedOptions { neighbours: Some(0.8), ..scene.options() });
    assert_eq!(scene.near().len(), 2);
    let without = |scene: &Scene| {
        let args = ["ingest", "notes", "--root", "notes", "--db", "notes.db"];
        assert!(scene.waltop(&args).output().expect("it runs").status.success());
    };
    fs::remove_file(scene.dir.path().join("notes/b.md")).expect("it was there");
    without(&scene);
    scene.write("b.md", "a horse runs over some green meadow");
    without(&scene);
    assert_eq!(scene.near(), []);
    let output = scene.waltop(&["search", "herrings", "--db", "notes.db"]).output().expect("it runs");
    assert!(!String::from_utf8_lossy(&output.stdout).contains('→'), "{output:?}");
}
