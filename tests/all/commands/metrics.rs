//! Metrics for Prometheus: printed, written to a file, and served with the health of the databases.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rustix::process::Signal;

use super::{long_run::LongRun, *};
use crate::support::eventually;

/// A waltop that counts the holds of `notes.db` until a signal ends it.
fn counted(home: &Home, args: &[&str]) -> LongRun {
    let mut command = home.command(Path::new(WALTOP));
    command.args(args).args(["--every", "100ms", "--trace", "off"]);
    LongRun::start(command)
}

/// The address where it listens.
fn address_of(counting: &mut LongRun) -> SocketAddr {
    let notice = counting.notice_with("serves metrics at http://");
    notice.trim_end().rsplit('/').next().and_then(|it| it.parse().ok()).expect("an address")
}

/// The status and the body of the answer at `path`.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a limit");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
    (status, body.to_owned())
}

fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|it| it.starts_with(' ')))?;
    line[series.len()..].trim().parse().ok()
}

fn of(home: &Home, name: &str, labels: &str) -> String {
    format!("{name}{{db=\"{}\"{labels}}}", home.db().display())
}

#[test]
fn a_window_is_printed_with_its_length_and_what_is_not_traced_is_not_there() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("BEGIN IMMEDIATE");
    let said = home.run(&["metrics", "notes.db", "--for", "300ms", "--trace", "off"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with("# Counters and histograms cover 300 ms.\n"), "{said:?}");
    // Its own holds are measured from its first sample on.
    let held = value(&said.out, &of(&home, "waltop_write_lock_held_seconds_total", ",process=\"waltop\""));
    assert!(held.is_some_and(|held| held >= 0.25), "{said:?}");
    assert!(
        !said.out.contains("refusals") && value(&said.out, "waltop_trace_active") == Some(0.0),
        "{said:?}"
    );
    assert!(said.out.lines().all(|line| !line.contains(&holder.pid().to_string())), "{said:?}");
}

#[test]
fn a_hold_is_counted_while_it_goes_on_and_a_restart_begins_at_nothing() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    let mut counting = counted(&home, &["metrics", "notes.db", "--listen", "127.0.0.1:0"]);
    let address = address_of(&mut counting);
    let held = of(&home, "waltop_write_lock_held_seconds_total", ",process=\"waltop\"");
    let ended = of(&home, "waltop_write_lock_hold_seconds_count", "");
    let figures = |address| {
        let (_, text) = get(address, "/metrics");
        (value(&text, &held), value(&text, &ended))
    };
    eventually("a first sample", || (get(address, "/metrics").0 == 200).then_some(()));
    assert_eq!(figures(address), (None, Some(0.0)));
    holder.sql("BEGIN IMMEDIATE");
    let first = eventually("it counts", || figures(address).0.filter(|held| *held > 0.2));
    eventually("it goes on", || figures(address).0.filter(|held| *held > first + 0.1));
    assert_eq!(figures(address).1, Some(0.0), "the hold has not ended");
    holder.sql("COMMIT");
    eventually("it has ended", || figures(address).1.filter(|ended| *ended >= 1.0));
    assert_eq!(counting.end_by(Signal::TERM), Some(0));
    let mut again = counted(&home, &["metrics", "notes.db", "--listen", "127.0.0.1:0"]);
    let address = address_of(&mut again);
    eventually("a first sample", || (get(address, "/metrics").0 == 200).then_some(()));
    assert_eq!(figures(address), (None, Some(0.0)));
    assert_eq!(again.end_by(Signal::INT), Some(130));
}

#[test]
fn probes_and_health_answer_by_the_sample_and_the_whole_of_it_only_if_it_is_exposed() {
    let home = Home::with_wal();
    let _holder = home.actor();
    let args = ["metrics", "notes.db", "--listen", "127.0.0.1:0"];
    let mut counting = counted(&home, &args);
    let address = address_of(&mut counting);
    eventually("it is ready", || (get(address, "/readyz").0 == 200).then_some(()));
    assert_eq!((get(address, "/livez").0, get(address, "/snapshot").0), (200, 404));
    let (_, health) = get(address, "/health");
    let health: Value = serde_json::from_str(&health).expect("JSON");
    assert_keeps_to_its_schema(&["metrics --listen"], &health);
    assert_eq!(health["databases"][0]["is_sampled"], true, "{health}");
    fs::rename(home.db(), home.at("away.db")).expect("moved");
    eventually("it is not ready", || (get(address, "/readyz").0 == 503).then_some(()));
    assert_eq!((get(address, "/livez").0, get(address, "/health").0), (200, 503));
    fs::rename(home.at("away.db"), home.db()).expect("moved");
    eventually("it is ready", || (get(address, "/readyz").0 == 200).then_some(()));
    counting.end_by(Signal::TERM);
    let mut counting = counted(&home, &[&args[..], &["--expose-snapshot"]].concat());
    let address = address_of(&mut counting);
    let snapshot = eventually("a sample", || Some(get(address, "/snapshot")).filter(|it| it.0 == 200)).1;
    assert_keeps_to_its_schema(&["status"], &serde_json::from_str(&snapshot).expect("JSON"));
}

#[test]
fn an_address_that_others_can_reach_is_warned_about() {
    let home = Home::with_wal();
    let mut counting = counted(&home, &["metrics", "notes.db", "--listen", "0.0.0.0:0"]);
    counting.notice_with("serves metrics at http://0.0.0.0:");
    counting.notice_with("warning: other machines");
}

#[test]
fn a_recorder_serves_what_it_counts_and_whether_it_writes() {
    let home = Home::with_wal();
    let args = ["record", "notes.db", "--min-free", "1B", "--listen", "127.0.0.1:0"];
    let mut counting = counted(&home, &args);
    let address = address_of(&mut counting);
    let is_written = || value(&get(address, "/metrics").1, "waltop_recording");
    assert_eq!(eventually("a sample", is_written).to_bits(), 1.0_f64.to_bits());
    assert_eq!(counting.end_by(Signal::TERM), Some(0));
}

#[test]
fn a_file_for_a_collector_is_whole_readable_for_others_and_gone_at_the_end() {
    let home = Home::with_wal();
    let file = home.at("waltop.prom");
    let counting = counted(&home, &["metrics", "notes.db", "--textfile", "waltop.prom"]);
    eventually("it is written", || file.exists().then_some(()));
    for _ in 0..50 {
        let text = fs::read_to_string(&file).expect("it is always there");
        assert!(text.contains("waltop_resident_memory_bytes "), "{text}");
    }
    assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o644);
    assert_eq!(counting.end_by(Signal::TERM), Some(0));
    let left = Home::listing(&home.folder());
    assert!(left.iter().all(|name| !format!("{name:?}").contains("waltop")), "{left:?}");
}

#[test]
fn no_other_file_is_overwritten_and_no_address_is_guessed() {
    let home = Home::with_wal();
    let before = fs::read(home.db()).expect("readable");
    fs::create_dir(home.at("folder.prom")).expect("a folder");
    for args in [
        ["--textfile", "notes.db"],
        ["--textfile", "folder.prom"],
        ["--textfile", "nowhere/waltop.prom"],
        ["--listen", "9464"],
        ["--listen", "unix:notes.db"],
    ] {
        let said = home.run(&["metrics", "notes.db", args[0], args[1]]);
        assert_eq!(said.code, Some(2), "{args:?}: {said:?}");
    }
    assert_eq!(fs::read(home.db()).expect("readable"), before);
}
