//! Real ingestions that die, stop, are slow or leave files out.

use std::process::{Child, Command, Stdio};

use waltop::snapshot::{Ingestion, IngestionState, RemedyAction};

use super::*;
use crate::support::WALTOP;

/// An ingestion of the scene's folder of notes. It ends with its value.
struct Run(Child);

impl Run {
    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a PID fits")
    }

    /// Waits for its end; the exit code.
    fn end(&mut self) -> Option<i32> {
        self.0.wait().expect("it ends").code()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn notes(scene: &Scene, count: usize) -> PathBuf {
    let folder = scene.folder.path().join("my notes");
    fs::create_dir_all(&folder).expect("a folder");
    for number in 0..count {
        fs::write(folder.join(format!("{number}.md")), format!("# Note {number}\n")).expect("a file");
    }
    folder
}

fn ingest(scene: &Scene) -> Run {
    let child = Command::new(WALTOP)
        .args(["ingest", "--batch", "1", "--db"])
        .arg(scene.path())
        .arg(scene.folder.path().join("my notes"))
        .env("XDG_STATE_HOME", scene.state.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("waltop starts");
    Run(child)
}

/// A watch to which a log of the usual depth is nothing remarkable, nor a batch on a busy machine, under what `change` makes of its configuration.
fn watch_with(scene: &Scene, change: impl FnOnce(&mut Config)) -> Monitor {
    scene.watch_with(|config| {
        config.profile.pragmas.retain(|it| it.name != "wal_autocheckpoint");
        config.thresholds.slow_batch = (LONG, LONG);
        change(config);
    })
}

fn patient(scene: &Scene) -> Monitor {
    watch_with(scene, |_| {})
}

/// The run that is told first, once `is_so`.
fn wait_for(watch: &mut Monitor, is_so: impl Fn(&Ingestion) -> bool) -> Ingestion {
    eventually("the run gets there", || look(watch).ingestions.into_iter().next().filter(|run| is_so(run)))
}

/// An ingestion beside another client, for whom it leaves a gap after each batch, and with some of them done.
fn under_way(scene: &Scene, watch: &mut Monitor) -> (Actor, Run) {
    notes(scene, 500);
    let mut neighbour = scene.actor();
    neighbour.sql("SELECT * FROM t");
    let run = ingest(scene);
    wait_for(watch, |it| it.batches > 2 && it.is_running());
    (neighbour, run)
}

#[test]
fn an_ingestion_that_was_killed() {
    let scene = Scene::new("wal");
    let mut watch = patient(&scene);
    let (_neighbour, mut run) = under_way(&scene, &mut watch);
    assert_healthy(&mut watch);
    run.0.kill().expect("it lives");
    run.end();
    let finding = found(&mut watch, FindingKind::CrashedIngestion, Some(run.pid()));
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(finding.evidence["files_total"], 500);
    let folder = scene.folder.path().canonicalize().expect("there").join("my notes");
    let command = format!("waltop ingest '{}' --db {}", folder.display(), scene.path().display());
    assert_eq!(finding.remedy.command, Some(command));
    // The next run of the folder clears it, from its first line on.
    for number in 5..500 {
        fs::remove_file(folder.join(format!("{number}.md"))).expect("removed");
    }
    assert_eq!(ingest(&scene).end(), Some(0));
    assert_eq!(look(&mut watch).ingestions.len(), 2);
    assert_healthy(&mut watch);
}

#[test]
fn an_ingestion_that_is_stopped() {
    let scene = Scene::new("wal");
    let mut patient = patient(&scene);
    let (_neighbour, mut run) = under_way(&scene, &mut patient);
    // Between two batches: to be stopped in the middle of one is another finding.
    eventually("it is stopped without a lock", || {
        send(run.pid(), Signal::STOP);
        let is_stopped = || {
            let database = look(&mut patient);
            let process = database.process(run.pid())?;
            process.is_stopped().then_some(database.locks.writer.is_none())
        };
        let is_between = eventually("it is stopped", is_stopped);
        if !is_between {
            send(run.pid(), Signal::CONT);
        }
        is_between.then_some(())
    });
    assert!(!has(&look(&mut patient), FindingKind::StalledIngestion), "not for half a minute");
    let mut watch =
        watch_with(&scene, |config| config.thresholds.stalled_ingestion = Duration::from_millis(200));
    let finding = found(&mut watch, FindingKind::StalledIngestion, Some(run.pid()));
    assert_eq!(finding.evidence["stopped"], true);
    assert_eq!(finding.remedy.command, Some(format!("kill -CONT {}", run.pid())));
    send(run.pid(), Signal::CONT);
    send(run.pid(), Signal::TERM);
    assert_eq!(run.end(), Some(130));
    wait_for(&mut patient, |it| it.state == IngestionState::Stopped);
    assert_healthy(&mut patient);
}

#[test]
fn an_ingestion_that_waits_for_a_lock() {
    let scene = Scene::new("wal");
    let mut watch =
        watch_with(&scene, |config| config.thresholds.stalled_ingestion = Duration::from_millis(300));
    let (mut neighbour, mut run) = under_way(&scene, &mut watch);
    eventually("the lock is free", || (neighbour.try_sql("BEGIN IMMEDIATE") == "ok").then_some(()));
    let finding = found(&mut watch, FindingKind::StalledIngestion, Some(run.pid()));
    let holder = format!("{} (waltop) holds the write lock", neighbour.pid());
    assert!(finding.message.ends_with(&holder), "{}", finding.message);
    assert_eq!(finding.evidence["writer"], neighbour.pid());
    assert_eq!(finding.remedy.action, Some(RemedyAction::StopIngestion));
    neighbour.sql("COMMIT");
    send(run.pid(), Signal::TERM);
    run.end();
    wait_for(&mut watch, |it| !it.is_running());
    assert_healthy(&mut watch);
}

#[test]
fn an_ingestion_with_a_slow_batch() {
    let scene = Scene::new("wal");
    notes(&scene, 3);
    let mut run = ingest(&scene);
    assert_eq!(run.end(), Some(0));
    assert_healthy(&mut patient(&scene));
    let mut watch = watch_with(&scene, |config| config.thresholds.slow_batch = (Duration::ZERO, LONG));
    let finding = found(&mut watch, FindingKind::SlowBatch, Some(run.pid()));
    assert_eq!((finding.severity, &finding.evidence["files"]), (Severity::Warning, &1.into()));
    assert!(finding.evidence["hold_ms"].as_f64() > Some(0.0));
    let mut watch =
        watch_with(&scene, |config| config.thresholds.slow_batch = (Duration::ZERO, Duration::ZERO));
    assert_eq!(found(&mut watch, FindingKind::SlowBatch, Some(run.pid())).severity, Severity::Error);
}

#[test]
fn an_ingestion_that_leaves_files_out() {
    let scene = Scene::new("wal");
    let folder = notes(&scene, 3);
    let bad = folder.join("bad.md");
    fs::write(&bad, b"\xff\xfe").expect("a file");
    let mut run = ingest(&scene);
    assert_eq!(run.end(), Some(1));
    let mut watch = patient(&scene);
    let finding = found(&mut watch, FindingKind::FailedFiles, Some(run.pid()));
    assert_eq!(finding.severity, Severity::Warning);
    let path = bad.canonicalize().expect("there").display().to_string();
    let files = serde_json::json!([{"path": path, "reason": "it is not UTF-8: byte 0 is out of place"}]);
    assert_eq!(finding.evidence["files"], files);
    fs::write(&bad, "# Good now\n").expect("a file");
    assert_eq!(ingest(&scene).end(), Some(0));
    assert_healthy(&mut watch);
}
