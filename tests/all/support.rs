//! What the tests share: real processes under orders, and waiting for a condition.

use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

/// The program under test.
pub const WALTOP: &str = env!("CARGO_BIN_EXE_waltop");

/// `command` with state, data and settings of its own in `home`, nothing to read, and pipes for what it says.
pub fn set_apart(mut command: Command, home: &Path) -> Command {
    command
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_DATA_HOME", home.join("data"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A real process with a real connection, that does what the test says. It ends with its value.
pub struct Actor {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Actor {
    /// An actor that has opened `database` (which takes no lock yet).
    pub fn open(database: &Path) -> Self {
        Self::spawn(database, &[])
    }

    /// The same with `mode=ro`.
    pub fn open_read_only(database: &Path) -> Self {
        Self::spawn(database, &["--read-only"])
    }

    /// The same under a name of its own.
    pub fn open_as(database: &Path, name: &str) -> Self {
        Self::spawn(database, &["--role", name])
    }

    /// The same started by `launcher`, a command that becomes the program named after its own arguments.
    pub fn open_through(launcher: &[&str], database: &Path) -> Self {
        let mut command = Command::new(launcher[0]);
        command.args(&launcher[1..]).arg(WALTOP);
        Self::start(command, database, &[])
    }

    /// The same for `program`, a copy of the program under test, as it is named there.
    pub fn open_inside(launcher: &[&str], program: &str, database: &Path) -> Self {
        let mut command = Command::new(launcher[0]);
        command.args(&launcher[1..]).arg(program);
        Self::start(command, database, &[])
    }

    /// The same by `program`, a copy of the program under test, under a name of its own.
    pub fn open_by(program: &Path, database: &Path, name: &str) -> Self {
        Self::start(Command::new(program), database, &["--role", name])
    }

    fn spawn(database: &Path, options: &[&str]) -> Self {
        Self::start(Command::new(WALTOP), database, options)
    }

    fn start(mut command: Command, database: &Path, options: &[&str]) -> Self {
        let mut child = command
            .arg("actor")
            .arg(database)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the actor starts");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut actor = Self { child, orders, answers };
        assert_eq!(actor.answer(), "ok");
        actor
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a PID fits")
    }

    /// Does `sql`, which must succeed.
    pub fn sql(&mut self, sql: &str) -> &mut Self {
        assert_eq!(self.try_sql(sql), "ok", "{sql}");
        self
    }

    /// Does `sql`; `ok`, or `error: …`.
    pub fn try_sql(&mut self, sql: &str) -> String {
        self.order(sql);
        self.answer()
    }

    /// Gives the order without waiting for the answer.
    pub fn order(&mut self, sql: &str) {
        assert!(!sql.contains('\n'), "one statement a line");
        let orders = self.orders.as_mut().expect("the actor is under orders");
        writeln!(orders, "{sql}").expect("the actor lives");
    }

    /// The answer to the order given last.
    pub fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the actor answers");
        line.trim_end().to_owned()
    }

    /// Lets it close its connection and end, and waits for that.
    pub fn close(mut self) {
        drop(self.orders.take());
        self.child.wait().expect("the actor ends");
    }

    /// Ends it as `kill -9` does, and waits for that.
    pub fn kill(mut self) {
        self.child.kill().expect("the actor can be killed");
        self.child.wait().expect("the actor ends");
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Copies a program that is to be run from there. Another process does it: a descriptor of ours, open to write,
/// would be inherited by whatever a test beside this one starts, and a program cannot be run while it is open so.
pub fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}

/// A user that is not root, and has no name on most machines.
pub const ANOTHER: u32 = 65_534;

/// Runs the test `name` of this program once more, as another user, with `value` in its environment under `key`. The
/// program itself may lie where that user may not go, so a copy in `folder` is run. For root only.
pub fn run_test_as_another(folder: &Path, name: &str, key: &str, value: impl AsRef<OsStr>) {
    let program = folder.join("tests");
    copy_program(&env::current_exe().expect("this program"), &program);
    let output = Command::new(program)
        .args(["--exact", name])
        .env(key, value)
        .current_dir("/")
        .uid(ANOTHER)
        .gid(ANOTHER)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// How long anything is waited for: what has not come by then never will.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` gives something; fails after a time that no healthy run needs.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
