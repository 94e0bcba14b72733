//! Search by words and by meaning together, and what it does when the API is late or gone.

use std::time::Instant;

use serde_json::{Value, json};

use super::*;

fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("fish.md", "# Herring\n\nHerrings swim in the cold sea.\n");
    scene.write("lock.md", "---\ntags: [sea]\n---\n# Lock\n\nThe busy_timeout of a writer.\n");
    scene.write("log.md", "# The log\n\nIt grows while a reader pins it.\n");
    scene.run(scene.options());
    scene
}

fn paths(answer: &Value) -> Vec<&str> {
    answer["hits"].as_array().expect("hits").iter().filter_map(|hit| hit["path"].as_str()).collect()
}

#[test]
fn both_lists_are_merged_and_the_conditions_apply_to_both() {
    let scene = scene();
    // No document has all of these words.
    let answer = scene.search(&["which reader pins it while swim"]);
    assert_eq!((&answer["by"], &answer["words_alone"]), (&json!("both"), &Value::Null));
    assert_eq!(answer["matched"], "any");
    assert_eq!((paths(&answer)[0], paths(&answer).len()), ("notes/log.md", 3));
    assert!(answer["hits"][0]["similarity"].is_f64(), "{answer}");
    // An identifier comes first, whatever is near.
    let answer = scene.search(&["busy_timeout"]);
    assert_eq!((paths(&answer)[0], &answer["matched"]), ("notes/lock.md", &json!("all")));
    assert!(answer["hits"][0]["snippet"].as_str().is_some_and(|it| it.contains('«')), "{answer}");
    for (query, expected) in [("tag:sea swim", vec!["notes/lock.md"]), ("swim path:fish -herrings", vec![])] {
        for options in [&[query][..], &["--semantic", query]] {
            let args = [&["search", "--db", "notes.db", "--json", "--embed", &scene.server.url()], options];
            let args = [args.concat(), vec!["--embed-model", MODEL]].concat();
            let output = scene.waltop(&args).output().expect("it runs");
            let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(paths(&answer), expected, "{options:?}");
        }
    }
    let seen = scene.server.seen();
    let output = scene.waltop(&["search", "--db", "notes.db", "--json", "--words", "swim"]).output();
    let answer: Value = serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON");
    assert_eq!((&answer["by"], paths(&answer)), (&json!("words"), vec!["notes/fish.md"]));
    assert_eq!(scene.server.seen(), seen, "words alone ask no API");
}

#[test]
fn without_a_vector_in_time_the_words_answer_and_it_says_so() {
    let scene = scene();
    scene.server.state.is_held.store(true, SeqCst);
    let begun = Instant::now();
    let url = scene.server.url();
    let silent =
        scene.waltop(&["search", "--db", "notes.db", "--embed", &url, "--embed-model", MODEL, "swim"]);
    let output = { silent }.output().expect("it runs");
    // The limit is 300 ms; the rest is for a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    scene.server.state.is_held.store(false, SeqCst);
    let lines = said(&output);
    assert!(lines.starts_with("searched by words alone: ") && lines.lines().count() == 1, "{lines}");
    assert!(lines.contains(" within 300") && output.status.success(), "{lines}");
    for (url, model, expected) in
        [("http://127.0.0.1:1/v1", MODEL, "unreachable"), (&*url, "none", "no_vectors")]
    {
        let args = ["search", "--db", "notes.db", "--json", "--embed", url, "--embed-model", model, "swim"];
        let output = scene.waltop(&args).output().expect("it runs");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&answer["by"], &answer["words_alone"]), (&json!("words"), &json!(expected)));
        assert_eq!((paths(&answer), said(&output).lines().count()), (vec!["notes/fish.md"], 1));
    }
    scene.server.state.fails.store(1, SeqCst);
    assert_eq!(scene.search(&["swim"])["words_alone"], "refused", "it is not tried again");
    scene.server.state.dimension.store(32, SeqCst);
    assert_eq!(scene.search(&["swim"])["words_alone"], "other_length");
}

#[test]
fn the_settings_name_the_api_for_every_search_and_databases_without_vectors_stay_quiet() {
    let scene = scene();
    let config = scene.dir.path().join("with-api.toml");
    let text = format!("[search]\nembed = '{}'\nembed_model = '{MODEL}'\n", scene.server.url());
    fs::write(&config, text).expect("the settings");
    let search = |options: &[&str]| {
        let config = config.display().to_string();
        let args = ["--config", &config, "search", "--json", "swim"];
        let output = scene.waltop(&[&args, options].concat()).output().expect("it runs");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (answer["by"].clone(), answer["words_alone"].clone(), said(&output))
    };
    assert_eq!(search(&["--db", "notes.db"]), (json!("both"), Value::Null, String::new()));
    assert_eq!(search(&["--db", "notes.db", "--words"]), (json!("words"), Value::Null, String::new()));
    assert_eq!(search(&["--db", "notes.db", "--semantic"]), (json!("meaning"), Value::Null, String::new()));
    let plain = ["ingest", "notes", "--root", "notes", "--db", "plain.db"];
    assert!(scene.waltop(&plain).output().expect("it runs").status.success());
    let quiet = (json!("words"), json!("no_vectors"), String::new());
    assert_eq!(search(&["--db", "plain.db"]), quiet);
}
