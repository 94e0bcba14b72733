//! Every key, defined once. The help, the footer and the table in the README come from this table.

mod action;
mod active;
mod bar;
mod key;
mod panel;
mod replay;
mod table;

pub use action::{Action, KeyGroup};
pub use active::{ActiveBinding, Keymap};
pub use bar::KeyBar;
pub use key::{KeyError, NamedKey};
pub use panel::Panel;
pub use replay::REPLAY_KEYMAP;
pub use table::KEYMAP;

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

/// The binding that the configuration calls `name`.
pub fn named(name: &str) -> Option<&'static KeyBinding> {
    KEYMAP.iter().find(|binding| binding.name == name)
}

/// The key table for the documents, in Markdown.
pub fn markdown() -> String {
    rows(KEYMAP)
}

/// The same for the keys that only a replay has.
pub fn replay_markdown() -> String {
    rows(REPLAY_KEYMAP)
}

fn rows(bindings: &[KeyBinding]) -> String {
    let mut table = String::from("| key | does |\n| --- | --- |\n");
    for binding in bindings {
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
        for bindings in [KEYMAP, REPLAY_KEYMAP] {
            let keys: Vec<_> = bindings.iter().flat_map(|binding| binding.keys).collect();
            assert_eq!(keys.len(), keys.iter().collect::<HashSet<_>>().len());
        }
        let names = || KEYMAP.iter().chain(REPLAY_KEYMAP).map(|binding| binding.name);
        assert_eq!(names().count(), names().collect::<HashSet<_>>().len());
    }
}
