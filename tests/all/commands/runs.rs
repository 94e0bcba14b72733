//! Ingestions, listed from their journals.

use super::*;
use crate::support::eventually;

fn ingested() -> Home {
    let home = Home::new();
    home.document("lock.md", "# The write lock\n\nIt is the scarce good.\n");
    home.document("log.md", "# The log\n\nIt grows.\n");
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db", "--batch", "1"]).code, Some(0));
    home
}

fn rows(said: &Said) -> Vec<&str> {
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    said.out.lines().filter(|line| line.starts_with("20")).collect()
}

#[test]
fn runs_are_listed_newest_first() {
    let home = ingested();
    home.document("new.md", "# New\n");
    fs::write(home.at("notes/bad.md"), b"\xff\xfe \x00").expect("written");
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db"]).code, Some(1));
    let said = home.run(&["runs", "notes.db"]);
    let rows = rows(&said);
    assert_eq!(rows.len(), 2, "{said:?}");
    assert!(rows[0].contains("completed  3 of 4       1        1  "), "{said:?}");
    assert!(rows[1].contains("completed  2 of 2       0        2  "), "{said:?}");
    assert!(rows.iter().all(|row| row.contains(" ms / ") && row.ends_with("/work/notes")), "{said:?}");
    assert!(!said.out.contains("failed: "), "{said:?}");
    let said = home.run(&["runs", "notes.db", "--limit", "1", "--failed"]);
    // The columns are as wide as what stands in them.
    let words = |row: &str| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let newest = self::rows(&said);
    assert_eq!(newest.iter().map(|row| words(row)).collect::<Vec<_>>(), [words(rows[0])]);
    assert!(said.out.contains("/notes/bad.md: it is not UTF-8"), "{said:?}");
}

#[test]
fn a_run_took_as_long_as_the_ingestion_said() {
    let home = Home::new();
    home.document("lock.md", "# The write lock\n");
    let said = home.json(&["ingest", "notes", "--db", "notes.db", "--json"]);
    let run = &home.json(&["runs", "notes.db", "--json"])["runs"][0];
    let at = |field: &str| -> jiff::Timestamp {
        run[field].as_str().and_then(|it| it.parse().ok()).expect("a time")
    };
    let took = waltop::snapshot::Ingestion::ran_ms(at("started_at"), at("finished_at"));
    assert_eq!((&said["run"], &said["elapsed_ms"]), (&run["run"], &took.into()), "{said}");
    let listed = home.run(&["runs", "notes.db"]);
    assert!(rows(&listed)[0].contains(&format!("  {}  ", waltop::units::duration(took))), "{listed:?}");
}

#[test]
fn what_is_in_only_in_part_is_reported_and_listed() {
    let home = ingested();
    home.document("odd.md", "---\ntags: [unclosed\n---\n# Odd\n");
    let said = home.run(&["ingest", "notes", "--db", "notes.db"]);
    let reason = said.err.lines().find(|line| line.starts_with("in part: ")).expect("it is said");
    let said = home.run(&["runs", "notes.db"]);
    assert!(said.out.contains("    1 in part\n") && !said.out.contains("odd.md"), "{said:?}");
    let said = home.run(&["runs", "notes.db", "--failed"]);
    assert!(said.out.contains(&format!("    {reason}\n")), "{said:?}");
    let newest = &home.json(&["runs", "notes.db", "--json"])["runs"][0];
    assert_eq!((&newest["files_in_part"], &newest["files_failed"]), (&1.into(), &0.into()));
    assert!(newest["in_part"][0]["path"].as_str().is_some_and(|path| path.ends_with("odd.md")), "{newest}");
}

#[test]
fn a_run_is_named_by_the_beginning_of_its_name() {
    let home = ingested();
    fs::write(home.at("notes/bad.md"), b"\xff\xfe \x00").expect("written");
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db"]).code, Some(1));
    let all = home.json(&["runs", "notes.db", "--json"]);
    let name = all["runs"][0]["run"].as_str().expect("a name");
    let said = home.run(&["runs", "notes.db", name]);
    assert!(rows(&said).len() == 1 && said.out.contains("bad.md: it is not UTF-8"), "{said:?}");
    let pidless = name.rsplit_once('-').expect("it ends with the PID").0;
    assert_eq!(rows(&home.run(&["runs", "notes.db", pidless])).len(), 1);
    let said = home.run(&["runs", "notes.db", "20"]);
    assert!(said.refusal().contains("2 runs begin with 20"), "{said:?}");
    let said = home.run(&["runs", "notes.db", "nonsense"]);
    assert!(said.refusal().contains("no run nonsense"), "{said:?}");
}

#[test]
fn json_has_the_objects_of_the_status_contract() {
    let home = ingested();
    let report = home.json(&["runs", "notes.db", "--json"]);
    assert_eq!((&report["version"], &report["unseen"]), (&1.into(), &serde_json::json!([])));
    let mut run = report["runs"][0].clone();
    let database = run.as_object_mut().and_then(|it| it.remove("database")).expect("it names the database");
    assert_eq!(database, home.db().to_str().expect("text"));
    let batches = run["recent_batches"].as_array().expect("batches");
    assert_eq!(batches.len(), 2);
    assert!(batches.iter().all(|it| it["files"] == 1 && it["bytes"].as_u64() > Some(0)), "{batches:?}");
    let status = home.json(&["status", "notes.db", "--json"]);
    assert_eq!(run, status["databases"][0]["ingestions"][0]);
}

#[test]
fn where_there_is_nothing_a_sentence_says_so() {
    let home = Home::with_wal();
    let said = home.run(&["runs", "notes.db"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.starts_with("no ingestion into ") && said.out.lines().count() == 1, "{said:?}");
    let report = home.json(&["runs", "notes.db", "--json"]);
    assert_eq!(report["runs"], serde_json::json!([]));
    assert!(home.run(&["runs", "none.db"]).refusal().contains("none.db"));
    // The user's own database need not be there yet; runs into another one are pointed at.
    home.document("a.md", "# A\n");
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db"]).code, Some(0));
    let said = home.run(&["runs"]);
    let pointer = format!("into 1 other database there are some: `waltop runs {}`\n", home.db().display());
    assert!(said.code == Some(0) && said.out.ends_with(&pointer), "{said:?}");
    for limit in ["0", "-1", "many"] {
        let said = home.run(&["runs", "notes.db", "--limit", limit]);
        let line = said.refusal();
        assert!(line.contains("--limit") && line.contains(": give a number from 1; see"), "{line}");
    }
}

#[test]
fn runs_outlive_their_database() {
    let home = ingested();
    for name in ["notes.db", "notes.db-wal", "notes.db-shm"] {
        let _ = fs::remove_file(home.at(name));
    }
    let said = home.run(&["runs", "notes.db"]);
    assert_eq!(rows(&said).len(), 1, "{said:?}");
}

#[test]
fn a_run_that_waits_is_running_and_one_whose_process_died_has_crashed() {
    let home = ingested();
    home.document("later.md", "# Later\n");
    let mut holder = home.actor();
    holder.sql("BEGIN IMMEDIATE");
    let mut child = home
        .command(Path::new(WALTOP))
        .args(["ingest", "notes", "--db", "notes.db", "--json"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    eventually("its journal is begun", || {
        let said = home.run(&["runs", "notes.db", "--limit", "1"]);
        rows(&said)[0].contains("  running  ").then_some(())
    });
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    holder.close();
    let said = home.run(&["runs", "notes.db"]);
    assert!(rows(&said)[0].contains("  crashed  "), "{said:?}");
    let note = format!("it has no end record and its process {} is gone", child.id());
    assert!(said.out.contains(&note), "{said:?}");
}

#[test]
fn a_journal_that_makes_no_sense_is_reported_and_names_are_harmless() {
    let home = ingested();
    let runs = home.root().join("state/waltop/runs");
    fs::write(runs.join("odd.jsonl"), "nonsense\n").expect("written");
    let line = serde_json::json!({
        "at": "2026-01-02T03:04:05Z", "event": "started", "run": "20260102T030405.000Z-1\u{1b}[31m", "pid": 0,
        "start_ticks": null, "boot": null, "database": home.db().to_str(), "folders": ["/x\u{1b}[2J\n"],
        "batch": "auto"
    });
    fs::write(runs.join("0.jsonl"), format!("{line}\n")).expect("written");
    let said = home.run(&["runs", "notes.db"]);
    assert_eq!(rows(&said).len(), 2, "{said:?}");
    assert!(said.out.contains("not seen: the whole ingestion in "), "{said:?}");
    assert!(!said.out.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
    fs::remove_dir_all(&runs).expect("removed");
    fs::write(&runs, "a file").expect("written");
    assert!(home.run(&["runs", "notes.db"]).refusal().contains("cannot see the ingestions in "));
}
