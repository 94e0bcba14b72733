//! Every key, defined once. The help, the footer and the table in the README come from this table.

mod action;
mod active;
mod key;
mod panel;

pub use action::Action;
pub use active::{ActiveBinding, Keymap};
pub use key::{KeyError, NamedKey};
pub use panel::Panel;

/// One row of the keymap.
#[derive(Debug)]
pub struct KeyBinding {
    /// Its name in the configuration, in kebab case.
    pub name: &'static str,
    /// The default keys, as shown to the user.
    pub keys: &'static [&'static str],
    pub action: Action,
    /// One or two words for the footer; empty if the footer omits it.
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
        help: "start an ingestion, or stop the running one after its current batch",
    },
    KeyBinding {
        name: "checkpoint",
        keys: &["c"],
        action: Action::Checkpoint,
        label: "checkpoint",
        help: "run a checkpoint; names the processes that block it, then what moved",
    },
    KeyBinding {
        name: "stop",
        keys: &["x", "F9"],
        action: Action::Stop,
        label: "stop process",
        help: "stop the selected process with TERM, CONT, INT or KILL",
    },
    KeyBinding {
        name: "reap",
        keys: &["X"],
        action: Action::Reap,
        label: "reap stale",
        help: "stop stale processes: lists them with their causes, Space deselects one",
    },
    KeyBinding {
        name: "fix",
        keys: &["f"],
        action: Action::Fix,
        label: "fix",
        help: "fix settings stored in the file, such as the journal mode, after showing SQL",
    },
    KeyBinding {
        name: "health",
        keys: &["H"],
        action: Action::Health,
        label: "",
        help: "make a test write that is rolled back; names the process that delayed it",
    },
    KeyBinding {
        name: "timeline",
        keys: &["b"],
        action: Action::Timeline,
        label: "lock timeline",
        help: "toggle the full-screen lock timeline: one lane per process, last minute",
    },
    KeyBinding {
        name: "earlier",
        keys: &["Left"],
        action: Action::Earlier,
        label: "earlier",
        help: "timeline: move the cursor back; past the left edge it scrolls into history",
    },
    KeyBinding {
        name: "later",
        keys: &["Right"],
        action: Action::Later,
        label: "later",
        help: "timeline: move the cursor forward; at the end it follows again",
    },
    KeyBinding {
        name: "previous-hold",
        keys: &[","],
        action: Action::PreviousHold,
        label: "hold before",
        help: "timeline: select the hold before; Enter, x and y act on its process",
    },
    KeyBinding {
        name: "next-hold",
        keys: &["."],
        action: Action::NextHold,
        label: "next hold",
        help: "timeline: select the next hold",
    },
    KeyBinding {
        name: "overview",
        keys: &["o", "0"],
        action: Action::Overview,
        label: "all databases",
        help: "toggle the overview: all databases, one line each with the worst finding; Enter opens one",
    },
    KeyBinding {
        name: "details",
        keys: &["Enter"],
        action: Action::Details,
        label: "details",
        help: "show details of the selected row: evidence, file header, failed files",
    },
    KeyBinding {
        name: "filter",
        keys: &["/", "F3", "F4"],
        action: Action::Filter,
        label: "filter",
        help: "filter processes, findings or log; in a text, search: n goes to the next match, N back",
    },
    KeyBinding {
        name: "down",
        keys: &["j", "Down"],
        action: Action::Down,
        label: "",
        help: "move down one row; the selection follows its process when rows move",
    },
    KeyBinding { name: "up", keys: &["k", "Up"], action: Action::Up, label: "", help: "move up one row" },
    KeyBinding {
        name: "page-down",
        keys: &["PgDn"],
        action: Action::PageDown,
        label: "",
        help: "move down one page; timeline: one screen later",
    },
    KeyBinding {
        name: "page-up",
        keys: &["PgUp"],
        action: Action::PageUp,
        label: "",
        help: "move up one page; timeline: one screen earlier",
    },
    KeyBinding {
        name: "first",
        keys: &["g", "Home"],
        action: Action::First,
        label: "",
        help: "go to the first row; timeline: the oldest data",
    },
    KeyBinding {
        name: "last",
        keys: &["G", "End"],
        action: Action::Last,
        label: "",
        help: "go to the last row; timeline: now",
    },
    KeyBinding {
        name: "next-panel",
        keys: &["Tab"],
        action: Action::NextPanel,
        label: "",
        help: "go to the next panel",
    },
    KeyBinding {
        name: "previous-panel",
        keys: &["Shift-Tab"],
        action: Action::PreviousPanel,
        label: "",
        help: "go to the previous panel",
    },
    KeyBinding {
        name: "show-findings",
        keys: &["1"],
        action: Action::Zoom(Panel::Findings),
        label: "",
        help: "zoom the Findings panel, or restore the layout",
    },
    KeyBinding {
        name: "show-processes",
        keys: &["2"],
        action: Action::Zoom(Panel::Processes),
        label: "",
        help: "zoom the table of locks and processes",
    },
    KeyBinding {
        name: "show-files",
        keys: &["3"],
        action: Action::Zoom(Panel::Files),
        label: "",
        help: "zoom the Files panel",
    },
    KeyBinding {
        name: "show-pragmas",
        keys: &["4"],
        action: Action::Zoom(Panel::Pragmas),
        label: "",
        help: "zoom the Pragmas panel",
    },
    KeyBinding {
        name: "show-ingestion",
        keys: &["5"],
        action: Action::Zoom(Panel::Ingestion),
        label: "",
        help: "zoom the Ingestion panel",
    },
    KeyBinding {
        name: "show-log",
        keys: &["6"],
        action: Action::Zoom(Panel::Log),
        label: "",
        help: "zoom the Log panel",
    },
    KeyBinding {
        name: "previous-database",
        keys: &["["],
        action: Action::PreviousDatabase,
        label: "",
        help: "go to the previous database",
    },
    KeyBinding {
        name: "next-database",
        keys: &["]"],
        action: Action::NextDatabase,
        label: "",
        help: "go to the next database",
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
        keys: &["s", "F6"],
        action: Action::Sort,
        label: "",
        help: "sort the processes by the next column",
    },
    KeyBinding {
        name: "invert",
        keys: &["I"],
        action: Action::Invert,
        label: "",
        help: "reverse the sort order",
    },
    KeyBinding {
        name: "pause",
        keys: &["p"],
        action: Action::Pause,
        label: "",
        help: "freeze or resume the screen; lock sampling never pauses",
    },
    KeyBinding {
        name: "refresh",
        keys: &["r"],
        action: Action::Refresh,
        label: "",
        help: "take a sample now and read the pragmas again",
    },
    KeyBinding {
        name: "faster",
        keys: &["+"],
        action: Action::Faster,
        label: "",
        help: "sample more often; timeline: zoom in",
    },
    KeyBinding {
        name: "slower",
        keys: &["-"],
        action: Action::Slower,
        label: "",
        help: "sample less often; timeline: zoom out",
    },
    KeyBinding {
        name: "export",
        keys: &["e"],
        action: Action::Export,
        label: "",
        help: "write the snapshot on the screen to a JSON file in the working directory",
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
        keys: &["?", "h", "F1"],
        action: Action::Help,
        label: "help",
        help: "show the keys that act here",
    },
    KeyBinding {
        name: "quit",
        keys: &["q", "F10", "Ctrl-C"],
        action: Action::Quit,
        label: "quit",
        help: "close what lies over the panels, else quit; a running ingestion continues",
    },
];

/// The binding that the configuration calls `name`.
pub fn named(name: &str) -> Option<&'static KeyBinding> {
    KEYMAP.iter().find(|binding| binding.name == name)
}

/// The key table for the README, in Markdown.
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
