//! The keys that only a replay has.

use super::{Action, KeyBinding};

/// The keys of a replay, in the order of the footer and the help. There they come before those of [`super::KEYMAP`].
pub const REPLAY_KEYMAP: &[KeyBinding] = &[
    KeyBinding {
        name: "play",
        keys: &["Space"],
        action: Action::Play,
        label: "play",
        help: "play the recording from here on, or stop",
    },
    KeyBinding {
        name: "go-to",
        keys: &["t"],
        action: Action::GoTo,
        label: "go to",
        help: "go to a time, as in 03:12:07 or 10 min ago; timeline: to the cursor",
    },
    KeyBinding {
        name: "previous-finding",
        keys: &["["],
        action: Action::PreviousFinding,
        label: "finding before",
        help: "go to the beginning of the finding before",
    },
    KeyBinding {
        name: "next-finding",
        keys: &["]"],
        action: Action::NextFinding,
        label: "next finding",
        help: "go to the beginning of the next finding",
    },
    KeyBinding {
        name: "play-slower",
        keys: &["<"],
        action: Action::PlaySlower,
        label: "",
        help: "play at half the speed",
    },
    KeyBinding {
        name: "play-faster",
        keys: &[">"],
        action: Action::PlayFaster,
        label: "",
        help: "play at twice the speed",
    },
];
