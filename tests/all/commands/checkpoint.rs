//! One checkpoint: what it moved, and who is in the way of the rest.

use super::*;
use crate::support::eventually;

const MODES: [&str; 4] = ["passive", "full", "restart", "truncate"];

/// A writer with three frames, of which a reader pins the last two.
fn pinned() -> (Home, Actor, Actor) {
    let home = Home::with_wal();
    let (mut writer, mut reader) = (home.actor(), home.actor());
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (3)").sql("INSERT INTO t VALUES (4)");
    (home, writer, reader)
}

fn report(said: &Said) -> Value {
    let json = said.json();
    assert_eq!(json["databases"].as_array().map(Vec::len), Some(1));
    json["databases"][0].clone()
}

#[test]
fn a_pinned_reader_is_named_in_every_mode() {
    let (home, _writer, reader) = pinned();
    for mode in MODES {
        let said = home.run(&["checkpoint", "--json", "--mode", mode, "notes.db"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        let report = report(&said);
        assert_eq!(report["path"], home.db().to_str().expect("text"));
        assert_eq!(report["mode"], mode);
        assert_eq!(report["busy"], mode != "passive", "{report}");
        assert_eq!((&report["frames_in_log"], &report["frames_moved"]), (&3.into(), &1.into()), "{report}");
        // The first of them has moved what can be moved.
        assert_eq!(report["frames_moved_now"], i32::from(mode == "passive"), "{report}");
        assert_eq!(report["complete"], false);
        assert_eq!(report["blocked_by"].as_array().map(Vec::len), Some(1), "{report}");
        assert_eq!(report["blocked_by"][0]["pid"], reader.pid());

        let said = home.run(&["checkpoint", "--mode", &mode.to_uppercase(), "notes.db"]);
        assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{said:?}");
        let start = format!(
            "{}: {} checkpoint incomplete: 1 of 3 frames are in the main file, none moved by this checkpoint, in ",
            home.db().display(),
            mode.to_uppercase()
        );
        assert!(said.out.starts_with(&start), "{said:?}");
        assert!(said.out.contains(&format!("; {} (waltop) pins frame 1 (slot", reader.pid())), "{said:?}");
        assert_eq!(said.out.lines().count(), 1, "{said:?}");
    }
}

#[test]
fn without_anybody_in_the_way_it_is_complete() {
    let (home, mut writer, reader) = pinned();
    reader.close();
    for mode in MODES {
        let said = home.run(&["checkpoint", "--json", "--mode", mode, "notes.db"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        let report = report(&said);
        assert_eq!((&report["busy"], &report["complete"]), (&false.into(), &true.into()), "{report}");
        assert_eq!(report["frames_moved"], report["frames_in_log"]);
        assert_eq!(report["blocked_by"], Value::Array(Vec::new()));
        writer.sql("INSERT INTO t VALUES (5)");
        let said = home.run(&["checkpoint", "--mode", mode, "notes.db"]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        assert!(said.out.contains(" checkpoint complete: "), "{said:?}");
        writer.sql("INSERT INTO t VALUES (6)");
    }
}

#[test]
fn a_writer_is_named_where_writers_are_blocked() {
    let (home, mut writer, reader) = pinned();
    reader.close();
    writer.sql("BEGIN IMMEDIATE");
    for mode in MODES {
        let said = home.run(&["checkpoint", "--json", "--mode", mode, "notes.db"]);
        let report = report(&said);
        let blocks = mode != "passive";
        assert_eq!(
            (said.code, &report["complete"]),
            (Some(i32::from(blocks)), &(!blocks).into()),
            "{report}"
        );
        let mut named: Vec<_> =
            report["blocked_by"].as_array().expect("a list").iter().map(|it| it["pid"].as_i64()).collect();
        // For a restart it is in the way twice: it reads the newest frame, too.
        named.dedup();
        assert_eq!(named, if blocks { vec![Some(writer.pid().into())] } else { vec![] }, "{report}");
    }
}

#[test]
fn what_a_crash_left_is_moved() {
    let (home, writer, reader) = pinned();
    reader.close();
    writer.kill();
    let said = home.run(&["checkpoint", "notes.db"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("3 of 3 frames moved"), "{said:?}");
    assert!(!home.at("notes.db-wal").exists());
}

#[test]
fn what_was_moved_before_is_not_reported_as_moved_now() {
    let (home, mut writer, reader) = pinned();
    let said = home.run(&["checkpoint", "notes.db"]);
    assert!(said.out.contains("checkpoint incomplete: 1 of 3 frames moved in "), "{said:?}");
    reader.close();
    writer.sql("INSERT INTO t VALUES (5)");
    let said = home.run(&["checkpoint", "notes.db"]);
    let told = "checkpoint complete: 4 of 4 frames are in the main file, 3 of them moved now, in ";
    assert!(said.out.contains(told), "{said:?}");
    let report = report(&home.run(&["checkpoint", "--json", "--mode", "truncate", "notes.db"]));
    assert_eq!((&report["frames_moved"], &report["frames_moved_now"]), (&4.into(), &0.into()), "{report}");
}

#[test]
fn the_worst_of_several_counts() {
    let (home, _writer, _reader) = pinned();
    let quiet = Home::with_wal();
    let said = home.run(&["checkpoint".as_ref(), quiet.db().as_os_str(), home.db().as_os_str()]);
    assert_eq!((said.code, said.out.lines().count()), (Some(1), 2), "{said:?}");
}

#[test]
fn one_that_has_the_file_to_itself_is_named() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("PRAGMA locking_mode = exclusive").sql("INSERT INTO t VALUES (2)");
    for mode in MODES {
        let said = home.run(&["checkpoint", "--mode", mode, "notes.db"]);
        let line = said.refusal();
        assert!(line.contains(&format!("{} (waltop) has the whole file to itself", holder.pid())), "{line}");
    }
    holder.sql("INSERT INTO t VALUES (3)");
}

#[test]
fn another_checkpoint_is_named() {
    let (home, _writer, reader) = pinned();
    let mut other = home.actor();
    other.sql("PRAGMA busy_timeout = 60000");
    other.order("PRAGMA wal_checkpoint(TRUNCATE)");
    eventually("the other one is at work", || {
        let status = home.json(&["status", "--json", "notes.db"]);
        (status["databases"][0]["locks"]["checkpointer"]["pid"] == other.pid()).then_some(())
    });
    let said = home.run(&["checkpoint", "--json", "notes.db"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let report = report(&said);
    assert_eq!((&report["busy"], &report["frames_in_log"]), (&true.into(), &Value::Null), "{report}");
    let named = report["blocked_by"].as_array().expect("a list");
    assert!(named.iter().any(|it| it["pid"] == other.pid()), "{report}");
    let said = home.run(&["checkpoint", "notes.db"]);
    assert!(said.out.contains("another checkpoint was running") && said.code == Some(1), "{said:?}");
    assert!(said.out.contains(&format!("{} (waltop) is running a checkpoint", other.pid())), "{said:?}");
    reader.close();
    assert_eq!(other.answer(), "ok");
}
