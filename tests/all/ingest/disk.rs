//! A disk that fills up under the database, or under the journal.

use super::*;
use crate::namespace::Namespace;

impl Scene {
    /// The same with a small disk at `folder`; `None`, and a word about it, where that cannot be made.
    fn on_small_disk(&self, folder: &str, size: &str) -> Option<Namespace> {
        let script = format!("mkdir -p {folder}; mount -t tmpfs -o size={size} none {folder}");
        Namespace::new("a small disk", &script, self.dir.path())
    }

    /// `waltop ingest` where that disk is.
    fn said_in(&self, namespace: &Namespace, options: &[&str]) -> Said {
        let output = self.ingest(through(namespace, WALTOP), options).output();
        Said::of(output.expect("waltop starts"))
    }
}

fn through(namespace: &Namespace, program: &str) -> Command {
    let [launcher, options @ ..] = namespace.launcher();
    let mut command = Command::new(launcher);
    command.args(options).arg(program);
    command
}

fn succeeds(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
}

fn enlarge(namespace: &Namespace, folder: &Path) {
    succeeds(through(namespace, "mount").args(["-o", "remount,size=256m"]).arg(folder));
}

#[test]
fn what_was_committed_stays_and_the_next_run_carries_on() {
    let clean = Scene::with(600);
    clean.run();
    let scene = Scene { db: "disk/notes.db".into(), ..Scene::with(600) };
    let disk = scene.dir.path().join("disk");
    let Some(namespace) = scene.on_small_disk("disk", "1m") else { return };
    let copied = |name: &str| {
        let to = scene.dir.path().join(name);
        succeeds(through(&namespace, "cp").arg("-r").arg(&disk).arg(&to));
        Rows::of(&to.join("notes.db"))
    };

    let said = scene.said_in(&namespace, &["--batch", "10"]);
    assert!(
        said.refusal().starts_with("no room on the disk of ") && said.err.contains("make room"),
        "{said:?}"
    );
    assert_eq!(scene.end().0, RunOutcome::Failed);
    let committed: u64 = scene
        .journal()
        .iter()
        .filter_map(|line| match line.event {
            JournalEvent::Batch { files, .. } => Some(files),
            _ => None,
        })
        .sum();
    assert!((1..600).contains(&committed), "{committed}");
    assert_eq!(copied("full").nodes.len() as u64, committed);

    enlarge(&namespace, &disk);
    let said = scene.said_in(&namespace, &["--batch", "10"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.starts_with(&format!("{} of 600 ingested, {committed} unchanged", 600 - committed)),
        "{said:?}"
    );
    assert!(copied("whole") == clean.rows(), "not what a clean run gives");
}

#[test]
fn a_disk_that_is_too_small_for_the_tables_is_reported() {
    // Too small for the index beside the log, for the log, and for the main file.
    for size in ["16k", "44k", "4k"] {
        let scene = Scene { db: "disk/notes.db".into(), ..Scene::with(3) };
        let Some(namespace) = scene.on_small_disk("disk", size) else { return };
        let said = scene.said_in(&namespace, &[]);
        assert!(said.refusal().contains("the room on its disk"), "{size}: {said:?}");
        enlarge(&namespace, &scene.dir.path().join("disk"));
        let said = scene.said_in(&namespace, &[]);
        assert_eq!(said.code, Some(0), "{size}: {said:?}");
        assert!(said.out.starts_with("3 of 3 ingested"), "{size}: {said:?}");
    }
}

#[test]
fn a_journal_without_room_ends_the_run_and_keeps_whole_lines() {
    let scene = Scene::with(600);
    let state = scene.dir.path().join("state");
    let Some(namespace) = scene.on_small_disk("state", "24k") else { return };
    let said = scene.said_in(&namespace, &["--batch", "1"]);
    assert!(said.refusal().starts_with("cannot write the journal in "), "{said:?}");
    assert!(
        said.err.contains("No space left on device") && said.err.contains("room on its disk"),
        "{said:?}"
    );
    let ingested = scene.rows().nodes.len();
    assert!((1..600).contains(&ingested), "{ingested}");
    let copy = scene.dir.path().join("copy");
    succeeds(through(&namespace, "cp").arg("-r").arg(&state).arg(&copy));
    let (ingestions, unseen) = Journals::new(copy.join("waltop/runs"), "/proc".into()).look();
    assert_eq!((ingestions.len(), unseen), (1, vec![]), "no line is torn");

    enlarge(&namespace, &state);
    let said = scene.said_in(&namespace, &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(scene.rows().nodes.len(), 600);
}
