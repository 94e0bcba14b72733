//! Maintenance beside other SQLite libraries: Python's, that of the shell, and Node's or Bun's. Each has its own
//! build, and none of them is ours.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout},
};

use super::*;

const OF_PYTHON: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    try:
        db.execute(line).fetchall()
        print('ok', flush=True)
    except Exception as error:
        print('error:', error, flush=True)
";

const OF_NODE: &str = "
const { DatabaseSync } = require('node:sqlite');
const db = new DatabaseSync(process.argv[1]);
require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    try { db.prepare(line).all(); console.log('ok'); } catch (error) { console.log('error: ' + error.message); }
});
";

const OF_BUN: &str = "
const { Database } = require('bun:sqlite');
const db = new Database(process.argv.at(-1));
for await (const line of console) {
    try { db.query(line).all(); console.log('ok'); } catch (error) { console.log('error: ' + error.message); }
}
";

/// Who shares the database with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Library {
    Python,
    Shell,
    Node,
    Bun,
}

impl Library {
    const ALL: [Self; 4] = [Self::Python, Self::Shell, Self::Node, Self::Bun];

    /// What tells by its exit code whether it is here, and what runs it, up to the database's path.
    fn commands(self) -> (Vec<&'static str>, Vec<&'static str>) {
        match self {
            Self::Python => (vec!["python3", "-c", "import sqlite3"], vec!["python3", "-c", OF_PYTHON]),
            // Not interactive, it would keep its answers until it ends.
            Self::Shell => (vec!["sqlite3", "--version"], vec!["sqlite3", "-bail", "-interactive"]),
            Self::Node => {
                (vec!["node", "-e", "require('node:sqlite')"], vec!["node", "--no-warnings", "-e", OF_NODE])
            }
            Self::Bun => (vec!["bun", "-e", "require('bun:sqlite')"], vec!["bun", "-e", OF_BUN]),
        }
    }

    fn is_here(self) -> bool {
        let (probe, _) = self.commands();
        let mut probe = command(&probe);
        let found = probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|it| it.success());
        if !found {
            eprintln!("not tested: there is no {self:?} with SQLite here");
        }
        found
    }
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    command
}

/// A process with a connection of another library, under orders. It ends with its value.
struct Neighbour {
    library: Library,
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Neighbour {
    fn open(library: Library, database: &Path) -> Self {
        let mut child = command(&library.commands().1)
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let orders = child.stdin.take().expect("stdin is piped");
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { library, child, orders, answers }
    }

    /// Does `sql`, which must succeed.
    fn sql(&mut self, sql: &str) {
        // The shell prints what it is told to, and ends at the first error.
        let order = match self.library {
            Library::Shell => format!("{sql};\n.print ok\n"),
            _ => format!("{sql}\n"),
        };
        self.orders.write_all(order.as_bytes()).expect("it lives");
        loop {
            let mut line = String::new();
            let length = self.answers.read_line(&mut line).expect("it answers");
            assert!(length > 0 && !line.starts_with("error:"), "{:?}: {sql}: {line}", self.library);
            if matches!(line.trim_end(), "ok" | "sqlite> ok") {
                return;
            }
        }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Name, inode, owner and mode of each file in the folder.
fn files(home: &Home) -> Vec<(PathBuf, u64, u32, u32, u32)> {
    let mut files: Vec<_> = fs::read_dir(home.folder())
        .expect("the folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let it = fs::metadata(&path).expect("there");
            (path, it.ino(), it.uid(), it.gid(), it.mode())
        })
        .collect();
    files.sort();
    files
}

fn expect_good(home: &Home, args: &[&str], library: Library) -> String {
    let said = home.run(args);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{library:?}: {args:?}: {said:?}");
    said.out
}

#[test]
fn maintenance_beside_another_library_leaves_the_files_to_it() {
    for library in Library::ALL.into_iter().filter(|library| library.is_here()) {
        let home = Home::with_wal();
        let mut neighbour = Neighbour::open(library, &home.db());
        neighbour.sql("PRAGMA wal_autocheckpoint = 0");
        neighbour.sql("INSERT INTO t VALUES (2)");
        let (before, listing) = (files(&home), Home::listing(&home.folder()));
        assert_eq!(before.len(), 3, "{library:?}: {before:?}");
        for args in [
            &["health", "notes.db"][..],
            &["health", "--quick-check", "notes.db"],
            &["fix", "--dry-run", "notes.db"],
            &["fix", "--yes", "notes.db"],
            &["stats", "notes.db"],
        ] {
            expect_good(&home, args, library);
            assert_eq!(Home::listing(&home.folder()), listing, "{library:?}: {args:?}");
        }
        for mode in ["passive", "full", "restart", "truncate"] {
            neighbour.sql("INSERT INTO t VALUES (3)");
            let said = expect_good(&home, &["checkpoint", "--mode", mode, "notes.db"], library);
            assert!(said.contains("checkpoint complete"), "{library:?}: {said}");
            assert_eq!(files(&home), before, "{library:?}: {mode}");
        }
        neighbour.sql("INSERT INTO t VALUES (4)");
        let mut ours = home.actor();
        ours.sql("SELECT 1 / (count(*) = 7) FROM t");
    }
}

#[test]
fn a_lock_of_another_library_is_waited_for_and_named() {
    for library in Library::ALL.into_iter().filter(|library| library.is_here()) {
        let home = Home::with_wal();
        let mut neighbour = Neighbour::open(library, &home.db());
        neighbour.sql("BEGIN IMMEDIATE");
        let before = files(&home);
        let said = home.run(&["health", "--json", "--for", "100ms", "notes.db"]);
        assert_eq!(said.code, Some(1), "{library:?}: {said:?}");
        assert_eq!(
            said.json()["databases"][0]["write"]["made_wait"][0]["pid"],
            neighbour.child.id(),
            "{said:?}"
        );
        assert_eq!(files(&home), before, "{library:?}");
        neighbour.sql("INSERT INTO t VALUES (2)");
        neighbour.sql("COMMIT");
    }
}

#[test]
fn a_rollback_journal_is_fixed_beside_an_idle_neighbour_of_another_library() {
    for library in Library::ALL.into_iter().filter(|library| library.is_here()) {
        let home = Home::with_rollback();
        let mut neighbour = Neighbour::open(library, &home.db());
        neighbour.sql("INSERT INTO t VALUES (2)");
        let before = files(&home);
        let said = home.run(&["health", "notes.db"]);
        assert_eq!(said.code, Some(1), "the mode is not as the profile asks: {said:?}");
        assert_eq!(files(&home), before, "{library:?}");
        let shown = expect_good(&home, &["fix", "--dry-run", "notes.db"], library);
        assert!(shown.contains(&format!(": open in {} (", neighbour.child.id())), "{library:?}: {shown}");
        assert_eq!(files(&home), before, "{library:?}");
        expect_good(&home, &["fix", "--yes", "notes.db"], library);
        assert_eq!(files(&home)[0], before[0], "{library:?}: the main file stays the same one");
        neighbour.sql("INSERT INTO t VALUES (3)");
        expect_good(&home, &["health", "notes.db"], library);
        let mut ours = home.actor();
        ours.sql("SELECT 1 / (count(*) = 3) FROM t");
    }
}
