//! What protects a process from being offered for a stop, whatever its findings.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a process is protected. Its text is one sentence.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum StaleProtection {
    /// It is the system's first process.
    First,
    /// It holds the only copy of the data of these files, which were deleted.
    OnlyCopy {
        files: Vec<String>,
    },
    /// It is the waltop that took the sample.
    Looker,
    /// It is an ancestor of that waltop.
    Ancestor,
    AnotherUser {
        /// The name of the user, or the number if it has none.
        user: String,
    },
    UnknownUser,
    /// It is another waltop, running this command.
    OwnKind {
        command: String,
    },
    /// A daemon rule protects it.
    Rule {
        rule: String,
    },
    /// It replicates the log to another place, and pins it on purpose.
    Replicator {
        program: String,
    },
}

impl fmt::Display for StaleProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("it is PID 1"),
            Self::OnlyCopy { files } => write!(
                f,
                "it holds the only copy of {}, which was deleted or replaced; copy it with waltop rescue",
                files.join(", ")
            ),
            Self::Looker => f.write_str("it is this waltop"),
            Self::Ancestor => f.write_str("this waltop runs under it"),
            Self::AnotherUser { user } => write!(f, "it belongs to another user ({user})"),
            Self::UnknownUser => f.write_str("its user is not known"),
            Self::OwnKind { command } => write!(f, "it is another waltop ({command})"),
            Self::Rule { rule } => write!(f, "the rule {rule} protects it"),
            Self::Replicator { program } => {
                write!(f, "it is a replicator ({program}), which pins the log on purpose")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_name_in_json() {
        let files = vec!["/srv/a.db".to_owned(), "/srv/a.db-wal".to_owned()];
        for (protection, reason) in [
            (StaleProtection::First, "first"),
            (StaleProtection::OnlyCopy { files }, "only-copy"),
            (StaleProtection::Looker, "looker"),
            (StaleProtection::Ancestor, "ancestor"),
            (StaleProtection::AnotherUser { user: "root".to_owned() }, "another-user"),
            (StaleProtection::UnknownUser, "unknown-user"),
            (StaleProtection::OwnKind { command: "ingest".to_owned() }, "own-kind"),
            (StaleProtection::Rule { rule: "the server".to_owned() }, "rule"),
            (StaleProtection::Replicator { program: "litestream".to_owned() }, "replicator"),
        ] {
            let json = serde_json::to_value(&protection).expect("JSON");
            assert_eq!(json["reason"], reason);
            assert_eq!(serde_json::from_value::<StaleProtection>(json).expect("a reason"), protection);
        }
    }
}
