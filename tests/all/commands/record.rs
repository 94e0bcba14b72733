//! Recording, and the answer to who held a lock: from a recorder that runs, has ended, or was killed.

use std::{io::Read as _, thread, time::Duration};

use jiff::Timestamp;
use rustix::process::Signal;

use super::{long_run::LongRun, *};
use crate::{support::eventually, terminal::Terminal};

mod committed;
mod container;
mod disk;
mod units;

/// A recorder of `notes.db`, which samples often.
fn recording(home: &Home, args: &[&str]) -> LongRun {
    let options = ["record", "notes.db", "--every", "100ms", "--trace", "off", "--min-free", "1B"];
    recording_by(home.command(Path::new(WALTOP)), &[&options[..], args].concat())
}

/// `waltop` is the beginning of a command line of it.
fn recording_by(mut waltop: Command, args: &[&str]) -> LongRun {
    waltop.args(args);
    let mut recorder = LongRun::start(waltop);
    let notice = recorder.notice();
    assert!(notice.contains("records 1 database"), "{notice}");
    recorder
}

fn folder(home: &Home) -> PathBuf {
    home.root().join("state/waltop/recordings")
}

fn lines(home: &Home) -> Vec<Value> {
    lines_in(&folder(home))
}

/// The lines of the segments in `folder`, and those of the open minute.
fn lines_in(folder: &Path) -> Vec<Value> {
    // The open minute first: if it becomes a frame meanwhile, its lines are in both.
    let open = fs::read(folder.join("open.jsonl")).unwrap_or_default();
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let mut segments: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "zst")).collect();
    segments.sort();
    let mut lines: Vec<Value> = Vec::new();
    for segment in segments {
        let file = fs::File::open(segment).expect("readable");
        let mut text = Vec::new();
        // A frame that is being written ends in an error, after the whole ones.
        let _ = zstd::Decoder::new(file).expect("a decoder").read_to_end(&mut text);
        lines.extend(parsed(&text));
    }
    let last = lines.last().and_then(|line| line["seq"].as_u64());
    lines.extend(parsed(&open).into_iter().filter(|line| line["seq"].as_u64() > last));
    lines
}

fn parsed(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).expect("text");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn has(home: &Home, event: &str) -> bool {
    count(home, event) > 0
}

fn count(home: &Home, event: &str) -> usize {
    lines(home).iter().filter(|line| line["event"] == event).count()
}

fn who(home: &Home, at: Timestamp) -> (Option<i32>, Value) {
    let said = home.run(&["who", "notes.db", "--at", &at.to_string(), "--json"]);
    let code = said.code;
    (code, said.json()["databases"][0].clone())
}

/// A hold of `holder` that the recorder has seen, of 20 ms or more, and a time in it.
fn a_hold(home: &Home, holder: &mut Actor) -> Timestamp {
    let before = ["hold-begun", "hold-ended"].map(|event| count(home, event));
    holder.sql("BEGIN IMMEDIATE");
    eventually("the hold is recorded", || (count(home, "hold-begun") > before[0]).then_some(()));
    let middle = Timestamp::now();
    thread::sleep(Duration::from_millis(20));
    holder.sql("COMMIT");
    eventually("its end is recorded", || (count(home, "hold-ended") > before[1]).then_some(()));
    middle
}

#[test]
fn a_recorder_that_ends_says_how_to_summarize_what_it_has_recorded() {
    let home = Home::with_wal();
    let mut recorder = recording(&home, &["--dir", "a folder"]);
    recorder.signal(Signal::INT);
    let notice = recorder.notice_with("recorded for");
    assert!(notice.contains("waltop report --dir 'a folder'"), "{notice}");
}

#[test]
fn the_holder_of_a_recorded_moment_is_named_while_the_recorder_runs_and_after_it() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("SELECT * FROM t");
    let before = Timestamp::now();
    let recorder = recording(&home, &[]);
    let middle = a_hold(&home, &mut holder);
    let asked = |_: &str| {
        let (code, answer) = who(&home, middle);
        assert_eq!((code, &answer["unwatched"]), (Some(0), &Value::Null), "{answer}");
        let hold = &answer["holds"][0];
        assert_eq!(
            (&hold["lock"], &hold["process"]["pid"]),
            (&"write".into(), &holder.pid().into()),
            "{hold}"
        );
        assert!(hold["held_ms"].as_f64() >= Some(20.0) && hold["ended"].is_string(), "{hold}");
        let (code, answer) =
            who(&home, before.checked_sub(jiff::SignedDuration::from_mins(1)).expect("a time"));
        assert_eq!(code, Some(2), "{answer}");
        assert!(answer["unwatched"].is_object(), "{answer}");
    };
    asked("while it runs");
    assert_eq!(recorder.end_by(Signal::TERM), Some(0));
    asked("after it");
    let said = home.run(&["who", "--at", &middle.to_string()]);
    let named = format!("PID {} (waltop) held the write lock for at least", holder.pid());
    assert!(said.out.contains(&named) && said.err.is_empty(), "{said:?}");
}

#[test]
fn a_recording_is_replayed_in_a_terminal_and_stays_as_it_is() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    let recorder = recording(&home, &[]);
    let middle = a_hold(&home, &mut holder);
    assert_eq!(recorder.end_by(Signal::TERM), Some(0));
    let folder = folder(&home);
    let content = || {
        let names = fs::read_dir(&folder).expect("there").map(|it| it.expect("an entry").path());
        let mut files: Vec<_> = names.map(|path| (fs::read(&path).expect("readable"), path)).collect();
        files.sort();
        files
    };
    let before = content();
    let (path, at) = (folder.to_str().expect("a path"), middle.to_string());
    let mut terminal = Terminal::open(&home.root(), &["replay", path, "--at", &at], (120, 40));
    terminal.shows("REPLAY notes.db");
    terminal.keys("i");
    terminal.shows("nothing was changed");
    terminal.keys("b");
    terminal.shows(&holder.pid().to_string());
    terminal.shows("goes to the cursor");
    terminal.keys("qq");
    assert_eq!(terminal.end(), 0);
    assert_eq!(content(), before, "a replay writes nothing");
}

#[test]
fn a_replay_without_a_recording_or_of_another_time_is_refused() {
    let home = Home::with_wal();
    let said = home.run(&["replay"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("there is no recording"), "{said:?}");
    let mut holder = home.actor();
    let recorder = recording(&home, &[]);
    a_hold(&home, &mut holder);
    recorder.end_by(Signal::TERM);
    for args in [["--at", "2001-01-01 00:00:00"], ["--at", "yesterday-ish"], ["--speed", "0"]] {
        let said = home.run(&["replay", args[0], args[1]]);
        assert_eq!(said.code, Some(2), "{said:?}");
    }
    let other = home.root().join("none");
    let said = home.run(&["replay", "--dir", other.to_str().expect("a path")]);
    assert!(said.code == Some(2) && said.err.contains("there is no recording"), "{said:?}");
}

#[test]
fn a_console_shows_what_a_recorder_saw_before_it_was_opened() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    let _recorder = recording(&home, &[]);
    a_hold(&home, &mut holder);
    let db = home.db();
    let mut terminal = Terminal::open(&home.root(), &[db.to_str().expect("a path")], (120, 40));
    terminal.shows("no writer");
    terminal.keys("b");
    terminal.shows("Write lock, 1 m, recorded");
    terminal.shows(&format!("{} waltop", holder.pid()));
    terminal.keys("qq");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_console_records_by_key_or_option_and_says_so() {
    for (option, key) in [(&["--record"][..], ""), (&[], "R")] {
        let home = Home::with_wal();
        let mut holder = home.actor();
        let db = home.db();
        let args: Vec<_> = option.iter().copied().chain(db.to_str()).collect();
        let mut terminal = Terminal::open(&home.root(), &args, (120, 40));
        terminal.shows("no writer");
        terminal.keys(key);
        terminal.shows("REC");
        let middle = a_hold(&home, &mut holder);
        terminal.keys("R");
        terminal.shows_no_more("REC");
        let (code, answer) = who(&home, middle);
        assert_eq!(code, Some(0), "{answer}");
        assert_eq!(answer["holds"][0]["process"]["pid"], holder.pid(), "{answer}");
        terminal.keys("q");
        assert_eq!(terminal.end(), 0);
    }
}

#[test]
fn a_folder_that_is_recorded_into_is_left_to_its_recorder_and_a_long_interval_is_refused() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("SELECT * FROM t");
    let _recorder = recording(&home, &[]);
    let db = home.db();
    let mut terminal = Terminal::open(&home.root(), &[db.to_str().expect("a path")], (120, 40));
    terminal.shows("no writer");
    terminal.keys("R");
    terminal.shows("is recorded into by PID");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    let said = home.run(&["record", "notes.db", "--every", "6s"]);
    assert_eq!(said.code, Some(2), "{said:?}");
}

#[test]
fn a_killed_recorder_loses_no_whole_line_and_the_next_one_records_the_gap() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    let mut moments = Vec::new();
    for number in 0..3 {
        let recorder = recording(&home, &[]);
        eventually("the gap is recorded", || (count(&home, "gap") == number).then_some(()));
        moments.push(a_hold(&home, &mut holder));
        recorder.end_by(Signal::KILL);
    }
    let killed = Timestamp::now();
    let recorder = recording(&home, &[]);
    eventually("the gap is recorded", || (count(&home, "gap") == 3).then_some(()));
    let (code, answer) = who(&home, killed);
    assert_eq!((code, &answer["unwatched"]["reason"]), (Some(2), &"killed".into()), "{answer}");
    for moment in moments {
        let (code, answer) = who(&home, moment);
        assert_eq!(code, Some(0), "{answer}");
        assert_eq!(answer["holds"][0]["process"]["pid"], holder.pid(), "{answer}");
    }
    assert_eq!(recorder.end_by(Signal::INT), Some(130));
    let ended = Timestamp::now();
    let recorder = recording(&home, &[]);
    eventually("the gap is recorded", || (count(&home, "gap") == 4).then_some(()));
    let (_, answer) = who(&home, ended);
    assert_eq!(answer["unwatched"]["reason"], "not-running", "{answer}");
    drop(recorder);
}

#[test]
fn a_folder_has_one_recorder_and_other_users_cannot_read_it() {
    let home = Home::with_wal();
    let recorder = recording(&home, &[]);
    eventually("it has written", || has(&home, "snapshot").then_some(()));
    let said = home.run(&["record", "notes.db"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains(&format!("by PID {}", recorder.pid())), "{said:?}");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&folder(&home)), mode(&folder(&home).join("open.jsonl"))), (0o700, 0o600));
    let elsewhere = home.root().join("elsewhere");
    let other = recording(&home, &["--dir", elsewhere.to_str().expect("text")]);
    assert_eq!(other.end_by(Signal::TERM), Some(0));
    assert!(elsewhere.join("open.jsonl").exists());
}

#[test]
fn a_hang_up_reads_the_settings_again_and_keeps_them_where_they_are_wrong() {
    let home = Home::with_wal();
    let mut recorder = recording(&home, &[]);
    let config = home.root().join("config/waltop");
    fs::create_dir_all(&config).expect("a folder");
    fs::write(config.join("config.toml"), "nonsense = 1\n").expect("written");
    recorder.signal(Signal::HUP);
    assert!(recorder.notice().contains("keeps its settings"));
    fs::write(config.join("config.toml"), "").expect("written");
    recorder.signal(Signal::HUP);
    assert!(recorder.notice().contains("has read its settings again"));
    let mut holder = home.actor();
    a_hold(&home, &mut holder);
    assert_eq!(recorder.end_by(Signal::TERM), Some(0));
}

#[test]
fn a_recorder_leaves_everything_at_the_database_as_it_was() {
    let home = Home::with_wal();
    let mut client = home.actor();
    client.sql("INSERT INTO t VALUES (2)");
    let before = Home::listing(&home.folder());
    let recorder = recording(&home, &[]);
    eventually("it has written", || has(&home, "snapshot").then_some(()));
    assert_eq!(recorder.end_by(Signal::TERM), Some(0));
    assert_eq!(Home::listing(&home.folder()), before);
}

#[test]
fn what_is_no_time_or_no_recording_is_refused_in_one_line() {
    let home = Home::with_wal();
    for (args, part) in [
        (&["who", "--at", "yesterday"][..], "give a time"),
        (&["who", "--at", "03:12:07"], "there is no recording in"),
        (&["who", "--at", "03:12:07", "--dir", "notes.db"], "there is no recording in"),
        (&["record", "missing.db"], "missing.db"),
    ] {
        let said = home.run(args);
        assert_eq!((said.code, said.out.as_str(), said.err.lines().count()), (Some(2), "", 1), "{said:?}");
        assert!(said.err.contains(part), "{said:?}");
    }
}

#[test]
fn a_recording_is_summarized_as_text_json_and_a_page_and_exported() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    let recorder = recording(&home, &[]);
    a_hold(&home, &mut holder);
    assert_eq!(recorder.end_by(Signal::TERM), Some(0));
    let report = home.json(&["report", "notes.db", "--since", "1h", "--json"]);
    let database = &report["databases"][0];
    assert_eq!(database["by_process"][0]["name"], "waltop", "{report}");
    assert!(database["holds"].as_u64() >= Some(1) && database["log"]["last_bytes"].is_u64(), "{report}");
    let said = home.run(&["report", "--since", "1h"]);
    assert!(said.code == Some(0) && said.out.contains("longest holds"), "{said:?}");
    let said = home.run(&["report", "--since", "1h", "--html", "page.html"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "page.html written\n"), "{said:?}");
    assert!(fs::read_to_string(home.at("page.html")).expect("there").contains("</html>"));
    let said = home.run(&["export", "--perfetto", "trace.json", "--since", "1h"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let trace = fs::read(home.at("trace.json")).expect("there");
    let trace: Value = serde_json::from_slice(&trace).expect("JSON");
    let slices = trace["traceEvents"].as_array().expect("a list").iter().filter(|it| it["ph"] == "X");
    assert!(slices.count() >= 1, "{trace}");
    for args in [&["trace.pftrace"][..], &["trace.bin", "--format", "protobuf"]] {
        let said = home.run(&[&["export", "--since", "1h", "--perfetto"], args].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        let trace = fs::read(home.at(args[0])).expect("there");
        assert!(trace.starts_with(&[0x0a]) && trace.windows(5).any(|it| it == b"write"), "packets: {args:?}");
    }
    for args in [
        &["report", "--since", "now", "--until", "1h"][..],
        &["report", "--since", "0s"],
        &["report", "--since", "2001-01-01 00:00", "--until", "2001-01-02 00:00"],
        &["export", "--perfetto", "no/such/folder/x.json"],
    ] {
        let said = home.run(args);
        assert_eq!((said.code, said.out.as_str(), said.err.lines().count()), (Some(2), "", 1), "{said:?}");
    }
}
