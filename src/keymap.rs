//! Every key, defined once. The help, the footer and the table in the README come from this table.

mod action;
mod active;
mod bar;
mod key;
mod panel;
mod table;

pub use action::{Action, KeyGroup};
pub use active::{ActiveBinding, Keymap};
pub use bar::KeyBar;
pub use key::{KeyError, NamedKey};
pub use panel::Panel;
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
