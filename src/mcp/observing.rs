//! The tools that observe a database from outside: no worker of theirs opens a connection.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    tool::{About, Effect, NamedDatabase, Ordered, ToolCall, within, words},
    untrusted::TextOrigin,
    workers::WorkerOrder,
};

/// How long such a worker may take, beside the time that it observes.
pub const SAMPLE_DEADLINE: Duration = Duration::from_secs(20);

/// Seconds that a tool samples or waits.
const LONGEST_SAMPLE: u64 = 30;
const LONGEST_WAIT: u64 = 60;
/// Seconds around a recorded moment.
const LONGEST_AROUND: u64 = 3600;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sampling {
    /// Sample the locks for so many seconds first (0 to 30), which shows short holds.
    #[serde(default)]
    seconds: u64,
}

impl Sampling {
    fn order<const N: usize>(&self, command: [&str; N], database: &NamedDatabase<'_>) -> Ordered {
        let seconds = within("seconds", self.seconds, 0, LONGEST_SAMPLE)?;
        let time = (seconds > 0).then(|| format!("--for={seconds}s").into());
        let words = words(command).chain(time).chain([database.path()?.into()]).collect();
        Ok(WorkerOrder::reading(words, SAMPLE_DEADLINE + Duration::from_secs(seconds)))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Status(Sampling);

impl ToolCall for Status {
    const ABOUT: About = About {
        name: "status",
        title: "Status of a database",
        does: "Take a sample: files, log, locks, processes that have the database open, and findings. Long; who_holds and \
               check are shorter.",
        output: &["status"],
        origin: TextOrigin::Observed,
        takes_database: true,
        effect: Effect::Reads,
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        self.0.order(["status", "--json", "--no-connection"], database)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct WhoHolds(Sampling);

impl ToolCall for WhoHolds {
    const ABOUT: About = About {
        name: "who_holds",
        title: "Who holds the locks now",
        does: "Say which processes hold a lock on the database or wait for one now, and since when. Samples the locks for \
               a second or more.",
        output: &["status --locks"],
        origin: TextOrigin::Observed,
        takes_database: true,
        effect: Effect::Reads,
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        let sampling = Sampling { seconds: self.0.seconds.max(1) };
        sampling.order(["status", "--locks", "--json", "--no-connection"], database)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Check(Sampling);

impl ToolCall for Check {
    const ABOUT: About = About {
        name: "check",
        title: "Findings of a database",
        does: "List what is wrong with the database and its processes, each with what to do. Sample for 10 seconds or more \
               to see what comes and goes.",
        output: &["check"],
        origin: TextOrigin::Observed,
        takes_database: true,
        effect: Effect::Reads,
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        self.0.order(["check", "--json", "--no-connection"], database)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhoAt {
    /// The moment, as `2026-11-30 03:12:07`, `03:12:07` (the latest past one) or `10 min ago`.
    at: String,
    /// Also report so many seconds before and after it (1 to 3600).
    #[serde(default = "WhoAt::usual")]
    around_seconds: u64,
}

impl WhoAt {
    fn usual() -> u64 {
        30
    }
}

impl ToolCall for WhoAt {
    const ABOUT: About = About {
        name: "who_at",
        title: "Who held the locks at a recorded moment",
        does: "Say who held and who wanted the locks at a past moment, if waltop recorded it (`waltop record`).",
        output: &["who"],
        origin: TextOrigin::Observed,
        takes_database: true,
        effect: Effect::Reads,
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        let around = within("around_seconds", self.around_seconds, 1, LONGEST_AROUND)?;
        let options = [format!("--at={}", self.at).into(), format!("--around={around}s").into()];
        let words = words(["who", "--json"]).chain(options).chain([database.path()?.into()]).collect();
        Ok(WorkerOrder::reading(words, SAMPLE_DEADLINE))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitUntilFree {
    /// How many seconds to wait at most (1 to 60).
    #[serde(default = "WaitUntilFree::usual")]
    timeout_seconds: u64,
}

impl WaitUntilFree {
    fn usual() -> u64 {
        10
    }
}

impl ToolCall for WaitUntilFree {
    const ABOUT: About = About {
        name: "wait_until_free",
        title: "Wait until the write lock is free",
        does: "Wait until no process holds the write lock, for a bounded time; the answer says whether it is free.",
        output: &["wait"],
        origin: TextOrigin::Observed,
        takes_database: true,
        effect: Effect::Reads,
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        let seconds = within("timeout_seconds", self.timeout_seconds, 1, LONGEST_WAIT)?;
        let time = format!("--timeout={seconds}s");
        let command = words(["wait", "--json", "--until", "free", &time]);
        let words = command.chain([database.path()?.into()]).collect();
        Ok(WorkerOrder::reading(words, SAMPLE_DEADLINE + Duration::from_secs(seconds)))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SafeToCopy {}

impl ToolCall for SafeToCopy {
    const ABOUT: About = About {
        name: "safe_to_copy",
        title: "Whether a copy of the files is safe",
        does: "Say whether no process has the database open, so that its files may be copied; otherwise which ones.",
        output: &["safe"],
        origin: TextOrigin::Observed,
        takes_database: true,
        effect: Effect::Reads,
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        let words = words(["safe", "--json", "--for", "copy"]).chain([database.path()?.into()]).collect();
        Ok(WorkerOrder::reading(words, SAMPLE_DEADLINE))
    }
}
