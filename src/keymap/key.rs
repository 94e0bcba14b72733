//! The name of a key: as a terminal sends it, and as users write it.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_width::UnicodeWidthChar;

use crate::text;

/// Named keys: waltop's spelling, and other spellings.
const NAMED: [(&str, &[&str]); 16] = [
    ("Enter", &["return"]),
    ("Esc", &["escape"]),
    ("Tab", &[]),
    ("Shift-Tab", &["backtab"]),
    ("Space", &[]),
    ("Up", &[]),
    ("Down", &[]),
    ("Left", &[]),
    ("Right", &[]),
    ("PgUp", &["pageup"]),
    ("PgDn", &["pagedown", "pgdown"]),
    ("Home", &[]),
    ("End", &[]),
    ("Backspace", &[]),
    ("Insert", &["ins"]),
    ("Delete", &["del"]),
];

/// A key of the keyboard, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKey(String);

/// Why a text names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No key has this name.
    #[error("{written:?} is no key; the nearest is {nearest} (x, X, F9, Ctrl-X, PgUp and the like)")]
    Unknown {
        written: String,
        /// The most similar name.
        nearest: String,
    },
    /// A terminal sends the same bytes for another key.
    #[error("{written} is {sent} to a terminal; write {sent}")]
    Same { written: String, sent: &'static str },
}

impl NamedKey {
    /// The pressed key, if it has a name.
    pub fn pressed(key: KeyEvent) -> Option<Self> {
        let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
        Some(Self(match key.code {
            KeyCode::Char(letter)
                if key.modifiers == KeyModifiers::CONTROL && letter.is_ascii_alphabetic() =>
            {
                format!("Ctrl-{}", letter.to_ascii_uppercase())
            }
            KeyCode::Char(' ') if plain => "Space".to_owned(),
            KeyCode::Char(character) if plain => character.to_string(),
            KeyCode::F(number) if plain => format!("F{number}"),
            KeyCode::Enter => "Enter".to_owned(),
            KeyCode::Esc => "Esc".to_owned(),
            KeyCode::Tab => "Tab".to_owned(),
            KeyCode::BackTab => "Shift-Tab".to_owned(),
            KeyCode::Up => "Up".to_owned(),
            KeyCode::Down => "Down".to_owned(),
            KeyCode::Left => "Left".to_owned(),
            KeyCode::Right => "Right".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::Home => "Home".to_owned(),
            KeyCode::End => "End".to_owned(),
            KeyCode::Backspace => "Backspace".to_owned(),
            KeyCode::Insert => "Insert".to_owned(),
            KeyCode::Delete => "Delete".to_owned(),
            _ => return None,
        }))
    }

    /// Parses the name of a key.
    ///
    /// # Errors
    ///
    /// If there is no such key, or a terminal cannot distinguish it from another.
    pub fn written(written: &str) -> Result<Self, KeyError> {
        let mut characters = written.chars();
        if let (Some(one), None) = (characters.next(), characters.next())
            && !one.is_whitespace()
            && one.width().is_some_and(|width| width > 0)
        {
            return Ok(Self(one.to_string()));
        }
        let lower = written.to_ascii_lowercase();
        let is_named = |(name, others): &&(&str, &[&str])| {
            name.eq_ignore_ascii_case(&lower) || others.contains(&lower.as_str())
        };
        if let Some((name, _)) = NAMED.iter().find(is_named) {
            return Ok(Self((*name).to_owned()));
        }
        if let Some(number) = lower.strip_prefix('f').and_then(|it| it.parse::<u8>().ok())
            && (1..=24).contains(&number)
        {
            return Ok(Self(format!("F{number}")));
        }
        if let Some([letter @ b'a'..=b'z']) = lower.strip_prefix("ctrl-").map(str::as_bytes) {
            // Both send the same byte (ASCII 9 and 13).
            return match letter {
                b'i' => Err(KeyError::Same { written: written.to_owned(), sent: "Tab" }),
                b'm' => Err(KeyError::Same { written: written.to_owned(), sent: "Enter" }),
                letter => Ok(Self(format!("Ctrl-{}", char::from(letter.to_ascii_uppercase())))),
            };
        }
        Err(KeyError::Unknown { written: written.to_owned(), nearest: nearest(&lower).to_owned() })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name most similar to `written`, which is in lower case.
fn nearest(written: &str) -> &'static str {
    let spellings: Vec<(String, &str)> = NAMED
        .iter()
        .flat_map(|(name, others)| others.iter().chain([name]).map(move |it| (it.to_lowercase(), *name)))
        .chain([("f1".to_owned(), "F1"), ("ctrl-x".to_owned(), "Ctrl-X")])
        .collect();
    let meant = text::nearest(written, spellings.iter().map(|(spelling, _)| spelling.as_str()));
    spellings.iter().find(|(spelling, _)| Some(spelling.as_str()) == meant).map_or("Enter", |(_, name)| name)
}

impl fmt::Display for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keymap::KEYMAP;

    #[test]
    fn what_is_written_is_what_is_pressed() {
        let pressed = |code, modifiers| NamedKey::pressed(KeyEvent::new(code, modifiers));
        for (written, code, modifiers) in [
            ("x", KeyCode::Char('x'), KeyModifiers::NONE),
            ("X", KeyCode::Char('X'), KeyModifiers::SHIFT),
            ("ö", KeyCode::Char('ö'), KeyModifiers::NONE),
            ("f9", KeyCode::F(9), KeyModifiers::NONE),
            ("ctrl-x", KeyCode::Char('x'), KeyModifiers::CONTROL),
            ("Ctrl-X", KeyCode::Char('x'), KeyModifiers::CONTROL),
            ("PageUp", KeyCode::PageUp, KeyModifiers::NONE),
            ("space", KeyCode::Char(' '), KeyModifiers::NONE),
            ("Escape", KeyCode::Esc, KeyModifiers::NONE),
            ("del", KeyCode::Delete, KeyModifiers::NONE),
        ] {
            assert_eq!(NamedKey::written(written).ok(), pressed(code, modifiers), "{written}");
        }
        assert_eq!(pressed(KeyCode::Char('x'), KeyModifiers::ALT), None);
    }

    #[test]
    fn the_keymap_is_written_as_keys_are() {
        for key in KEYMAP.iter().flat_map(|binding| binding.keys) {
            assert_eq!(NamedKey::written(key).map(|it| it.to_string()), Ok((*key).to_owned()));
        }
    }

    #[test]
    fn what_is_no_key_is_reported_with_the_nearest() {
        for nonsense in ["", " ", "xy", "F0", "F25", "Ctrl-", "Ctrl-1", "Alt-x", "\u{7}", "\u{200b}"] {
            assert!(matches!(NamedKey::written(nonsense), Err(KeyError::Unknown { .. })), "{nonsense:?}");
        }
        for (written, meant) in
            [("PgUpp", "PgUp"), ("PageDwn", "PgDn"), ("Alt-x", "Ctrl-X"), ("Entr", "Enter")]
        {
            let said = NamedKey::written(written).map_err(|error| error.to_string());
            let wanted = format!("{written:?} is no key; the nearest is {meant} (");
            assert!(said.as_ref().is_err_and(|it| it.starts_with(&wanted)), "{said:?}");
        }
        let said = NamedKey::written("ctrl-m").map_err(|error| error.to_string());
        assert_eq!(said, Err("ctrl-m is Enter to a terminal; write Enter".to_owned()));
    }
}
