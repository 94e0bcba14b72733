//! The tools that change something: a server has those that its command line allows, and each runs dry unless told
//! otherwise.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    reading::SQL_DEADLINE,
    tool::{About, Effect, NamedDatabase, Ordered, ToolCall, within, words},
    untrusted::TextOrigin,
    workers::{LateWorker, WorkerOrder},
};
use crate::snapshot::CheckpointMode;

/// What a server may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AllowedAction {
    /// Run checkpoints.
    Checkpoint,
    /// Stop stale processes.
    Reap,
    /// Ingest the folders that --folder names.
    Ingest,
}

/// Seconds that `reap` watches before it judges.
const LONGEST_WATCH: u64 = 60;
/// Seconds that an ingestion may take.
const LONGEST_INGESTION: u64 = 600;

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Only say what a checkpoint would move, and what would be in the way.
    #[serde(default = "yes")]
    dry_run: bool,
    /// `passive` blocks no process; the others make writers wait for up to 250 ms.
    #[serde(default)]
    mode: CheckpointMode,
}

impl ToolCall for Checkpoint {
    const ABOUT: About = About {
        name: "checkpoint",
        title: "Run a checkpoint",
        does: "Move frames of the log into the database. A dry run, the default, says how many wait and which processes would \
               be in the way.",
        output: &["checkpoint"],
        origin: TextOrigin::Observed,
        takes_database: true,
        effect: Effect::Changes { allowed: AllowedAction::Checkpoint, is_destructive: false },
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        let dry_run = self.dry_run.then(|| "--dry-run".into());
        let options = [format!("--mode={}", self.mode).to_lowercase().into(), database.path()?.into()];
        let words = words(["checkpoint", "--json"]).chain(dry_run).chain(options).collect();
        Ok(WorkerOrder { words, deadline: SQL_DEADLINE, late: LateWorker::Terminated })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reap {
    /// Only list the stale processes, with the causes.
    #[serde(default = "yes")]
    dry_run: bool,
    /// The one to stop, of the list of a dry run; required for a stop.
    pid: Option<i32>,
    /// Its `start_ticks` there; required for a stop.
    start_ticks: Option<u64>,
    /// How many seconds to watch first (1 to 60). A process counts as idle after 30 only.
    #[serde(default = "Reap::usual")]
    watch_seconds: u64,
}

impl Reap {
    fn usual() -> u64 {
        30
    }
}

impl ToolCall for Reap {
    const ABOUT: About = About {
        name: "reap",
        title: "Stop a stale process",
        does: "Stop a process that has the database open and is stale, with TERM. A dry run, the default, lists the stale \
               ones with their causes; a stop names one of them by `pid` and `start_ticks`.",
        output: &["reap"],
        origin: TextOrigin::Observed,
        takes_database: true,
        effect: Effect::Changes { allowed: AllowedAction::Reap, is_destructive: true },
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        let seconds = within("watch_seconds", self.watch_seconds, 1, LONGEST_WATCH)?;
        let time = format!("--for={seconds}s").into();
        let how = match (self.dry_run, self.pid, self.start_ticks) {
            (true, None, None) => vec!["--dry-run".into()],
            (true, ..) => {
                return Err(
                    "a dry run lists all: leave `pid` and `start_ticks` out, or give `dry_run` as false"
                        .into(),
                );
            }
            (false, Some(pid), Some(start)) => {
                vec!["--yes".into(), format!("--pid={pid}").into(), format!("--started={start}").into()]
            }
            (false, ..) => {
                return Err("a stop needs `pid` and `start_ticks`: take both from a dry run".into());
            }
        };
        let options = how.into_iter().chain([time, database.path()?.into()]);
        let words = words(["reap", "--json"]).chain(options).collect();
        let deadline = SQL_DEADLINE + Duration::from_secs(seconds);
        Ok(WorkerOrder { words, deadline, late: LateWorker::Terminated })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// Only count the documents in the folder.
    #[serde(default = "yes")]
    dry_run: bool,
    /// The folder, if the server has several.
    folder: Option<String>,
    /// How many seconds to ingest at most (1 to 600); what was ingested by then stays, and the next call resumes.
    #[serde(default = "Ingest::usual")]
    timeout_seconds: u64,
}

impl Ingest {
    fn usual() -> u64 {
        45
    }
}

impl ToolCall for Ingest {
    const ABOUT: About = About {
        name: "ingest",
        title: "Ingest a folder",
        does: "Bring the documents of a folder into the database, new and changed ones only, in short transactions. A dry \
               run, the default, counts what is in the folder.",
        output: &["ingest", "ingest --dry-run"],
        origin: TextOrigin::Documents,
        takes_database: true,
        effect: Effect::Changes { allowed: AllowedAction::Ingest, is_destructive: false },
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        let seconds = within("timeout_seconds", self.timeout_seconds, 1, LONGEST_INGESTION)?;
        let dry_run = self.dry_run.then(|| "--dry-run".into());
        let folder = database.folder(self.folder.as_deref())?;
        let options = ["--db".into(), database.path()?.into(), "--".into(), folder.into()];
        let words = words(["ingest", "--json"]).chain(dry_run).chain(options).collect();
        Ok(WorkerOrder { words, deadline: Duration::from_secs(seconds), late: LateWorker::Terminated })
    }
}
