//! What is learnt of findings without looking at them: the log, the bell, the title; and what processes are called.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use log::Level;
use waltop::{
    act::Effect,
    sampler::Sample,
    snapshot::{Database, FindingKind, Severity},
};

use crate::{
    stage::{Stage, contended, look},
    support::{Actor, WALTOP, eventually, set_apart},
    terminal::{Terminal, database, home},
};

const USUAL: (u16, u16) = (120, 40);

/// A look at `databases`, so many seconds after the first one.
fn after(seconds: i64, databases: Vec<Database>) -> Sample {
    let mut look = look(databases);
    let taken_at = look.snapshot.taken_at;
    look.snapshot.taken_at = taken_at.checked_add(jiff::SignedDuration::from_secs(seconds)).expect("a time");
    look
}

/// The contended database with the finding of the writer alone, as severe as given; `None`: without findings.
fn with(severity: Option<Severity>) -> Sample {
    at(0, severity)
}

fn at(seconds: i64, severity: Option<Severity>) -> Sample {
    let mut look = after(seconds, vec![contended()]);
    let findings = &mut look.snapshot.databases[0].findings;
    findings.retain(|finding| finding.kind == FindingKind::LongWriteLock && severity.is_some());
    for finding in findings {
        finding.severity = severity.expect("kept only then");
    }
    look
}

/// A look at two contended databases, without the findings of those that are said to be quiet.
fn two(is_first_quiet: bool, is_other_quiet: bool) -> Sample {
    let mut other = contended();
    other.path = "/srv/other.db".into();
    let mut look = look(vec![contended(), other]);
    for (database, is_quiet) in look.snapshot.databases.iter_mut().zip([is_first_quiet, is_other_quiet]) {
        database.findings.retain(|_| !is_quiet);
    }
    look
}

fn notes(effects: &[Effect]) -> Vec<(Level, &str)> {
    let note = |it| if let &Effect::Note(level, ref text) = it { Some((level, text.as_str())) } else { None };
    effects.iter().filter_map(note).collect()
}

fn bells(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Bell)).count()
}

#[test]
fn a_finding_begins_worsens_and_ends_in_the_log_with_its_process() {
    let mut stage = Stage::new(with(None), USUAL);
    let began = stage.look(at(1, Some(Severity::Warning)));
    assert_eq!(notes(&began), [(Level::Warn, "long-write-lock 71201 (amalfa) began")]);
    assert_eq!(notes(&stage.look(at(2, Some(Severity::Warning)))), [], "it goes on");
    let worse = stage.look(at(3, Some(Severity::Error)));
    let expected = "long-write-lock 71201 (amalfa) worsened from warning to error";
    assert_eq!(notes(&worse), [(Level::Error, expected)]);
    assert_eq!(notes(&stage.look(at(4, Some(Severity::Warning)))), [], "milder is no news");
    let ended = stage.look(at(9, None));
    assert_eq!(notes(&ended), [(Level::Info, "long-write-lock 71201 (amalfa) ended after 8 s")]);
    assert!(stage.screen().contains("long-write-lock"), "the log panel has it");
}

#[test]
fn what_comes_and_goes_all_the_time_is_logged_ten_times() {
    let mut stage = Stage::new(with(None), USUAL);
    let mut lines = Vec::new();
    for second in 1..=60 {
        let severity = (second % 2 == 1).then_some(Severity::Warning);
        let effects = stage.look(at(second, severity));
        lines.extend(notes(&effects).into_iter().map(|(_, line)| line.to_owned()));
    }
    assert_eq!(lines.len(), 20, "{lines:#?}");
    assert_eq!(lines[2], "long-write-lock 71201 (amalfa) began again");
    assert!(lines[19].ends_with("; it keeps coming back, and is no longer logged"), "{lines:#?}");
}

#[test]
fn of_several_databases_a_line_names_its_own() {
    let mut stage = Stage::new(two(true, true), USUAL);
    let mut relapse = two(true, false);
    relapse.snapshot.taken_at = after(1, Vec::new()).snapshot.taken_at;
    let effects = stage.look(relapse);
    let lines = notes(&effects);
    assert!(lines.len() > 1 && lines.iter().all(|(_, line)| line.starts_with("other.db: ")), "{lines:?}");
}

#[test]
fn a_new_error_rings_the_bell_once() {
    let mut stage = Stage::new(with(None), USUAL);
    let mut ring = |second, severity| bells(&stage.look(at(second, severity)));
    assert_eq!(ring(1, Some(Severity::Warning)), 0, "a warning is no error");
    assert_eq!(ring(2, Some(Severity::Error)), 1, "it became one");
    assert_eq!(ring(3, Some(Severity::Error)), 0, "it goes on");
    assert_eq!(ring(4, None), 0);
    assert_eq!(ring(63, Some(Severity::Error)), 0, "it came back within a minute");
    assert_eq!(ring(64, None), 0);
    assert_eq!(ring(124, Some(Severity::Error)), 1, "it is news after a minute");
    let mut stage = Stage::new(with(Some(Severity::Error)), USUAL);
    assert_eq!(bells(&stage.look(at(1, Some(Severity::Error)))), 0, "the first screen showed it");
}

#[test]
fn the_title_names_the_database_and_its_worst_finding() {
    let title = |look| Stage::new(look, USUAL).app.title();
    assert_eq!(title(with(None)), "waltop notes.db");
    let severe = with(Some(Severity::Error));
    assert_eq!(title(severe), "waltop notes.db: error long-write-lock 71201 (amalfa)");
    assert_eq!(title(with(Some(Severity::Info))), "waltop notes.db", "information makes no title");
    let of_other = title(two(true, false));
    assert!(of_other.starts_with("waltop other.db: error "), "the one that is worst off: {of_other}");
    assert_eq!(title(two(true, true)), "waltop notes.db");
    let mut hostile = with(Some(Severity::Error));
    let database = &mut hostile.snapshot.databases[0];
    database.path = "/srv/a\x1b]2;b\x07c\u{9c}.db".into();
    database.findings[0].label = Some("\x1b[31m\u{202e}x".to_owned());
    let title = title(hostile);
    assert!(!title.chars().any(waltop::text::is_unsafe), "{title:?}");
}

#[test]
fn a_terminal_gets_the_title_and_the_bell_and_its_own_title_back() {
    for (setting, rings) in [("", true), ("bell = false\n", false)] {
        let home = home();
        fs::create_dir_all(home.path().join("config/waltop")).expect("a folder");
        let config = format!("{setting}[thresholds]\nlong_write_lock = [0.01, 0.05]\n");
        fs::write(home.path().join("config/waltop/config.toml"), config).expect("written");
        let (path, mut writer) = database(home.path());
        let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
        let last = |terminal: &Terminal| terminal.events(|it| it.titles.last().cloned());
        eventually("the title", || {
            last(&terminal).filter(|title| title.starts_with("waltop notes.db")).map(|_| ())
        });
        terminal.shows("our client");
        assert_eq!(terminal.events(|it| (it.bells, it.saved_titles)), (0, 1));
        writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (2)");
        let expected = format!("waltop notes.db: error long-write-lock {} (", writer.pid());
        eventually("the error in the title", || {
            last(&terminal).filter(|title| title.starts_with(&expected)).map(|_| ())
        });
        terminal.shows("long-write-lock ");
        eventually("the bell", || (terminal.events(|it| it.bells > 0) == rings).then_some(()));
        writer.sql("COMMIT");
        terminal.keys("q");
        assert_eq!(terminal.end(), 0);
        terminal.assert_restored();
        let titles = terminal.events(|it| it.titles.clone());
        assert!(titles.windows(2).all(|pair| pair[0] != pair[1]), "only changes are sent: {titles:?}");
        assert_eq!(terminal.events(|it| it.bells > 0), rings);
    }
}

#[test]
fn what_was_stopped_is_logged_with_how_to_start_it_again() {
    let home = home();
    let (path, _writer) = database(home.path());
    let log = home.path().join("waltop.log");
    fs::create_dir_all(home.path().join("config/waltop")).expect("a folder");
    let config = format!("log_file = \"{}\"\n", log.display());
    fs::write(home.path().join("config/waltop/config.toml"), config).expect("written");
    let mut reader = Actor::open(path.as_ref());
    reader.sql("BEGIN").sql("SELECT * FROM t");
    let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
    terminal.shows("our client");
    terminal.keys(&format!("/{}\rx", reader.pid()));
    terminal.shows(&format!("Stop {} (", reader.pid()));
    terminal.keys("y");
    terminal.shows("has ended after TERM");
    let own = std::env::current_dir().expect("a folder").display().to_string();
    let expected = format!("to start {} (waltop) again: cd {own} && {} actor", reader.pid(), WALTOP);
    eventually("the line in the log", || {
        let text = fs::read_to_string(&log).ok()?;
        text.lines().any(|line| line.contains(&expected) && line.ends_with("notes.db")).then_some(())
    });
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

/// A Python script that holds the write lock until its stdin closes; `None` without a Python that can.
fn holder(home: &Path, database: &str) -> Option<Child> {
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                  c.execute('BEGIN IMMEDIATE')\nprint('ok')\nsys.stdin.read()\n";
    fs::write(home.join("holder.py"), script).expect("written");
    let mut command = Command::new("python3");
    command.args(["-u", "-X", "dev", "./holder.py", database]).current_dir(home);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("it can be read");
    if line.trim() != "ok" {
        eprintln!("not tested: there is no python3 with sqlite3 here");
        child.wait().expect("it ends");
        return None;
    }
    Some(child)
}

#[test]
fn a_script_is_called_by_its_name_or_its_rule_in_text_and_json() {
    let home = home();
    let (path, _writer) = database(home.path());
    let Some(mut holder) = holder(home.path(), &path) else { return };
    let pid = i64::from(holder.id());
    let status = |options: &[&str]| {
        let mut command = Command::new(WALTOP);
        command.args(["status", &path]).args(options);
        let said = set_apart(command, home.path()).output().expect("it runs");
        String::from_utf8(said.stdout).expect("text")
    };
    let config = home.path().join("config/waltop");
    fs::create_dir_all(&config).expect("a folder");
    for (rule, label) in
        [("", "holder.py"), ("[[daemon]]\nname = \"nightly\"\npattern = \"holder\"\n", "nightly")]
    {
        fs::write(config.join("config.toml"), rule).expect("written");
        let text = status(&[]);
        let line = format!("write lock  {pid} ({label}) for at least ");
        assert!(text.lines().any(|it| it.starts_with(&line)), "{text}");
        assert!(text.contains(&format!("process     {pid} ({label}) ")), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&status(&["--json", "--for", "300ms"])).expect("JSON");
        let database = &json["databases"][0];
        let processes = database["processes"].as_array().expect("a list");
        let found = processes.iter().find(|it| it["pid"] == pid).expect("it has the database open");
        assert_eq!((&found["name"], &found["label"]), (&"python3".into(), &label.into()));
        for holder in [&database["locks"]["writer"], &database["locks"]["write_holds"]["by_process"][0]] {
            assert_eq!((&holder["pid"], &holder["label"]), (&pid.into(), &label.into()));
        }
    }
    drop(holder.stdin.take());
    assert!(holder.wait().expect("it ends").success());
}
