//! What keeps a process from being offered for a stop, whatever there is against it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a process is left alone. As text, in JSON too, it is the reason as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum StaleProtection {
    /// It is the system's first process.
    First,
    /// It holds the only copy of the data of these files, which were deleted.
    OnlyCopy(String),
    /// It is the waltop that looks.
    Looker,
    /// The waltop that looks runs under it.
    Ancestor,
    /// It belongs to another user, named here.
    AnotherUser(String),
    /// Nobody knows to whom it belongs.
    UnknownUser,
    /// It is another waltop, at work as the command named here.
    OwnKind(String),
    /// The user's rule of this name says so.
    Rule(String),
    /// What it does on purpose looks like a fault: what that is, as a sentence.
    OnPurpose(String),
}

const FIRST: &str = "it is PID 1";
const ONLY_COPY: (&str, &str) =
    ("it holds the only copy of ", ", which was deleted or replaced; copy it with waltop rescue");
const LOOKER: &str = "it is this waltop";
const ANCESTOR: &str = "this waltop runs under it";
const ANOTHER_USER: (&str, &str) = ("it belongs to another user (", ")");
const UNKNOWN_USER: &str = "its user is not known";
const OWN_KIND: (&str, &str) = ("it is another waltop (", ")");
const RULE: (&str, &str) = ("the rule ", " protects it");

impl fmt::Display for StaleProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut around = |(before, after): (&str, &str), it: &str| write!(f, "{before}{it}{after}");
        match self {
            Self::First => f.write_str(FIRST),
            Self::OnlyCopy(files) => around(ONLY_COPY, files),
            Self::Looker => f.write_str(LOOKER),
            Self::Ancestor => f.write_str(ANCESTOR),
            Self::AnotherUser(user) => around(ANOTHER_USER, user),
            Self::UnknownUser => f.write_str(UNKNOWN_USER),
            Self::OwnKind(command) => around(OWN_KIND, command),
            Self::Rule(name) => around(RULE, name),
            Self::OnPurpose(why) => f.write_str(why),
        }
    }
}

impl From<StaleProtection> for String {
    fn from(protection: StaleProtection) -> Self {
        protection.to_string()
    }
}

impl From<String> for StaleProtection {
    fn from(text: String) -> Self {
        let within = |(before, after)| -> Option<String> {
            Some(text.strip_prefix(before)?.strip_suffix(after)?.to_owned())
        };
        match text.as_str() {
            FIRST => Self::First,
            LOOKER => Self::Looker,
            ANCESTOR => Self::Ancestor,
            UNKNOWN_USER => Self::UnknownUser,
            _ => within(ONLY_COPY)
                .map(Self::OnlyCopy)
                .or_else(|| within(ANOTHER_USER).map(Self::AnotherUser))
                .or_else(|| within(OWN_KIND).map(Self::OwnKind))
                .or_else(|| within(RULE).map(Self::Rule))
                .unwrap_or(Self::OnPurpose(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_sentence_and_comes_back_from_it() {
        for protection in [
            StaleProtection::First,
            StaleProtection::OnlyCopy("/srv/notes.db, /srv/notes.db-wal".to_owned()),
            StaleProtection::Looker,
            StaleProtection::Ancestor,
            StaleProtection::AnotherUser("root".to_owned()),
            StaleProtection::UnknownUser,
            StaleProtection::OwnKind("ingest".to_owned()),
            StaleProtection::Rule("the server".to_owned()),
            StaleProtection::OnPurpose("it is a replicator".to_owned()),
        ] {
            let text = protection.to_string();
            assert_eq!(serde_json::to_value(&protection).expect("text"), text.as_str());
            assert_eq!(StaleProtection::from(text), protection);
        }
    }
}
