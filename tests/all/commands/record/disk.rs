//! A recorder on a disk that fills up, and one that gets no processor.

use std::{fs::OpenOptions, io::Write as _};

use super::*;
use crate::namespace::Namespace;

/// A disk of 4 MiB below the home, in a mount namespace, with the recordings on it.
struct SmallDisk<'a> {
    home: &'a Home,
    namespace: Namespace,
}

impl<'a> SmallDisk<'a> {
    fn new(home: &'a Home) -> Option<Self> {
        let script = "mkdir disk; mount -t tmpfs -o size=4m none disk";
        Namespace::new("a small disk", script, &home.folder()).map(|namespace| Self { home, namespace })
    }

    fn path(&self) -> PathBuf {
        self.namespace.seen(&self.home.at("disk"))
    }

    fn recordings(&self) -> PathBuf {
        self.path().join("recordings")
    }

    fn record(&self, database: &str, min_free: &str) -> LongRun {
        let options = ["--min-free", min_free, "--every", "100ms", "--trace", "off"];
        recording_by(self.inside("record", database), &options)
    }

    /// `waltop COMMAND DB --dir DIR` where the disk is, in another folder than here.
    fn inside(&self, command: &str, database: &str) -> Command {
        let [launcher, options @ ..] = self.namespace.launcher();
        let mut waltop = self.home.command(Path::new(launcher));
        waltop.args(options).args([WALTOP, command]).arg(self.home.at(database));
        waltop.arg("--dir").arg(self.home.at("disk/recordings"));
        waltop
    }

    /// Fills the disk up to its last `free` bytes.
    fn fill(&self, free: u64) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.filler()).expect("a file");
        // The last page of what the recorder writes may have room yet.
        while file.write_all(&[0; 4096]).is_ok() {}
        let length = file.metadata().expect("there").len();
        file.set_len(length.saturating_sub(free)).expect("cut");
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).expect("removed");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    fn lines(&self) -> Vec<Value> {
        lines_in(&self.recordings())
    }

    fn bytes(&self) -> u64 {
        let files = fs::read_dir(self.recordings()).expect("there").flatten();
        files.map(|file| file.metadata().expect("there").len()).sum()
    }

    /// The lines of the gap once the recorder has written it, and what it said before.
    fn gap(&self, recorder: &mut LongRun) -> Value {
        assert!(recorder.notice().contains("writes again"), "it says nothing else in between");
        let is_gap = |line: &Value| line["event"] == "gap" && line["reason"] == "disk-full";
        eventually("the gap is recorded", || self.lines().into_iter().find(is_gap))
    }
}

fn at(line: &Value, field: &str) -> Timestamp {
    line[field].as_str().expect("a time").parse().expect("a time")
}

#[test]
fn a_full_disk_costs_no_line_and_the_recorder_goes_on_when_there_is_room() {
    let home = Home::with_wal();
    let Some(disk) = SmallDisk::new(&home) else { return };
    let mut recorder = disk.record("notes.db", "1B");
    let mut holder = home.actor();
    holder.sql("BEGIN IMMEDIATE");
    eventually("the hold is recorded", || {
        disk.lines().iter().any(|line| line["event"] == "hold-begun").then_some(())
    });
    // A page is left, in which a line is cut off.
    disk.fill(4096);
    let before = disk.lines();
    holder.sql("COMMIT").sql("BEGIN IMMEDIATE");
    let notice = recorder.notice();
    assert!(notice.contains("writes nothing for now"), "{notice}");
    let full = Timestamp::now();
    // It tries again meanwhile, and says so once.
    thread::sleep(Duration::from_millis(500));
    disk.make_room();
    let gap = disk.gap(&mut recorder);
    assert!(at(&gap, "from") <= full && at(&gap, "to") >= full, "{gap}");
    let after = disk.lines();
    assert!(after.len() > before.len() && after[..before.len()] == before[..], "{after:?}");
    let numbers: Vec<_> = after.iter().map(|line| line["seq"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<_>>(), "each line is whole and there once");
    let position = after.iter().position(|line| *line == gap).expect("there");
    assert_eq!(after.get(position + 1).map(|line| &line["event"]), Some(&"snapshot".into()), "{after:?}");
    let answer = |at: Timestamp| {
        let mut waltop = disk.inside("who", "notes.db");
        let output = waltop.args(["--json", "--at", &at.to_string()]).output().expect("it starts");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), answer["databases"][0].clone())
    };
    let (code, during) = answer(full);
    assert_eq!((code, &during["unwatched"]["reason"]), (Some(2), &"disk-full".into()), "{during}");
    // The hold that began meanwhile is known from the sample behind the gap.
    let later = eventually("it goes on in later lines", || {
        disk.lines().get(position + 5).map(|_| at(&gap, "to") + Duration::from_millis(1))
    });
    holder.sql("COMMIT");
    let is_end = |line: &Value| line["event"] == "hold-ended";
    eventually("its end is recorded", || disk.lines()[position..].iter().any(is_end).then_some(()));
    let (code, later) = answer(later);
    assert_eq!((code, &later["holds"][0]["process"]["pid"]), (Some(0), &holder.pid().into()), "{later}");
    assert_eq!(recorder.end_by(Signal::TERM), Some(0));
}

#[test]
fn a_recorder_leaves_the_room_that_the_database_on_the_same_disk_needs() {
    let home = Home::new();
    let Some(disk) = SmallDisk::new(&home) else { return };
    let mut writer = Actor::open_through(&disk.namespace.launcher(), &home.at("disk/notes.db"));
    writer.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)").sql("INSERT INTO t VALUES (1)");
    let mut recorder = disk.record("disk/notes.db", "1MiB");
    eventually("it has written", || (!disk.lines().is_empty()).then_some(()));
    disk.fill(900 << 10);
    let notice = recorder.notice();
    assert!(notice.contains("writes nothing for now"), "{notice}");
    let before = disk.bytes();
    for _ in 0..5 {
        writer.sql("INSERT INTO t VALUES (randomblob(100000))");
    }
    assert_eq!(disk.bytes(), before, "the recorder has taken nothing of it");
    disk.make_room();
    disk.gap(&mut recorder);
    assert_eq!(recorder.end_by(Signal::TERM), Some(0));
}

#[test]
fn a_stopped_recorder_records_the_time_without_samples() {
    let home = Home::with_wal();
    let recorder = recording(&home, &[]);
    let mut holder = home.actor();
    a_hold(&home, &mut holder);
    // On a busy machine there may be one already.
    let gaps = || lines(&home).into_iter().filter(|line| line["event"] == "gap").count();
    let before = gaps();
    recorder.signal(Signal::STOP);
    let stopped = Timestamp::now();
    // More than its interval, and the 3 s that count as late.
    thread::sleep(Duration::from_millis(3500));
    recorder.signal(Signal::CONT);
    eventually("the gap is recorded", || (gaps() > before).then_some(()));
    let middle = stopped.checked_add(jiff::SignedDuration::from_secs(2)).expect("a time");
    let (code, answer) = who(&home, middle);
    assert_eq!((code, &answer["unwatched"]["reason"]), (Some(2), &"not-scheduled".into()), "{answer}");
    assert_eq!(recorder.end_by(Signal::TERM), Some(0));
}
