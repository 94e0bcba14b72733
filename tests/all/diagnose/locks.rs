//! What is held for long, and by whom it cannot be given back.

use super::*;
use crate::namespace::may_change_namespaces;

/// A writer that moves nothing by itself, and a reader at a frame of its own.
fn pair(scene: &Scene) -> (Actor, Actor) {
    let (mut writer, mut reader) = (scene.actor(), scene.actor());
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    (writer, reader)
}

#[test]
fn a_reader_that_pins_the_log() {
    let scene = Scene::new("wal");
    let (mut writer, mut reader) = pair(&scene);
    // The healthy twin: it reads for as long, and keeps fewer frames than are moved at a time.
    writer.sql("INSERT INTO t VALUES (3)").sql("INSERT INTO t VALUES (4)");
    let mut watch = scene.watch(Duration::from_millis(50), LONG);
    eventually("the reader has been there for long enough", || {
        assert_healthy(&mut watch);
        let held = look(&mut watch).locks.readers.iter().find(|it| it.pid == Some(reader.pid()))?.held_ms?;
        (held > 100.0).then_some(())
    });
    writer.sql("INSERT INTO t VALUES (5)");
    let finding = found(&mut watch, FindingKind::PinnedWal, Some(reader.pid()));
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(finding.evidence["pinned_frames"], 3);
    assert_eq!(finding.evidence["frame"], 1);
    assert_eq!(finding.remedy.command, Some(format!("kill -TERM {}", reader.pid())));
    reader.sql("COMMIT");
    assert_healthy(&mut watch);
}

#[test]
fn a_reader_that_was_forgotten_but_pins_little() {
    let scene = Scene::new("wal");
    let (mut writer, mut reader) = pair(&scene);
    writer.sql("INSERT INTO t VALUES (3)");
    // The healthy twin reads the newest state for as long.
    let mut twin = scene.actor();
    twin.sql("BEGIN").sql("SELECT * FROM t");
    // A query of two seconds is no forgotten transaction.
    assert_healthy(&mut scene.patient());
    let mut watch = scene.watch_with(|config| config.thresholds.old_snapshot.0 = Duration::from_millis(50));
    let finding = found(&mut watch, FindingKind::OldSnapshot, Some(reader.pid()));
    assert_eq!((finding.severity, finding.remedy.action), (Severity::Info, None));
    assert_eq!((&finding.evidence["newer_frames"], &finding.evidence["frame"]), (&1.into(), &1.into()));
    let old = look(&mut watch).findings.into_iter().filter(|it| it.kind == FindingKind::OldSnapshot);
    assert_eq!(old.map(|it| it.pid).collect::<Vec<_>>(), [Some(reader.pid())]);
    reader.sql("COMMIT");
    assert_healthy(&mut watch);
    twin.sql("COMMIT");
}

#[test]
fn a_reader_of_the_main_file_alone_pins_it_too() {
    let scene = Scene::new("wal");
    let (mut writer, mut reader) = (scene.actor(), scene.actor());
    // With nothing in the log a reader takes slot 0.
    writer.sql("PRAGMA wal_autocheckpoint = 0");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    for _ in 0..3 {
        writer.sql("INSERT INTO t VALUES (2)");
    }
    let mut watch = scene.watch(Duration::from_millis(50), LONG);
    let finding = found(&mut watch, FindingKind::PinnedWal, Some(reader.pid()));
    assert_eq!(finding.evidence["slot"], 0);
    assert_eq!(finding.evidence["pinned_frames"], 3);
}

#[test]
fn a_write_lock_that_is_held_for_long() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("BEGIN IMMEDIATE");
    assert_healthy(&mut scene.patient());
    let mut watch = scene.watch(LONG, Duration::from_millis(400));
    let finding = found(&mut watch, FindingKind::LongWriteLock, Some(writer.pid()));
    assert_eq!(finding.evidence["busy_timeout_ms"], 400.0);
    assert_eq!(finding.evidence["now"], true);
    eventually("it becomes an error", || {
        let finding = found(&mut watch, FindingKind::LongWriteLock, Some(writer.pid()));
        (finding.severity == Severity::Error).then_some(())
    });
    writer.sql("COMMIT");
    assert_healthy(&mut watch);
}

#[test]
fn a_long_hold_is_found_after_it_is_over() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("SELECT * FROM t");
    let mut watch = scene.sampled(Duration::from_millis(100));
    assert_healthy(&mut watch);
    writer.sql("BEGIN IMMEDIATE");
    found(&mut watch, FindingKind::LongWriteLock, Some(writer.pid()));
    writer.sql("COMMIT");
    let finding = eventually("it is over", || {
        let finding = found(&mut watch, FindingKind::LongWriteLock, Some(writer.pid()));
        (finding.evidence["now"] == false).then_some(finding)
    });
    assert_eq!(finding.remedy.action, None, "it is over");
    assert_eq!(finding.remedy.command.as_deref(), Some("waltop explain long-write-lock"));
}

/// A control group of its own that can be frozen.
struct FrozenGroup {
    folder: PathBuf,
    file: &'static str,
    words: [&'static str; 2],
}

impl FrozenGroup {
    /// One of version 1 and one of version 2, as far as this machine lets a test make them.
    fn all() -> Vec<Self> {
        let name = format!("waltop-test-{}", std::process::id());
        let group = |root: &str, file, words| {
            let group = Self { folder: Path::new(root).join(&name), file, words };
            let can = fs::create_dir(&group.folder).is_ok() && group.folder.join(file).exists();
            (can && may_change_namespaces()).then_some(group)
        };
        let one = group("/sys/fs/cgroup/freezer", "freezer.state", ["THAWED", "FROZEN"]);
        let two = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
            .into_iter()
            .find_map(|root| group(root, "cgroup.freeze", ["0", "1"]));
        let groups: Vec<_> = one.into_iter().chain(two).collect();
        if groups.is_empty() {
            eprintln!("not tested: this machine does not let us make a control group");
        }
        groups
    }

    fn freeze(&self, pid: i32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).expect("it can be moved");
        fs::write(self.folder.join(self.file), self.words[1]).expect("it can be frozen");
    }

    fn thaw(&self) {
        fs::write(self.folder.join(self.file), self.words[0]).expect("it can be thawed");
    }
}

impl Drop for FrozenGroup {
    fn drop(&mut self) {
        // A group with a process in it stays until that has ended.
        let _ = fs::write(self.folder.join(self.file), self.words[0]);
        let parent = self.folder.parent().expect("a folder").join("cgroup.procs");
        let pids = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        for pid in pids.lines() {
            let _ = fs::write(&parent, pid);
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

#[test]
fn a_frozen_process_that_holds_a_lock() {
    for group in FrozenGroup::all() {
        let scene = Scene::new("wal");
        let mut holder = scene.actor();
        holder.sql("BEGIN IMMEDIATE");
        let mut watch = scene.patient();
        assert_healthy(&mut watch);
        group.freeze(holder.pid());
        let finding = found(&mut watch, FindingKind::StoppedHolder, Some(holder.pid()));
        assert_eq!((&finding.evidence["state"], finding.remedy.command), (&"frozen".into(), None));
        group.thaw();
        holder.sql("COMMIT");
        eventually("all is well", || serious(&look(&mut watch)).is_empty().then_some(()));
    }
}

#[test]
fn a_stopped_process_that_holds_a_lock() {
    let scene = Scene::new("wal");
    let (mut holder, mut idle) = (scene.actor(), scene.actor());
    idle.sql("SELECT * FROM t");
    holder.sql("BEGIN IMMEDIATE");
    let mut watch = scene.patient();
    // The healthy twin is stopped as well, and holds what any idle connection holds.
    signal(&idle, Signal::STOP);
    eventually("the idle one is stopped", || {
        let database = look(&mut watch);
        database.process(idle.pid()).is_some_and(waltop::snapshot::Process::is_stopped).then_some(())
    });
    assert_healthy(&mut watch);
    signal(&holder, Signal::STOP);
    let finding = found(&mut watch, FindingKind::StoppedHolder, Some(holder.pid()));
    assert_eq!(finding.severity, Severity::Error);
    let holds = finding.evidence["holds"].as_array().expect("a list");
    assert!(holds.contains(&"write".into()), "{finding:?}");
    assert_eq!(finding.remedy.command, Some(format!("kill -CONT {}", holder.pid())));
    for actor in [&idle, &holder] {
        signal(actor, Signal::CONT);
    }
    holder.sql("COMMIT");
    eventually("all is well", || serious(&look(&mut watch)).is_empty().then_some(()));
}
