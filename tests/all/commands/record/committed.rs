//! The committed recordings of each format, read by this version.

use super::*;

/// The folders in `tests/all/recordings`.
fn formats() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/recordings");
    let entries = fs::read_dir(all).expect("listed").flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}

const SPAN: [&str; 4] = ["--since", "2026-11-30T03:12:00Z", "--until", "2026-11-30T03:15:00Z"];

#[test]
fn who_answers_from_the_recordings_of_each_format() {
    let home = Home::new();
    assert!(!formats().is_empty());
    for format in formats() {
        let dir = format.to_str().expect("text");
        let ask = |time: &str| {
            let at = format!("2026-11-30T{time}Z");
            let said = home.run(&["who", "/srv/app/app.db", "--at", &at, "--dir", dir, "--json"]);
            (said.code, said.json()["databases"][0].clone())
        };
        let (code, answer) = ask("03:12:07");
        assert_eq!((code, &answer["unwatched"]), (Some(0), &Value::Null), "{dir}: {answer}");
        let hold = &answer["holds"][0];
        assert_eq!((&hold["lock"], &hold["process"]["pid"]), (&"write".into(), &71_201.into()), "{answer}");
        assert_eq!(
            (&answer["waits"][0]["process"]["name"], &answer["waits"][0]["got"]),
            (&"web".into(), &false.into()),
            "{answer}"
        );
        let (code, answer) = ask("03:12:30");
        assert_eq!((code, &answer["pins"][0]["process"]["pid"]), (Some(0), &71_168.into()), "{answer}");
        let kinds: Vec<_> =
            answer["findings"].as_array().expect("a list").iter().map(|it| &it["kind"]).collect();
        assert!(kinds.contains(&&Value::from("pinned-wal")), "{answer}");
        let (code, answer) = ask("03:13:40");
        assert_eq!((code, &answer["unwatched"]["reason"]), (Some(2), &"not-scheduled".into()), "{answer}");
    }
}

#[test]
fn report_and_export_read_the_recordings_of_each_format() {
    let home = Home::new();
    for format in formats() {
        let dir = format.to_str().expect("text");
        let report = home.json(&[&["report", "--dir", dir, "--json"], &SPAN[..]].concat());
        let database = &report["databases"][0];
        let names: Vec<_> =
            database["by_process"].as_array().expect("a list").iter().map(|it| &it["name"]).collect();
        assert_eq!(names, ["importer"], "{report}");
        assert_eq!(
            (&database["waits"][0]["victim"], &database["waits"][0]["holder"]),
            (&"web".into(), &"importer".into()),
            "{report}"
        );
        assert_eq!(
            (&database["checkpoints"], &database["ingestion"]["batches"]),
            (&1.into(), &3.into()),
            "{report}"
        );
        assert_eq!(report["gaps"][0]["reason"], "not-scheduled", "{report}");
        let said = home.run(&[&["export", "--perfetto", "trace.json", "--dir", dir], &SPAN[..]].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        let trace = fs::read(home.at("trace.json")).expect("there");
        let trace: Value = serde_json::from_slice(&trace).expect("JSON");
        let names: Vec<_> =
            trace["traceEvents"].as_array().expect("a list").iter().map(|it| &it["name"]).collect();
        for name in ["write", "checkpoint", "waits, did not get it", "keeps frames", "pinned-wal"] {
            assert!(names.contains(&&Value::from(name)), "{name}: {names:?}");
        }
    }
}
