//! Every key, once. The help, the footer and the table in the README are made from this.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::panel::Panel;

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
pub struct Binding {
    /// The keys, as they are written for people.
    pub keys: &'static [&'static str],
    /// What they do.
    pub action: Action,
    /// A word or two for the footer; empty where it is not shown there.
    pub label: &'static str,
    /// A sentence for the help and the README.
    pub help: &'static str,
}

/// The keymap, in the order of the footer and the help.
pub const KEYMAP: &[Binding] = &[
    Binding {
        keys: &["i"],
        action: Action::Ingest,
        label: "ingest",
        help: "start an ingestion: folder, batch size, confirm; on a running one: stop it after the current batch",
    },
    Binding {
        keys: &["c"],
        action: Action::Checkpoint,
        label: "checkpoint",
        help: "run a checkpoint; names who would block it before, and says what moved after",
    },
    Binding {
        keys: &["x", "F9"],
        action: Action::Stop,
        label: "stop process",
        help: "stop the selected process: TERM, CONT, INT or KILL",
    },
    Binding {
        keys: &["X"],
        action: Action::Reap,
        label: "reap stale",
        help: "stop stale processes: lists them with their causes, Space unticks one, y stops those ticked",
    },
    Binding {
        keys: &["f"],
        action: Action::Fix,
        label: "fix",
        help: "set the journal mode to WAL, after showing the SQL",
    },
    Binding {
        keys: &["b"],
        action: Action::Timeline,
        label: "lock timeline",
        help: "the lock timeline over the whole screen: a lane a process, the last minute; again to go back",
    },
    Binding {
        keys: &["Left"],
        action: Action::Earlier,
        label: "earlier",
        help: "in the timeline: the cursor a step back in time, past the edge through all that is remembered",
    },
    Binding {
        keys: &["Right"],
        action: Action::Later,
        label: "later",
        help: "in the timeline: a step on, at the end it follows again",
    },
    Binding {
        keys: &["Enter"],
        action: Action::Details,
        label: "details",
        help: "details of the selected row: a process's evidence, a finding's, a file's header, a run's failed files",
    },
    Binding {
        keys: &["/"],
        action: Action::Filter,
        label: "filter",
        help: "filter the processes by PID, name and command as you type; Enter keeps it, Esc clears it",
    },
    Binding {
        keys: &["j", "Down"],
        action: Action::Down,
        label: "",
        help: "one row down; the selected row stays the same process when rows move",
    },
    Binding { keys: &["k", "Up"], action: Action::Up, label: "", help: "one row up" },
    Binding {
        keys: &["PgDn"],
        action: Action::PageDown,
        label: "",
        help: "a page down; in the timeline a screen later",
    },
    Binding {
        keys: &["PgUp"],
        action: Action::PageUp,
        label: "",
        help: "a page up; in the timeline a screen earlier",
    },
    Binding {
        keys: &["g", "Home"],
        action: Action::First,
        label: "",
        help: "the first row; in the timeline the oldest that is known",
    },
    Binding {
        keys: &["G", "End"],
        action: Action::Last,
        label: "",
        help: "the last row; in the timeline now",
    },
    Binding { keys: &["Tab"], action: Action::NextPanel, label: "", help: "the next panel" },
    Binding {
        keys: &["1"],
        action: Action::Zoom(Panel::Locks),
        label: "",
        help: "the locks over the whole screen, again to go back",
    },
    Binding {
        keys: &["2"],
        action: Action::Zoom(Panel::Processes),
        label: "",
        help: "the processes likewise",
    },
    Binding { keys: &["3"], action: Action::Zoom(Panel::Files), label: "", help: "the files likewise" },
    Binding { keys: &["4"], action: Action::Zoom(Panel::Pragmas), label: "", help: "the pragmas likewise" },
    Binding {
        keys: &["5"],
        action: Action::Zoom(Panel::Ingestion),
        label: "",
        help: "the ingestions likewise",
    },
    Binding { keys: &["6"], action: Action::Zoom(Panel::Log), label: "", help: "the log likewise" },
    Binding { keys: &["7"], action: Action::Zoom(Panel::Findings), label: "", help: "the findings likewise" },
    Binding {
        keys: &["["],
        action: Action::PreviousDatabase,
        label: "",
        help: "the database before this one",
    },
    Binding { keys: &["]"], action: Action::NextDatabase, label: "", help: "the database after this one" },
    Binding {
        keys: &["Esc"],
        action: Action::Back,
        label: "",
        help: "close what is open, clear the filter, go back; never quits",
    },
    Binding { keys: &["s"], action: Action::Sort, label: "", help: "sort the processes by the next column" },
    Binding { keys: &["I"], action: Action::Invert, label: "", help: "turn the order round" },
    Binding {
        keys: &["p"],
        action: Action::Pause,
        label: "",
        help: "freeze the screen, again to go on; lock sampling never pauses",
    },
    Binding {
        keys: &["r"],
        action: Action::Refresh,
        label: "",
        help: "look now, and ask for the pragmas again",
    },
    Binding {
        keys: &["+"],
        action: Action::Faster,
        label: "",
        help: "look more often; in the timeline a shorter stretch",
    },
    Binding {
        keys: &["-"],
        action: Action::Slower,
        label: "",
        help: "look less often; in the timeline a longer one",
    },
    Binding {
        keys: &["e"],
        action: Action::Export,
        label: "",
        help: "write what is on the screen to a JSON file in the working directory",
    },
    Binding {
        keys: &["y"],
        action: Action::Copy,
        label: "",
        help: "copy the selected row to the clipboard, through the terminal (OSC 52)",
    },
    Binding {
        keys: &["a"],
        action: Action::Arm,
        label: "",
        help: "disarm the keys that change something, or arm them again",
    },
    Binding {
        keys: &["?", "F1"],
        action: Action::Help,
        label: "help",
        help: "the keys that act here and now",
    },
    Binding {
        keys: &["q", "Ctrl-C"],
        action: Action::Quit,
        label: "quit",
        help: "quit; a running ingestion goes on",
    },
];

/// What `key` does.
#[must_use]
pub fn action(key: KeyEvent) -> Option<Action> {
    let name = name(key)?;
    KEYMAP.iter().find(|binding| binding.keys.contains(&name.as_str())).map(|binding| binding.action)
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

fn name(key: KeyEvent) -> Option<String> {
    let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers == KeyModifiers::CONTROL => "Ctrl-C".to_owned(),
        KeyCode::Char(character) if plain => character.to_string(),
        KeyCode::F(number) if plain => format!("F{number}"),
        KeyCode::Enter => "Enter".to_owned(),
        KeyCode::Esc => "Esc".to_owned(),
        KeyCode::Tab => "Tab".to_owned(),
        KeyCode::Up => "Up".to_owned(),
        KeyCode::Down => "Down".to_owned(),
        KeyCode::Left => "Left".to_owned(),
        KeyCode::Right => "Right".to_owned(),
        KeyCode::PageUp => "PgUp".to_owned(),
        KeyCode::PageDown => "PgDn".to_owned(),
        KeyCode::Home => "Home".to_owned(),
        KeyCode::End => "End".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_means_two_things() {
        let keys: Vec<_> = KEYMAP.iter().flat_map(|binding| binding.keys).collect();
        let distinct: HashSet<_> = keys.iter().collect();
        assert_eq!(keys.len(), distinct.len());
    }

    #[test]
    fn keys_are_found_by_what_a_terminal_sends() {
        let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
        assert_eq!(action(plain(KeyCode::Char('x'))), Some(Action::Stop));
        assert_eq!(action(plain(KeyCode::F(9))), Some(Action::Stop));
        assert_eq!(action(KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT)), Some(Action::Last));
        assert_eq!(action(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Action::Quit));
        assert_eq!(action(KeyEvent::new(KeyCode::Char('x'), KeyModifiers::ALT)), None);
    }
}
