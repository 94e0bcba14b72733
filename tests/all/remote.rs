//! A console of other hosts. A script stands in for ssh: it runs the command for the host on this machine. One test has a
//! real sshd.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    support::{Actor, WALTOP, eventually},
    terminal::{Terminal, database, home},
};

mod missed;
mod screen;
mod sshd;

const USUAL: (u16, u16) = (120, 40);

/// Runs the command for any host but some, which fail as ssh does. Its PID becomes that of what it runs.
const SSH: &str = r#"#!/bin/sh
here=$(dirname "$0")
while [ "$1" != -- ]; do shift; done
if [ -e "$here/down" ]; then
    echo "ssh: connect to host $2 port 22: Connection refused" >&2
    exit 255
fi
case $2 in
    unknown) echo 'Host key verification failed.' >&2; exit 255 ;;
    newer) printf '%s\n' '{"seq":1,"at":"2026-01-15T14:00:00Z","boot_ms":1.0,"event":"header","format":{"major":9,"minor":0},"waltop":"9.0.0","host":"newer","boot_id":"","pid_namespace":null,"every_ms":1000,"lock_interval_ms":null,"databases":[]}'; exit 0 ;;
esac
if [ -e "$here/old" ]; then
    case $3 in *--since*) echo "error: unexpected argument '--since' found" >&2; exit 2 ;; esac
fi
case $3 in *' --every '*) echo $$ >"$here/$2.pid" ;; esac
PATH=$here:$PATH exec sh -c "exec $3"
"#;

struct Hosts {
    home: TempDir,
    db: String,
    writer: Actor,
}

impl Hosts {
    fn new() -> Self {
        let home = home();
        let (db, writer) = database(home.path());
        let ssh = home.path().join("ssh");
        fs::write(&ssh, SSH).expect("written");
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("a mode");
        symlink(WALTOP, home.path().join("waltop")).expect("a link");
        Self { home, db, writer }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn open(&self, args: &[&str]) -> Terminal {
        let ssh = self.at("ssh");
        let ssh = format!("{} -F 'none of yours'", ssh.display());
        let all = [&["--ssh", ssh.as_str()], args].concat();
        Terminal::open(self.home.path(), &all, USUAL)
    }

    /// Ends the process at the other end of the link to `host`.
    fn cut(&self, host: &str) {
        let text = fs::read_to_string(self.at(&format!("{host}.pid"))).expect("it was connected");
        let pid = Pid::from_raw(text.trim().parse().expect("a PID")).expect("a PID");
        kill_process(pid, Signal::KILL).expect("it runs");
    }

    /// Lets no new connection be made, or lets them again.
    fn set_down(&self, is_down: bool) {
        let file = self.at("down");
        if is_down { fs::write(file, "").expect("written") } else { fs::remove_file(file).expect("there") }
    }
}

#[test]
fn a_console_shows_another_host_and_acts_there() {
    let mut hosts = Hosts::new();
    let mut reader = Actor::open(Path::new(&hosts.db));
    reader.sql("BEGIN").sql("SELECT * FROM t");
    let mut terminal = hosts.open(&["--host", "web1", &hosts.db]);
    terminal.shows("waltop web1 notes.db");
    terminal.shows(&hosts.writer.pid().to_string());
    terminal.shows("read@");
    terminal.resize(80, 24);
    terminal.shows("no writer");
    terminal.resize(120, 40);
    terminal.keys("i");
    terminal.shows("on the host itself");
    terminal.keys(&format!("/{}\r", reader.pid()));
    terminal.shows("filter");
    terminal.keys("x");
    terminal.shows(&format!("Stop {}", reader.pid()));
    terminal.keys("n");
    terminal.shows_no_more("Stop ");
    assert_eq!(reader.try_sql("SELECT 1"), "ok", "no is no");
    terminal.keys("x");
    terminal.shows(&format!("Stop {}", reader.pid()));
    terminal.keys("y");
    terminal.shows("has ended after TERM");
    hosts.writer.sql("INSERT INTO t VALUES (2)");
    terminal.keys("\u{1b}");
    terminal.shows_no_more(", filter");
    terminal.keys("c");
    terminal.shows("Checkpoint");
    terminal.keys("y");
    terminal.shows("checkpoint complete");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    assert_eq!(hosts.writer.try_sql("SELECT 1"), "ok", "the process beside it goes on");
}

#[test]
fn a_lost_link_is_named_and_comes_back_and_what_was_missed_is_no_free_lock() {
    let mut hosts = Hosts::new();
    hosts.writer.sql("BEGIN IMMEDIATE");
    let mut terminal = hosts.open(&["--host", "web1", &hosts.db]);
    terminal.shows("writer waltop");
    hosts.set_down(true);
    hosts.cut("web1");
    terminal.shows("link lost");
    terminal.shows("is not watched since");
    terminal.shows("refuses the connection");
    assert!(!terminal.text().contains("no writer") && !terminal.text().contains("write lock"));
    terminal.keys("x");
    terminal.shows("there is no link to web1");
    hosts.writer.sql("COMMIT");
    hosts.set_down(false);
    terminal.shows("no writer");
    terminal.keys("b");
    terminal.shows("░ not watched");
    terminal.shows("░░");
    terminal.keys("qq");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn hosts_that_fail_end_the_start_with_a_line_each_and_one_that_answers_opens_it() {
    let hosts = Hosts::new();
    let mut terminal = hosts.open(&["--host", "unknown", "--host", "newer", &hosts.db]);
    terminal.shows("the host key of unknown is not known here");
    terminal.shows("waltop 9.0.0 on newer writes format 9");
    assert_eq!(terminal.end(), 2);
    let mut terminal = hosts.open(&["--host", "web1", "--remote-command", "no-such-waltop", &hosts.db]);
    terminal.shows("web1 has no `no-such-waltop`");
    assert_eq!(terminal.end(), 2);
    let mut terminal = hosts.open(&["--host", "unknown", "--host", "web1", &hosts.db]);
    terminal.shows("waltop web1 notes.db");
    terminal.shows("no link to unknown");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn the_databases_of_several_hosts_stand_in_one_overview() {
    let mut hosts = Hosts::new();
    hosts.writer.sql("SELECT * FROM t");
    let mut terminal = hosts.open(&["--host", "web1", "--host", "web2", &hosts.db]);
    terminal.shows(" of 2");
    terminal.keys("o");
    terminal.shows("2 databases");
    let row = |host: &str| {
        let text = terminal.text();
        // The first line names the selected one.
        let mut rows = text.lines().skip(1);
        let found = rows.position(|line| line.contains(host) && line.contains("notes.db"));
        found.map(|at| (at, text))
    };
    let [(first, _), (second, _)] = ["web1 ", "web2 "].map(|host| eventually(host, || row(host)));
    assert_ne!(first, second);
    hosts.set_down(true);
    hosts.cut("web2");
    eventually("the host without a link comes first", || {
        let text = terminal.text();
        let rows = || text.lines().skip(1);
        let lost = rows().position(|line| line.contains("web2 ") && line.contains("link lost"))?;
        let live = rows().position(|line| line.contains("web1 ") && line.contains("notes.db"))?;
        (lost < live).then_some(())
    });
    terminal.keys("oq");
    assert_eq!(terminal.end(), 0);
}
