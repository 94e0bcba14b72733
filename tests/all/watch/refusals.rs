//! Watches that do not start.

use super::*;

#[test]
fn a_second_watch_is_refused_and_an_ingestion_beside_it_is_not() {
    let scene = Scene::new();
    let watch = scene.watch(&[]);
    let second = scene.output("watch", &[]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!((second.status.code(), second.stdout.len()), (Some(2), 0), "{said}");
    assert!(said.contains(&format!("is being watched by process {}; stop", watch.pid())), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let ingest = scene.output("ingest", &[]);
    assert!(ingest.status.success(), "{}", String::from_utf8_lossy(&ingest.stderr));
}

#[test]
fn settings_that_are_read_only_refuse_it() {
    let scene = Scene::new();
    let config = scene.dir.path().join("config/waltop");
    fs::create_dir_all(&config).expect("a folder");
    fs::write(config.join("config.toml"), "readonly = true\n").expect("a file");
    let refused = scene.output("watch", &[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(!scene.db().exists());
}

#[test]
fn what_cannot_be_watched_is_refused_before_anything_is_made() {
    let scene = Scene::new();
    fs::write(scene.db(), "not a database, but long enough to be told from one").expect("a file");
    let refused = scene.output("watch", &[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    fs::remove_file(scene.db()).expect("it was there");
    fs::rename(scene.notes(), scene.dir.path().join("gone")).expect("a rename");
    fs::create_dir(scene.dir.path().join("data")).expect("a folder");
    let refused = scene.output("watch", &[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(!scene.dir.path().join("state").exists());
}
