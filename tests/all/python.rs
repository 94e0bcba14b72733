//! Python's `sqlite3`: another SQLite library, and a process that can do what no client of ours would.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Does each line of stdin as Python, and answers `ok`, or `error: …`, after what the line itself printed.
const UNDER_ORDERS: &str = "
import sqlite3, sys
path = sys.argv[1]
db = sqlite3.connect(path, isolation_level=None)
names = {'db': db, 'path': path}
print('ok', flush=True)
for line in sys.stdin:
    try:
        exec(line, names)
        print('ok', flush=True)
    except Exception as error:
        print('error:', error, flush=True)
";

/// A Python process with a connection, under orders. It ends with its value.
pub struct Python {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// A Python process with a connection to `database`; `None`, and a word about it, where there is no Python
    /// that can have one.
    pub fn open(database: &Path) -> Option<Self> {
        Self::open_through(&[], database)
    }

    /// The same started by `launcher`, a command that becomes the program named after its own arguments.
    pub fn open_through(launcher: &[&str], database: &Path) -> Option<Self> {
        let can = Command::new("python3").args(["-c", "import sqlite3"]).stderr(Stdio::null()).status();
        if !can.is_ok_and(|status| status.success()) {
            eprintln!("not tested: there is no python3 with sqlite3 here");
            return None;
        }
        let words: Vec<&str> = launcher.iter().copied().chain(["python3"]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["-c", UNDER_ORDERS]).arg(database);
        Some(Self::start_by(command))
    }

    /// The same from the file `script`, which is written, with `options` after the database.
    pub fn open_script(script: &Path, database: &Path, options: &[&str]) -> Option<Self> {
        Self::open(database)?;
        std::fs::write(script, UNDER_ORDERS).expect("written");
        let mut command = Command::new("python3");
        command.arg(script).arg(database).args(options);
        Some(Self::start_by(command))
    }

    fn start_by(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 starts");
        let orders = child.stdin.take().expect("stdin is piped");
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut python = Self { child, orders, answers };
        assert_eq!(python.answer(), Vec::<String>::new());
        python
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a PID fits")
    }

    /// Runs `sql` to its end.
    pub fn sql(&mut self, sql: &str) -> &mut Self {
        self.run(&format!("db.execute({sql:?}).fetchall()"));
        self
    }

    /// Runs one line of Python, which must go well; the lines that it printed.
    pub fn run(&mut self, line: &str) -> Vec<String> {
        writeln!(self.orders, "{line}").expect("Python lives");
        self.answer()
    }

    /// Starts to run one line of Python that does not end. It takes no more orders.
    pub fn start(&mut self, line: &str) {
        writeln!(self.orders, "{line}").expect("Python lives");
    }

    /// Loses its locks on `-shm`, as any code does that opens and closes the file beside a connection.
    pub fn lose_locks(&mut self) {
        self.run("open(path + '-shm').close()");
    }

    /// Ends its main thread, and no other. It takes no more orders.
    pub fn end_main_thread(&mut self) {
        self.start("ctypes.CDLL(None).pthread_exit(None)");
    }

    /// Uses `-shm` as a client with open-file-description locks does: mapped, and with the first slot of readers taken.
    pub fn hold_index_by_ofd_locks(&mut self) {
        self.run("import fcntl, mmap, struct");
        self.run("shm = open(path + '-shm', 'r+b', buffering=0)");
        self.run("mapped = mmap.mmap(shm.fileno(), 0)");
        for byte in [128, 124] {
            self.take_ofd_lock("shm", "F_RDLCK", byte, 1);
        }
    }

    /// Takes an open-file-description lock of `kind` on `count` bytes of its open `file`.
    pub fn take_ofd_lock(&mut self, file: &str, kind: &str, first: u64, count: u64) {
        // F_OFD_SETLK is 37 (fcntl.h of Linux), which Python has no name for before 3.9.
        self.run(&format!(
            "fcntl.fcntl({file}, 37, struct.pack('hhqqi0q', fcntl.{kind}, 0, {first}, {count}, 0))"
        ));
    }

    /// Ends it as `kill -9` does, and waits for that.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    fn answer(&mut self) -> Vec<String> {
        let mut printed = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.answers.read_line(&mut line).expect("Python answers") > 0, "Python has ended");
            match line.trim_end() {
                "ok" => return printed,
                line => assert!(!line.starts_with("error:"), "{line}"),
            }
            printed.push(line.trim_end().to_owned());
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
