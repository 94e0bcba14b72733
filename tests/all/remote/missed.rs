//! A time without a link, and what a recorder on the host knows of it.

use super::*;
use crate::commands::long_run::LongRun;

/// `waltop record` on the host, whose state folder is that of the test.
fn recorder(hosts: &Hosts) -> LongRun {
    let mut command = Command::new(WALTOP);
    command.args(["record", &hosts.db, "--every", "200ms", "--trace", "off", "--min-free", "1B"]);
    for kind in ["state", "data", "config"] {
        command.env(format!("XDG_{}_HOME", kind.to_uppercase()), hosts.at(kind));
    }
    let mut recorder = LongRun::start(command);
    recorder.notice_with("records 1 database");
    recorder
}

/// Opens a console that sees a hold of the write lock, and cuts its link while another one begins and ends.
fn opened_and_cut(hosts: &mut Hosts) -> Terminal {
    hosts.writer.sql("BEGIN IMMEDIATE");
    let terminal = hosts.open(&["--host", "web1", &hosts.db]);
    terminal.shows("writer waltop");
    hosts.writer.sql("COMMIT");
    terminal.shows("no writer");
    hosts.set_down(true);
    hosts.cut("web1");
    terminal.shows("link lost");
    hosts.writer.sql("BEGIN IMMEDIATE");
    std::thread::sleep(std::time::Duration::from_millis(600));
    hosts.writer.sql("COMMIT");
    hosts.set_down(false);
    terminal.shows("no writer");
    terminal
}

/// Opens the timeline, which has the time without a link.
fn open_timeline(terminal: &mut Terminal) {
    terminal.keys("b");
    terminal.shows("░ not watched");
    terminal.shows("░░");
}

#[test]
fn what_a_recorder_there_knows_of_a_time_without_a_link_is_shown() {
    let mut hosts = Hosts::new();
    let _recorder = recorder(&hosts);
    let mut terminal = opened_and_cut(&mut hosts);
    open_timeline(&mut terminal);
    terminal.shows("2 holds");
    terminal.shows_no_more("░░");
    terminal.keys("q");
    terminal.shows("the recorder on web1");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn without_a_recorder_or_with_an_older_waltop_there_the_time_stays_not_watched() {
    for (is_old, line) in [(false, "no recorder on web1"), (true, "'--since'")] {
        let mut hosts = Hosts::new();
        if is_old {
            fs::write(hosts.at("old"), "").expect("written");
        }
        let mut terminal = opened_and_cut(&mut hosts);
        terminal.shows(line);
        open_timeline(&mut terminal);
        terminal.shows("1 hold");
        terminal.keys("qq");
        assert_eq!(terminal.end(), 0);
    }
}
