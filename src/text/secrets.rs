//! Secrets in text that comes from command lines: passwords, tokens and keys.

use std::borrow::Cow;

/// What stands for a secret.
const REDACTED: &str = "[redacted]";

/// Parts of a name that make its value a secret, wherever they stand in it.
const WITHIN: &[&str] = &["apikey", "credential", "passphrase", "passwd", "password", "secret", "token"];
/// Whole parts of a name, between `-`, `_` and `.`.
const PARTS: &[&str] = &["auth", "bearer", "cookie", "key", "pass", "pwd"];
/// A word of random characters has that many, without any other between them,
const RANDOM: usize = 20;
/// that many digits among them,
const DIGITS: usize = 3;
/// and that many changes between digits, small and capital letters. A name in camel case has no digits, a date and a
/// version have few changes.
const CHANGES: usize = 6;
/// What may stand around a word in a sentence.
const AROUND: &[char] = &['"', '\'', '`', '(', ')', ',', ';', ':', '.', '…'];

/// `text` with [`REDACTED`] in the place of what looks like a secret: the value of an option or a variable whose name says
/// so, the user of a URL, and a long word of random characters. What looks like none stays, even if it is one.
pub fn redacted(text: &str) -> Cow<'_, str> {
    if !may_have_secrets(text) {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut is_value) = (String::with_capacity(text.len()), false);
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_matches(|c: char| c.is_whitespace() || AROUND.contains(&c));
        let Some(at) = piece.find(word).filter(|_| !word.is_empty()) else {
            shown.push_str(piece);
            continue;
        };
        let (before, after) = (&piece[..at], &piece[at + word.len()..]);
        shown.push_str(before);
        if is_value && !word.starts_with('-') {
            shown.push_str(REDACTED);
            is_value = false;
        } else {
            shown.push_str(&of_word(word));
            // `--password secret`, `Bearer secret`
            is_value = (word.starts_with('-') && !word.contains('=') && is_secret_name(word))
                || word.eq_ignore_ascii_case("bearer");
        }
        shown.push_str(after);
    }
    Cow::Owned(shown)
}

/// The same for each word of a command line: the word behind an option whose name says so is a secret as a whole.
pub fn redacted_words(words: &[String]) -> Vec<String> {
    let mut is_value = false;
    let redacted_word = |word: &String| {
        let is_secret = std::mem::replace(&mut is_value, false) && !word.starts_with('-');
        is_value = word.starts_with('-') && !word.contains('=') && is_secret_name(word);
        if is_secret { REDACTED.to_owned() } else { redacted(word).into_owned() }
    };
    words.iter().map(redacted_word).collect()
}

// Most labels and sentences have none of it.
fn may_have_secrets(text: &str) -> bool {
    let longest = text.split(|c: char| !is_of_random(c)).map(str::len).max();
    text.contains(['=', '@'])
        || text.contains("--")
        || text.to_ascii_lowercase().contains("bearer ")
        || longest.is_some_and(|longest| longest >= RANDOM)
}

fn of_word(word: &str) -> String {
    let word = without_user(word);
    let mut shown = String::with_capacity(word.len());
    // `a=1&token=2` of a URL, `a=1,key=2` of an option
    for part in word.split_inclusive(['&', '?', ',', ';']) {
        let (pair, end) = part.split_at(part.trim_end_matches(['&', '?', ',', ';']).len());
        match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret_name(name) => {
                shown.push_str(&format!("{name}={REDACTED}"));
            }
            Some((name, value)) if is_random(value) => shown.push_str(&format!("{name}={REDACTED}")),
            None if is_random(pair) => shown.push_str(REDACTED),
            _ => shown.push_str(pair),
        }
        shown.push_str(end);
    }
    shown
}

// `https://user:password@host/` without the user.
fn without_user(word: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = word.split_once("://") else { return Cow::Borrowed(word) };
    let host = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    match host.rfind('@') {
        Some(at) => Cow::Owned(format!("{scheme}://{REDACTED}{}", &rest[at..])),
        None => Cow::Borrowed(word),
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WITHIN.iter().any(|part| name.contains(part))
        || name.split(['-', '_', '.', '[', ']']).any(|part| PARTS.contains(&part))
}

fn is_of_random(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=')
}

// A path may be long, and is no secret.
fn is_random(word: &str) -> bool {
    if word.starts_with(['/', '~']) || word.contains("://") {
        return false;
    }
    word.split(|c: char| !is_of_random(c)).any(|run| {
        let kind = |byte: u8| match byte {
            b'0'..=b'9' => Some(0),
            b'a'..=b'z' => Some(1),
            b'A'..=b'Z' => Some(2),
            _ => None,
        };
        let is_change =
            |pair: &&[u8]| kind(pair[0]).zip(kind(pair[1])).is_some_and(|(one, other)| one != other);
        run.len() >= RANDOM
            && run.bytes().filter(u8::is_ascii_digit).count() >= DIGITS
            && run.as_bytes().windows(2).filter(is_change).count() >= CHANGES
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_calls_a_secret_is_replaced() {
        for (text, expected) in [
            ("sync --password hunter2 --port 80", "sync --password [redacted] --port 80"),
            ("sync --password=hunter2", "sync --password=[redacted]"),
            (
                "env MY_SECRET=x DB_PASSWORD='a b' run",
                "env MY_SECRET=[redacted] DB_PASSWORD=[redacted] b' run",
            ),
            ("a --api-key k1, then b", "a --api-key [redacted], then b"),
            ("GITHUB_TOKEN=x", "GITHUB_TOKEN=[redacted]"),
            ("curl https://me:pw@host.example/a?b=1", "curl https://[redacted]@host.example/a?b=1"),
            (
                "GET https://host.example/?a=1&token=2&b=3",
                "GET https://host.example/?a=1&token=[redacted]&b=3",
            ),
            ("-H 'Authorization: Bearer abc.def'", "-H 'Authorization: Bearer [redacted]'"),
            (
                "with `--auth-key one` and `--auth-key two`",
                "with `--auth-key [redacted]` and `--auth-key [redacted]`",
            ),
            ("--secret --verbose", "--secret --verbose"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn the_word_behind_an_option_for_a_secret_is_replaced() {
        let words = |line: &[&str]| line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let line = words(&["sync", "--password", "a b", "--token=x y", "--key", "--port", "80"]);
        let expected =
            words(&["sync", "--password", "[redacted]", "--token=[redacted] y", "--key", "--port", "80"]);
        assert_eq!(redacted_words(&line), expected);
    }

    #[test]
    fn a_long_random_word_is_replaced() {
        for (text, expected) in [
            ("push ghp_16C7e42F292c6912E7710c838347Ae178B4a", "push [redacted]"),
            ("run 4f3a9c27b1e84d0f9b6a3c5d7e8f9a0b (2)", "run [redacted] (2)"),
            ("--id=wJalrXUtnFEMI7K7MDENG9bPxRfiCY", "--id=[redacted]"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        for text in [
            "",
            "holder.py",
            "python3 -c",
            "PID 71168 (bun) has kept the write lock for 6.2 s, and 3 processes wait",
            "bun --port 8080 and bun --port 8081: they may do the same work twice",
            "/srv/app/2026-11-30/notes-v2.1.10-x86_64.db",
            "com.acme.MyVeryLongApplicationNameForIndexing",
            "nightly-backup-of-the-database-2026-11-30-0312",
            "gunicorn: master [app]",
            "https://host.example/a@b",
            "monkey=1 --keyboard us",
        ] {
            assert_eq!(redacted(text), text);
        }
    }
}
