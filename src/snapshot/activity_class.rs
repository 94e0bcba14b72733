//! The kind of an activity, without what it is about: a letter in a strip of the timeline.

use serde::{Deserialize, Serialize};

use super::Activity;

/// The kind of an [`Activity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivityClass {
    Computing,
    Disk,
    Asleep,
    BusyWait,
    Reading,
    Writing,
    EventLoop,
    Child,
    Thread,
    FileLock,
    Stopped,
    Frozen,
    SeveralThreads,
    Hidden,
    Other,
}

impl ActivityClass {
    /// All of them, in the order of a legend.
    pub const ALL: [Self; 15] = [
        Self::Computing,
        Self::Disk,
        Self::Asleep,
        Self::BusyWait,
        Self::Reading,
        Self::Writing,
        Self::EventLoop,
        Self::Child,
        Self::Thread,
        Self::FileLock,
        Self::Stopped,
        Self::Frozen,
        Self::SeveralThreads,
        Self::Hidden,
        Self::Other,
    ];

    /// Its letter, which no other has, and the words of a legend.
    pub const fn sign(self) -> (char, &'static str) {
        match self {
            Self::Computing => ('c', "computing"),
            Self::Disk => ('d', "disk"),
            Self::Asleep => ('s', "own sleep"),
            Self::BusyWait => ('b', "other database"),
            Self::Reading => ('r', "reading"),
            Self::Writing => ('w', "writing"),
            Self::EventLoop => ('e', "event loop"),
            Self::Child => ('k', "child"),
            Self::Thread => ('t', "thread"),
            Self::FileLock => ('l', "file lock"),
            Self::Stopped => ('x', "stopped"),
            Self::Frozen => ('f', "frozen"),
            Self::SeveralThreads => ('m', "several threads"),
            Self::Hidden => ('?', "hidden"),
            Self::Other => ('o', "other"),
        }
    }
}

impl Activity {
    /// Its kind.
    pub const fn class(&self) -> ActivityClass {
        match self {
            Self::Computing => ActivityClass::Computing,
            Self::Disk => ActivityClass::Disk,
            Self::Asleep => ActivityClass::Asleep,
            Self::BusyWait { .. } => ActivityClass::BusyWait,
            Self::Reading { .. } => ActivityClass::Reading,
            Self::Writing { .. } => ActivityClass::Writing,
            Self::EventLoop { .. } => ActivityClass::EventLoop,
            Self::Child { .. } => ActivityClass::Child,
            Self::Thread => ActivityClass::Thread,
            Self::FileLock { .. } => ActivityClass::FileLock,
            Self::Stopped => ActivityClass::Stopped,
            Self::Frozen => ActivityClass::Frozen,
            Self::SeveralThreads => ActivityClass::SeveralThreads,
            Self::Hidden => ActivityClass::Hidden,
            Self::Other { .. } => ActivityClass::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_has_a_letter_of_its_own() {
        let letters: BTreeSet<char> = ActivityClass::ALL.iter().map(|class| class.sign().0).collect();
        assert_eq!(letters.len(), ActivityClass::ALL.len());
        assert!(letters.iter().all(char::is_ascii), "a strip is the same in ASCII");
    }
}
