//! The same with OpenSSH: a server on loopback with keys of its own.

use std::{
    fmt::Write as _,
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use super::*;

/// Where the system has the server.
const SSHD: &str = "/usr/sbin/sshd";

/// A server for this user. It ends with its value.
struct Server {
    child: Child,
    folder: PathBuf,
}

impl Server {
    /// `None`, with the reason, where the system has no server or lets this user start none.
    fn start(folder: &Path, waltop_in: &Path) -> Result<Self, String> {
        if !Path::new(SSHD).exists() {
            return Err(format!("there is no {SSHD}: install openssh-server"));
        }
        fs::create_dir(folder).map_err(|error| error.to_string())?;
        let at = |name: &str| folder.join(name).display().to_string();
        for key in ["host_key", "user_key"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]).status();
            assert!(made.is_ok_and(|it| it.success()), "a key");
        }
        fs::copy(at("user_key.pub"), at("authorized_keys")).expect("copied");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
        let places = ["state", "data", "config"]
            .map(|kind| format!("XDG_{}_HOME={}", kind.to_uppercase(), waltop_in.join(kind).display()));
        let path = format!("PATH={}:/usr/bin:/bin", waltop_in.display());
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPermitRootLogin yes\nSetEnv {path} {}\n",
            at("host_key"),
            at("authorized_keys"),
            places.join(" ")
        );
        fs::write(at("sshd_config"), config).expect("written");
        let log = fs::File::create(at("log")).expect("a file");
        let mut child = Command::new(SSHD)
            .args(["-D", "-e", "-f", &at("sshd_config")])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| error.to_string())?;
        let is_there = eventually("the server answers, or ends", || match child.try_wait() {
            Ok(None) => TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(true),
            _ => Some(false),
        });
        if !is_there {
            return Err(fs::read_to_string(at("log")).unwrap_or_default());
        }
        let server = Self { child, folder: folder.to_owned() };
        server.write_client(port);
        Ok(server)
    }

    // Names for the server: with its key, without it, and without a key of the user.
    fn write_client(&self, port: u16) {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let key = fs::read_to_string(at("host_key.pub")).expect("a key");
        fs::write(at("known"), format!("[127.0.0.1]:{port} {key}")).expect("written");
        let user = Command::new("id").arg("-un").output().expect("id runs").stdout;
        let user = String::from_utf8(user).expect("a name");
        let mut config = format!(
            "Host *\n  HostName 127.0.0.1\n  Port {port}\n  User {}\n  IdentitiesOnly yes\n  IdentityAgent none\n",
            user.trim()
        );
        for (host, identity, known) in
            [("web1", "user_key", "known"), ("stranger", "user_key", "none"), ("nokey", "none", "known")]
        {
            let (identity, known) = (at(identity), at(known));
            let _ = write!(config, "Host {host}\n  IdentityFile {identity}\n  UserKnownHostsFile {known}\n");
        }
        fs::write(at("client"), config).expect("written");
    }

    fn ssh(&self) -> String {
        format!("ssh -F {}", self.folder.join("client").display())
    }

    /// Ends the processes of the server that serve a connection now.
    fn cut_all(&self) {
        for entry in fs::read_dir("/proc").expect("a list").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse::<i32>().ok()) else {
                continue;
            };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
            if parent.is_some_and(|parent| parent == self.child.id().to_string()) {
                // It may have ended.
                let _ = kill_process(Pid::from_raw(pid).expect("a PID"), Signal::KILL);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cut_all();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_ssh_shows_acts_loses_its_link_and_finds_it_again() {
    let home = home();
    let (db, mut writer) = database(home.path());
    symlink(WALTOP, home.path().join("waltop")).expect("a link");
    let server = match Server::start(&home.path().join("ssh"), home.path()) {
        Ok(server) => server,
        Err(why) => {
            eprintln!("skipped, no server on loopback: {why}");
            return;
        }
    };
    let ssh = server.ssh();
    let open = |args: &[&str]| Terminal::open(home.path(), &[&["--ssh", &ssh], args].concat(), USUAL);
    for (host, line) in [
        ("stranger", "the host key of stranger is not known here"),
        ("nokey", "nokey accepts no key of yours"),
    ] {
        let mut terminal = open(&["--host", host, &db]);
        terminal.shows(line);
        assert_eq!(terminal.end(), 2);
    }
    let mut terminal = open(&["--host", "web1", "--remote-command", "no-such-waltop", &db]);
    terminal.shows("web1 has no `no-such-waltop`");
    assert_eq!(terminal.end(), 2);
    let mut reader = Actor::open(Path::new(&db));
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("BEGIN IMMEDIATE");
    let mut terminal = open(&["--host", "web1", &db]);
    terminal.shows("waltop web1 notes.db");
    terminal.shows("writer waltop");
    server.cut_all();
    terminal.shows("link lost");
    terminal.shows("writer waltop");
    terminal.keys(&format!("/{}\r", reader.pid()));
    terminal.shows("filter");
    terminal.keys("x");
    terminal.shows(&format!("Stop {}", reader.pid()));
    terminal.keys("y");
    terminal.shows("has ended after TERM");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    assert_eq!(writer.try_sql("ROLLBACK"), "ok", "the process beside it goes on");
}
