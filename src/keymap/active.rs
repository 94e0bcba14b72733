//! The active keymap: the table with the keys from the configuration.

use crossterm::event::KeyEvent;

use super::{Action, KEYMAP, KeyBinding, NamedKey, REPLAY_KEYMAP};

/// Keys that answer a dialog, or must always leave a mode. Their bindings in the table, if any, cannot change.
const KEPT: [&str; 4] = ["y", "n", "Esc", "Ctrl-C"];

/// The keys of each action. No two actions share a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap {
    /// One entry for each row of the table; none is empty but in a replay.
    keys: Vec<Vec<NamedKey>>,
    /// The same for the table of a replay; empty elsewhere.
    replay: Vec<Vec<NamedKey>>,
}

/// A row of the active keymap.
#[derive(Debug, Clone, Copy)]
pub struct ActiveBinding<'a> {
    pub keys: &'a [NamedKey],
    pub binding: &'static KeyBinding,
}

impl Default for Keymap {
    fn default() -> Self {
        Self { keys: KEYMAP.iter().map(default_keys).collect(), replay: Vec::new() }
    }
}

fn default_keys(binding: &KeyBinding) -> Vec<NamedKey> {
    binding.keys.iter().filter_map(|key| NamedKey::written(key).ok()).collect()
}

impl Keymap {
    /// Its rows, in the order of the footer and the help.
    pub fn bindings(&self) -> impl Iterator<Item = ActiveBinding<'_>> {
        let replay = self.replay.iter().zip(REPLAY_KEYMAP);
        let bound = replay.chain(self.keys.iter().zip(KEYMAP).filter(|(keys, _)| !keys.is_empty()));
        bound.map(|(keys, binding)| ActiveBinding { keys, binding })
    }

    /// The keymap of a replay: its own keys come before those of the same name.
    #[must_use]
    pub fn for_replay(mut self) -> Self {
        self.replay = REPLAY_KEYMAP.iter().map(default_keys).collect();
        for keys in &mut self.keys {
            keys.retain(|key| !self.replay.iter().flatten().any(|taken| taken == key));
        }
        self
    }

    /// The action of `key`.
    pub fn action(&self, key: KeyEvent) -> Option<Action> {
        let key = NamedKey::pressed(key)?;
        self.bindings().find(|bound| bound.keys.contains(&key)).map(|bound| bound.binding.action)
    }

    /// The first key of `action`.
    pub fn key(&self, action: Action) -> &str {
        let bound = self.bindings().find(|bound| bound.binding.action == action);
        bound.and_then(|bound| bound.keys.first()).map_or("", NamedKey::as_str)
    }

    /// Replaces the keys of the action of `binding`; Esc and Ctrl-C keep theirs.
    ///
    /// # Errors
    ///
    /// If `keys` is empty, or contains a reserved key.
    pub fn assign(&mut self, binding: &KeyBinding, mut keys: Vec<NamedKey>) -> Result<(), String> {
        if keys.is_empty() {
            return Err("takes at least one key".to_owned());
        }
        let kept = |key: &&NamedKey| KEPT.contains(&key.as_str()) && !binding.keys.contains(&key.as_str());
        if let Some(key) = keys.iter().find(kept) {
            return Err(format!("cannot be {key}, which {}; choose another", kept_by(key.as_str())));
        }
        for key in binding.keys.iter().filter(|key| ["Esc", "Ctrl-C"].contains(key)) {
            if keys.iter().all(|it| it.as_str() != *key) {
                keys.extend(NamedKey::written(key));
            }
        }
        if let Some(at) = KEYMAP.iter().position(|it| it.action == binding.action) {
            self.keys[at] = keys;
        }
        Ok(())
    }

    /// A key that `binding` shares with another action, and that other binding.
    pub fn clash(&self, binding: &KeyBinding) -> Option<(&NamedKey, &'static KeyBinding)> {
        let mine = self.bindings().find(|bound| bound.binding.action == binding.action)?;
        let others = self.bindings().filter(|bound| bound.binding.action != binding.action);
        others
            .flat_map(|bound| bound.keys.iter().map(move |key| (key, bound.binding)))
            .find(|(key, _)| mine.keys.contains(key))
    }
}

fn kept_by(key: &str) -> &'static str {
    match key {
        "y" => "says yes in a dialog",
        "n" => "says no in a dialog",
        "Esc" => "always goes back",
        _ => "always quits",
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyModifiers};

    use super::{super::named, *};
    use crate::snapshot::RemedyAction;

    fn keys(written: &[&str]) -> Vec<NamedKey> {
        written.iter().map(|key| NamedKey::written(key).expect("a key")).collect()
    }

    fn remapped(name: &str, written: &[&str]) -> Result<Keymap, String> {
        let mut keymap = Keymap::default();
        let binding = named(name).expect("an action");
        keymap.assign(binding, keys(written))?;
        match keymap.clash(binding) {
            Some((key, other)) => Err(format!("{key} is {}", other.name)),
            None => Ok(keymap),
        }
    }

    #[test]
    fn keys_are_found_by_what_a_terminal_sends() {
        let keymap = Keymap::default();
        let action = |code, modifiers| keymap.action(KeyEvent::new(code, modifiers));
        assert_eq!(action(KeyCode::Char('x'), KeyModifiers::NONE), Some(Action::Stop));
        assert_eq!(action(KeyCode::F(9), KeyModifiers::NONE), Some(Action::Stop));
        assert_eq!(action(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(Action::Last));
        assert_eq!(action(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Action::Quit));
        assert_eq!(action(KeyCode::Char('x'), KeyModifiers::ALT), None);
    }

    #[test]
    fn an_action_moves_to_its_new_key_and_leaves_the_old_ones() {
        let keymap = remapped("stop", &["K", "F8"]).expect("free keys");
        let action = |code| keymap.action(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(action(KeyCode::Char('K')), Some(Action::Stop));
        assert_eq!(action(KeyCode::F(8)), Some(Action::Stop));
        assert_eq!((action(KeyCode::Char('x')), action(KeyCode::F(9))), (None, None));
        assert_eq!(keymap.key(RemedyAction::StopProcess.into()), "K");
        assert_eq!(keymap.key(RemedyAction::Checkpoint.into()), "c");
    }

    #[test]
    fn two_actions_cannot_have_one_key_but_may_swap_theirs() {
        assert_eq!(remapped("stop", &["c"]), Err("c is checkpoint".to_owned()));
        let mut swapped = Keymap::default();
        let (stop, checkpoint) = (named("stop").expect("there"), named("checkpoint").expect("there"));
        swapped
            .assign(stop, keys(&["c"]))
            .and_then(|()| swapped.assign(checkpoint, keys(&["x"])))
            .expect("both");
        assert!(swapped.clash(stop).is_none() && swapped.clash(checkpoint).is_none());
    }

    #[test]
    fn in_a_replay_its_keys_come_first_and_an_action_without_a_key_is_not_listed() {
        let keymap = remapped("refresh", &["<", "r"]).expect("free keys").for_replay();
        let action = |key| keymap.action(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
        assert_eq!(action('t'), Some(Action::GoTo));
        assert_eq!(action('['), Some(Action::PreviousFinding));
        assert_eq!(action('<'), Some(Action::PlaySlower));
        assert_eq!((action('r'), keymap.key(Action::Refresh)), (Some(Action::Refresh), "r"));
        assert_eq!((keymap.key(Action::Tree), keymap.key(Action::Tag)), ("F5", ""));
        assert!(keymap.bindings().all(|bound| !bound.keys.is_empty()));
        assert_eq!(Keymap::default().action(KeyEvent::from(KeyCode::Char('t'))), Some(Action::Tree));
    }

    #[test]
    fn what_answers_dialogs_and_leads_out_is_kept() {
        for (action, key) in
            [("stop", "y"), ("stop", "n"), ("details", "Esc"), ("copy", "Ctrl-C"), ("back", "Ctrl-C")]
        {
            assert!(
                remapped(action, &[key]).is_err_and(|why| why.starts_with("cannot be ")),
                "{action} {key}"
            );
        }
        assert!(remapped("stop", &[]).is_err());
        let names = |keymap: Keymap, action| {
            let bound = keymap.bindings().find(|it| it.binding.action == action).map(|it| it.keys.to_vec());
            bound.unwrap_or_default().iter().map(NamedKey::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names(remapped("quit", &["Q"]).expect("free"), Action::Quit), ["Q", "Ctrl-C"]);
        assert_eq!(
            names(remapped("back", &["Backspace"]).expect("free"), Action::Back),
            ["Backspace", "Esc"]
        );
        assert_eq!(names(remapped("copy", &["y", "F8"]).expect("its own"), Action::Copy), ["y", "F8"]);
    }
}
