//! A recorder beside a scenario, and whom it names afterwards.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Child,
};

use jiff::Timestamp;
use waltop::recording::WhoReport;

use super::cast::Home;
use crate::support::eventually;

/// A recorder, which ends with its value.
pub struct Recorder {
    child: Child,
    folder: PathBuf,
}

/// Whom `waltop who` names.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Named {
    /// The holder of the write lock, or else the last one before.
    pub holder: Option<i32>,
    /// The one with the longest hold within a second of it.
    pub longest: Option<i32>,
    /// The readers of a database with a rollback journal.
    pub readers: Vec<i32>,
}

impl Recorder {
    /// Records `databases` from a first sample on.
    pub fn start(home: &Home, databases: &[&Path]) -> Self {
        let options = ["record", "--every", "100ms", "--trace", "off", "--min-free", "1B"];
        let mut command = home.command(&options);
        let folder = home.at("recordings");
        command.arg("--dir").arg(&folder);
        let mut child = command.args(databases).spawn().expect("waltop starts");
        let mut notices = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        notices.read_line(&mut line).expect("it says what it records");
        assert!(line.contains(" records "), "{line}");
        let recorder = Self { child, folder };
        let open = recorder.folder.join("open.jsonl");
        eventually("the first sample is recorded", || {
            fs::read_to_string(&open).is_ok_and(|lines| lines.contains("\"snapshot\"")).then_some(())
        });
        recorder
    }

    /// Whom it names for the moment `at`, once that is recorded.
    pub fn named(&self, home: &Home, database: &Path, at: Timestamp) -> Named {
        eventually("the moment is recorded", || self.answer(home, database, at))
    }

    fn answer(&self, home: &Home, database: &Path, at: Timestamp) -> Option<Named> {
        let (path, folder) = (database.display().to_string(), self.folder.display().to_string());
        let at = at.to_string();
        let said = home.run(&["who", &path, "--at", &at, "--around", "1s", "--json", "--dir", &folder]);
        if said.code != Some(0) {
            return None;
        }
        let report: WhoReport = serde_json::from_str(&said.out).expect("an answer");
        let database = report.databases.into_iter().next()?;
        let holder = database.holds.into_iter().next().or(database.hold_before);
        Some(Named {
            holder: holder.and_then(|hold| hold.process.pid),
            longest: database.longest_hold.and_then(|hold| hold.process.pid),
            readers: database.readers.iter().filter_map(|reader| reader.pid).collect(),
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
