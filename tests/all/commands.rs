//! The program as scripts and people use it: arguments in, lines and an exit code out.

mod arguments;
mod bad_input;
mod check;
mod checkpoint;
mod completions;
mod config;
mod content;
mod discover;
mod doctor;
mod each;
mod explain;
mod fix;
mod gone;
mod hazards;
mod health;
mod help;
mod ingest;
mod links;
pub mod long_run;
mod matrix;
mod metrics;
mod neighbours;
mod optimize;
mod reap;
mod record;
mod rescue;
mod restarted;
mod runs;
mod safe;
mod search;
mod stats;
mod status;
mod stop;
mod stream;
mod traces;
mod wait;

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    contract::assert_keeps_to_its_schema,
    support::{ANOTHER, Actor, WALTOP, copy_program},
};

/// A folder to work in, and beside it what the program keeps for its user.
struct Home {
    dir: TempDir,
}

/// What a run of the program came to.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Who runs the program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum User {
    Myself,
    /// For root only.
    Another,
}

impl Home {
    fn new() -> Self {
        let home = Self { dir: TempDir::new().expect("a folder") };
        fs::create_dir(home.folder()).expect("a folder");
        home
    }

    /// With a database `notes.db` in WAL mode that has the table `t`, closed again.
    fn with_wal() -> Self {
        let home = Self::new();
        let mut maker = home.actor();
        maker.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)").sql("INSERT INTO t VALUES (1)");
        maker.close();
        home
    }

    /// The same with a rollback journal.
    fn with_rollback() -> Self {
        let home = Self::new();
        let mut maker = home.actor();
        maker.sql("CREATE TABLE t(x)").sql("INSERT INTO t VALUES (1)");
        maker.close();
        home
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().expect("there")
    }

    /// Where the program is started.
    fn folder(&self) -> PathBuf {
        self.root().join("work")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn db(&self) -> PathBuf {
        self.at("notes.db")
    }

    fn actor(&self) -> Actor {
        Actor::open(&self.db())
    }

    /// A document in the folder `notes`.
    fn document(&self, name: &str, text: &str) {
        fs::create_dir_all(self.at("notes")).expect("a folder");
        fs::write(self.at("notes").join(name), text).expect("written");
    }

    fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Said {
        self.run_as(User::Myself, args)
    }

    fn run_as<S: AsRef<OsStr>>(&self, user: User, args: &[S]) -> Said {
        let mut command = self.command(Path::new(WALTOP));
        if user == User::Another {
            // The program itself may lie where that user may not go. It is put there by `let_another_in`.
            command = self.command(&self.root().join("waltop"));
            command.uid(ANOTHER).gid(ANOTHER);
        }
        let output = command.args(args).output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("what it says is text");
        let said = Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        let args: Vec<&str> = args.iter().filter_map(|arg| arg.as_ref().to_str()).collect();
        if args.contains(&"--json") && !said.out.is_empty() {
            let value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
            assert_keeps_to_its_schema(&args, &value);
        }
        said
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder())
            .env("XDG_STATE_HOME", self.root().join("state"))
            .env("XDG_DATA_HOME", self.root().join("data"))
            .env("XDG_CONFIG_HOME", self.root().join("config"))
            .stdin(Stdio::null());
        command
    }

    /// Gives another user the program, a way to the folder, and places of his own.
    fn let_another_in(&self) {
        copy_program(Path::new(WALTOP), &self.root().join("waltop"));
        fs::set_permissions(self.root(), fs::Permissions::from_mode(0o755)).expect("a mode");
        for name in ["state", "data"] {
            fs::create_dir_all(self.root().join(name)).expect("a folder");
            chown(self.root().join(name), Some(ANOTHER), Some(ANOTHER)).expect("an owner");
        }
    }

    /// Somebody whom permissions stop, and who has been let in: root's stand-in, or whoever runs the tests.
    fn user_without_privileges(&self) -> User {
        if is_root() {
            self.let_another_in();
            User::Another
        } else {
            User::Myself
        }
    }

    fn json<S: AsRef<OsStr>>(&self, args: &[S]) -> Value {
        self.run(args).json()
    }

    /// What `stat` says of everything below `below`, with the time of the last write for files.
    fn listing(below: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![below.to_owned()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for path in entries.map(|entry| entry.expect("readable").path()) {
                let it = fs::symlink_metadata(&path).expect("there");
                // A folder that something was made and removed in again has changed its times only. And the time of
                // change moves on where root's SQLite opens a sidecar: it gives it to the owner, who has it already.
                // Of a mapped index it is the mapping's affair.
                let is_index = path.to_string_lossy().ends_with("-shm");
                let written = if it.is_dir() || is_index { 0 } else { it.mtime_nsec() };
                found.push(format!(
                    "{} inode {} owner {}:{} mode {:o} size {} written {written}",
                    path.display(),
                    it.ino(),
                    it.uid(),
                    it.gid(),
                    it.mode(),
                    it.len(),
                ));
                if it.is_dir() {
                    folders.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

impl Said {
    /// It was refused: exit 2 and one line on stderr, nothing on stdout; the line.
    fn refusal(&self) -> &str {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        let line = self.err.strip_suffix('\n').expect("a line");
        assert!(!line.contains(char::is_control), "one line without control characters: {self:?}");
        line.strip_prefix("waltop: ").expect("it says who speaks")
    }

    fn json(&self) -> Value {
        assert_eq!(self.err, "", "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

// Whether a line of `text` begins with `label` and has `word` after it.
fn has_line(text: &str, label: &str, word: &str) -> bool {
    text.lines().any(|line| {
        let words = line.strip_prefix(label).map(str::split_whitespace);
        words.is_some_and(|mut words| words.any(|it| it.trim_end_matches(':') == word))
    })
}

// `name` as a file name that need not be text.
fn raw(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}
