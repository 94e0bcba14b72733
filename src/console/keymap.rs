//! Every key, once. The help, the footer and the table in the README are made from this.

use super::panel::Panel;

mod in_force;
mod key;

pub use in_force::{ActiveBinding, Keymap};
pub use key::{KeyError, NamedKey};

/// What a key can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start an ingestion, or end a running one.
    Ingest,
    /// Run a checkpoint.
    Checkpoint,
    /// Stop the selected process.
    Stop,
    /// Stop stale processes.
    Reap,
    /// Put right what the file can keep.
    Fix,
    /// Prove that the database can be written to.
    Health,
    /// Open or close the timeline.
    Timeline,
    /// Back in time.
    Earlier,
    /// On in time.
    Later,
    /// Show all about the selected row.
    Details,
    /// Filter the processes.
    Filter,
    /// Show the help.
    Help,
    /// Leave.
    Quit,
    /// One row down.
    Down,
    /// One row up.
    Up,
    /// A page down.
    PageDown,
    /// A page up.
    PageUp,
    /// The first row.
    First,
    /// The last row.
    Last,
    /// The next panel.
    NextPanel,
    /// This panel over the whole screen, or back.
    Zoom(Panel),
    /// Open or close the overview of all databases.
    Overview,
    /// The database before this one.
    PreviousDatabase,
    /// The database after this one.
    NextDatabase,
    /// Close, clear or leave whatever is open.
    Back,
    /// Sort by the next column.
    Sort,
    /// Turn the order round.
    Invert,
    /// Freeze the screen.
    Pause,
    /// Look now.
    Refresh,
    /// Look more often.
    Faster,
    /// Look less often.
    Slower,
    /// Write the snapshot to a file.
    Export,
    /// Copy the selected row.
    Copy,
    /// Disarm or arm the keys that change something.
    Arm,
}

/// One row of the keymap.
#[derive(Debug)]
pub struct KeyBinding {
    /// What the configuration calls it, in kebab case.
    pub name: &'static str,
    /// The keys where nothing else is configured, as they are written for people.
    pub keys: &'static [&'static str],
    /// What they do.
    pub action: Action,
    /// A word or two for the footer; empty where it is not shown there.
    pub label: &'static str,
    /// A sentence for the help and the README.
    pub help: &'static str,
}

/// The keymap, in the order of the footer and the help.
pub const KEYMAP: &[KeyBinding] = &[
    KeyBinding {
        name: "ingest",
        keys: &["i"],
        action: Action::Ingest,
        label: "ingest",
        help: "start an ingestion: folder, batch size, confirm; on a running one: stop it after the current batch",
    },
    KeyBinding {
        name: "checkpoint",
        keys: &["c"],
        action: Action::Checkpoint,
        label: "checkpoint",
        help: "run a checkpoint; names who would block it before, and says what moved after",
    },
    KeyBinding {
        name: "stop",
        keys: &["x", "F9"],
        action: Action::Stop,
        label: "stop process",
        help: "stop the selected process: TERM, CONT, INT or KILL",
    },
    KeyBinding {
        name: "reap",
        keys: &["X"],
        action: Action::Reap,
        label: "reap stale",
        help: "stop stale processes: lists them with their causes, Space unticks one, y stops those ticked",
    },
    KeyBinding {
        name: "fix",
        keys: &["f"],
        action: Action::Fix,
        label: "fix",
        help: "fix what the file keeps (its journal mode, a log that was left), after showing the SQL",
    },
    KeyBinding {
        name: "health",
        keys: &["h"],
        action: Action::Health,
        label: "",
        help: "health check by a write that is rolled back; names who made it wait",
    },
    KeyBinding {
        name: "timeline",
        keys: &["b"],
        action: Action::Timeline,
        label: "lock timeline",
        help: "the lock timeline, whole screen: a lane a process, the last minute; again to go back",
    },
    KeyBinding {
        name: "earlier",
        keys: &["Left"],
        action: Action::Earlier,
        label: "earlier",
        help: "in the timeline: the cursor a step back in time, past the edge through all that is remembered",
    },
    KeyBinding {
        name: "later",
        keys: &["Right"],
        action: Action::Later,
        label: "later",
        help: "in the timeline: a step on, at the end it follows again",
    },
    KeyBinding {
        name: "overview",
        keys: &["o", "0"],
        action: Action::Overview,
        label: "all databases",
        help: "all databases, a line each with the worst finding: Enter goes to one, Esc back to where you were",
    },
    KeyBinding {
        name: "details",
        keys: &["Enter"],
        action: Action::Details,
        label: "details",
        help: "details of the selected row: a process's evidence, a finding's, a file's header, a run's failed files",
    },
    KeyBinding {
        name: "filter",
        keys: &["/"],
        action: Action::Filter,
        label: "filter",
        help: "filter the processes by PID, name and command as you type; Enter keeps it, Esc clears it",
    },
    KeyBinding {
        name: "down",
        keys: &["j", "Down"],
        action: Action::Down,
        label: "",
        help: "one row down; the selected row stays the same process when rows move",
    },
    KeyBinding { name: "up", keys: &["k", "Up"], action: Action::Up, label: "", help: "one row up" },
    KeyBinding {
        name: "page-down",
        keys: &["PgDn"],
        action: Action::PageDown,
        label: "",
        help: "a page down; in the timeline a screen later",
    },
    KeyBinding {
        name: "page-up",
        keys: &["PgUp"],
        action: Action::PageUp,
        label: "",
        help: "a page up; in the timeline a screen earlier",
    },
    KeyBinding {
        name: "first",
        keys: &["g", "Home"],
        action: Action::First,
        label: "",
        help: "the first row; in the timeline the oldest that is known",
    },
    KeyBinding {
        name: "last",
        keys: &["G", "End"],
        action: Action::Last,
        label: "",
        help: "the last row; in the timeline now",
    },
    KeyBinding {
        name: "next-panel",
        keys: &["Tab"],
        action: Action::NextPanel,
        label: "",
        help: "the next panel",
    },
    KeyBinding {
        name: "show-locks",
        keys: &["1"],
        action: Action::Zoom(Panel::Locks),
        label: "",
        help: "the locks over the whole screen, again to go back",
    },
    KeyBinding {
        name: "show-processes",
        keys: &["2"],
        action: Action::Zoom(Panel::Processes),
        label: "",
        help: "the processes likewise",
    },
    KeyBinding {
        name: "show-files",
        keys: &["3"],
        action: Action::Zoom(Panel::Files),
        label: "",
        help: "the files likewise",
    },
    KeyBinding {
        name: "show-pragmas",
        keys: &["4"],
        action: Action::Zoom(Panel::Pragmas),
        label: "",
        help: "the pragmas likewise",
    },
    KeyBinding {
        name: "show-ingestion",
        keys: &["5"],
        action: Action::Zoom(Panel::Ingestion),
        label: "",
        help: "the ingestions likewise",
    },
    KeyBinding {
        name: "show-log",
        keys: &["6"],
        action: Action::Zoom(Panel::Log),
        label: "",
        help: "the log likewise",
    },
    KeyBinding {
        name: "show-findings",
        keys: &["7"],
        action: Action::Zoom(Panel::Findings),
        label: "",
        help: "the findings likewise",
    },
    KeyBinding {
        name: "previous-database",
        keys: &["["],
        action: Action::PreviousDatabase,
        label: "",
        help: "the database before this one",
    },
    KeyBinding {
        name: "next-database",
        keys: &["]"],
        action: Action::NextDatabase,
        label: "",
        help: "the database after this one",
    },
    KeyBinding {
        name: "back",
        keys: &["Esc"],
        action: Action::Back,
        label: "",
        help: "close what is open, clear the filter, go back; never quits",
    },
    KeyBinding {
        name: "sort",
        keys: &["s"],
        action: Action::Sort,
        label: "",
        help: "sort the processes by the next column",
    },
    KeyBinding {
        name: "invert",
        keys: &["I"],
        action: Action::Invert,
        label: "",
        help: "turn the order round",
    },
    KeyBinding {
        name: "pause",
        keys: &["p"],
        action: Action::Pause,
        label: "",
        help: "freeze the screen, again to go on; lock sampling never pauses",
    },
    KeyBinding {
        name: "refresh",
        keys: &["r"],
        action: Action::Refresh,
        label: "",
        help: "look now, and ask for the pragmas again",
    },
    KeyBinding {
        name: "faster",
        keys: &["+"],
        action: Action::Faster,
        label: "",
        help: "look more often; in the timeline a shorter stretch",
    },
    KeyBinding {
        name: "slower",
        keys: &["-"],
        action: Action::Slower,
        label: "",
        help: "look less often; in the timeline a longer one",
    },
    KeyBinding {
        name: "export",
        keys: &["e"],
        action: Action::Export,
        label: "",
        help: "write what is on the screen to a JSON file in the working directory",
    },
    KeyBinding {
        name: "copy",
        keys: &["y"],
        action: Action::Copy,
        label: "",
        help: "copy the selected row to the clipboard, through the terminal (OSC 52)",
    },
    KeyBinding {
        name: "arm",
        keys: &["a"],
        action: Action::Arm,
        label: "",
        help: "disarm the keys that change something, or arm them again",
    },
    KeyBinding {
        name: "help",
        keys: &["?", "F1"],
        action: Action::Help,
        label: "help",
        help: "the keys that act here and now",
    },
    KeyBinding {
        name: "quit",
        keys: &["q", "Ctrl-C"],
        action: Action::Quit,
        label: "quit",
        help: "quit; a running ingestion goes on",
    },
];

/// The row that the configuration calls `name`.
#[must_use]
pub fn named(name: &str) -> Option<&'static KeyBinding> {
    KEYMAP.iter().find(|binding| binding.name == name)
}

/// The key table for the README, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut table = String::from("| key | does |\n| --- | --- |\n");
    for binding in KEYMAP {
        let keys: Vec<String> = binding.keys.iter().map(|key| format!("`{key}`")).collect();
        table.push_str(&format!("| {} | {} |\n", keys.join(" "), binding.help));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_and_no_name_means_two_things() {
        let keys: Vec<_> = KEYMAP.iter().flat_map(|binding| binding.keys).collect();
        assert_eq!(keys.len(), keys.iter().collect::<HashSet<_>>().len());
        let names: HashSet<_> = KEYMAP.iter().map(|binding| binding.name).collect();
        assert_eq!(names.len(), KEYMAP.len());
    }
}
