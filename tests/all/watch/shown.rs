//! How a watch is shown: in a sample, on the screen, as JSON.

use super::*;

#[test]
fn it_shows_as_what_it_is_while_it_lives() {
    let scene = Scene::new();
    let watch = scene.watch(&[]);
    let ask = |arguments: &[&str]| {
        let output = Command::new(WALTOP)
            .args(arguments)
            .arg(scene.db())
            .env("XDG_STATE_HOME", scene.dir.path().join("state"))
            .env("XDG_CONFIG_HOME", scene.dir.path().join("config"))
            .output()
            .expect("waltop runs");
        String::from_utf8(output.stdout).expect("text")
    };
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&ask(arguments)).expect("JSON") };
    let runs = json(&["runs", "--json"]);
    let (folder, database) = (scene.notes().display().to_string(), scene.db().display().to_string());
    assert_eq!(runs["watchers"][0]["pid"], watch.pid());
    assert_eq!(runs["watchers"][0]["database"], *database);
    let said = format!("watching: process {} keeps {database} in step with {folder}, for ", watch.pid());
    assert!(ask(&["runs"]).contains(&said), "{}", ask(&["runs"]));
    let watchers = json(&["status", "--json"])["databases"][0]["watchers"].take();
    assert_eq!((&watchers[0]["pid"], &watchers[0]["folders"][0]), (&json!(watch.pid()), &json!(folder)));
    assert!(ask(&["status"]).contains(&format!("process {} keeps it in step with", watch.pid())));

    watch.signal(Signal::KILL);
    watch.ends();
    assert_eq!(json(&["runs", "--json"])["watchers"], json!([]), "its file lies there, and is no watch");
    assert!(!ask(&["runs"]).contains("watching:"));
}

#[test]
fn the_console_says_who_watches() {
    let mut database = contended();
    let since = "2026-01-15T13:00:00Z".parse().expect("a time");
    let folders = vec!["/home/me/notes".to_owned()];
    database.watchers = vec![IngestWatcher { pid: 71555, start_ticks: Some(1), folders, since }];
    let stage = Stage::new(look(vec![database.clone()]), (120, 40));
    assert!(stage.screen().contains("71555 watches notes for 1 h"), "{}", stage.screen());
    assert!(stage.screen().contains("312 of 556"), "{}", stage.screen());
    let mut of_it = database.clone();
    of_it.watchers[0].pid = of_it.ingestions[0].pid;
    let mut stage = Stage::new(look(vec![of_it]), (120, 40));
    stage.keys("i");
    let ends = "It is that of a watch, which ends with it.";
    stage.pinned(SignalTarget { pid: 71201, start_ticks: 71201 });
    assert!(stage.screen().contains(ends), "{}", stage.screen());
    database.ingestions.clear();
    let stage = Stage::new(look(vec![database]), (120, 40));
    assert!(stage.screen().contains("71555 watches notes for 1 h"), "{}", stage.screen());
    assert!(stage.screen().contains("No ingestion yet."), "{}", stage.screen());
}

#[test]
fn each_run_is_a_line_of_json() {
    let scene = Scene::new();
    let watch = scene.watch(&["--json"]);
    fs::remove_file(scene.notes().join("two.md")).expect("it was there");
    watch.ran(2);
    let runs: Vec<RunSummary> =
        lines(&watch.out).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((runs[0].ingested, runs[1].removed), (2, 1));
    assert!(runs.iter().all(|run| run.run.is_some()));
}
