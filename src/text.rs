//! Text from outside, made safe for a terminal (process names, paths, titles, error messages), and errors as one line.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

mod advice;
mod secrets;

pub use advice::Advised;
pub(crate) use advice::display_as_line;
pub use secrets::{redacted, redacted_words};

/// `text` without anything that moves the cursor, colours, reverses or hides: control characters become a space, and
/// invisible format characters (direction marks, joiners, zero-width) are removed.
pub fn clean(text: &str) -> String {
    text.chars().filter(|&c| !is_invisible(c)).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The words of `text` in one line, with one blank between them.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cleaned `text` in at most `width` columns; the last one is `…` if the text was cut.
pub fn fit(text: &str, width: usize) -> String {
    let text = clean(text);
    if text.width() <= width {
        return text;
    }
    let mut fitted = String::new();
    let mut columns = 0;
    for grapheme in text.graphemes(true) {
        columns += grapheme.width();
        if columns >= width {
            break;
        }
        fitted.push_str(grapheme);
    }
    if width > 0 {
        fitted.push('…');
    }
    fitted
}

/// Cleaned `text` in exactly `width` columns, padded with spaces on the right.
pub fn pad(text: &str, width: usize) -> String {
    let mut fitted = fit(text, width);
    let missing = width.saturating_sub(fitted.width());
    fitted.extend(std::iter::repeat_n(' ', missing));
    fitted
}

/// Cleaned `text` in lines of at most `width` columns, broken between words if possible.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let text = clean(text);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for grapheme in word.graphemes(true) {
            if !line.is_empty() && line.width() + grapheme.width() > width {
                lines.push(std::mem::take(&mut line));
            }
            line.push_str(grapheme);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The same in at most `most` lines; the last one is cut where the text is longer.
pub fn wrap_within(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines = wrap(text, width);
    if lines.len() > most {
        let rest = lines.split_off(most.saturating_sub(1)).join(" ");
        lines.push(fit(&rest, width));
    }
    lines
}

/// The one of `names` that is most similar to a mistyped `wanted`; `None` if there are none.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A correct prefix counts more than the other characters: of a long name people type the start.
    let similarity = |name: &&str| strsim::jaro_winkler(&wanted.to_lowercase(), name);
    names.into_iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
}

/// The one of `names` that is most similar to `wanted`, one that begins with it before the others; `None` if none is
/// close enough to be a typing error.
pub fn similar<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&wanted, &name.to_lowercase());
    // Of two at the same distance, swapped or wrong letters are likelier than a missing or an extra one.
    let order = |name: &&str| {
        let is_begun = name.to_lowercase().starts_with(&wanted);
        (!is_begun, distance(name), name.len().abs_diff(wanted.len()))
    };
    names.into_iter().filter(|name| distance(name) <= 1 + wanted.len() / 6).min_by_key(order)
}

/// `text` as a shell takes it for one word, in one line that is safe to print. Control and invisible characters are
/// written as bash, zsh and ksh read them.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    if !text.chars().any(is_unsafe) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut word = "$'".to_owned();
    for c in text.chars() {
        if is_unsafe(c) {
            let mut bytes = [0; 4];
            word.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("\\x{byte:02x}")));
        } else {
            word.extend(matches!(c, '\'' | '\\').then_some('\\'));
            word.push(c);
        }
    }
    word + "'"
}

/// Whether a terminal interprets `c` instead of showing it, or shows nothing.
pub fn is_unsafe(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// Whether the terminal supports neither cursor movement nor colours (`TERM=dumb`, as in an editor's shell).
pub fn is_dumb_terminal() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether the environment asks for text without colours: `TERM=dumb`, or `NO_COLOR` (<https://no-color.org>).
pub fn is_colourless() -> bool {
    is_dumb_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Whether the locale names a character set other than UTF-8, as `LC_ALL=C` does. Without any locale, as in many
/// containers, UTF-8 is assumed.
pub fn is_ascii_locale() -> bool {
    let mut named = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os);
    let first = named.find(|value| !value.is_empty());
    first.is_some_and(|locale| !is_utf8(&locale.to_string_lossy()))
}

fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

// Unicode's Cf characters that occur in practice, and the line separators; variation selectors stay, because emoji need
// them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_lose_their_teeth() {
        assert_eq!(clean("a\x1b[31mb\u{9b}2Jc\nd\te"), "a [31mb 2Jc d e");
    }

    #[test]
    fn a_word_for_a_shell_is_one_word_in_one_line() {
        for (text, word) in [
            ("/srv/notes.db", "/srv/notes.db"),
            ("", "''"),
            ("/srv/my notes.db", "'/srv/my notes.db'"),
            ("it's; rm", r"'it'\''s; rm'"),
            ("a\nb'\\", r"$'a\x0ab\'\\'"),
            ("\u{202e}x\x1b", r"$'\xe2\x80\xaex\x1b'"),
            ("~ $HOME", "'~ $HOME'"),
        ] {
            assert_eq!(shell_word(text), word);
            assert!(!shell_word(text).chars().any(is_unsafe));
        }
    }

    #[test]
    fn a_locale_says_whether_it_is_utf_8() {
        assert!(["C.UTF-8", "en_US.utf8", "de_DE.UTF-8@euro"].into_iter().all(is_utf8));
        assert!(!["C", "POSIX", "de_DE.ISO-8859-1", "en_US"].into_iter().any(is_utf8));
    }

    #[test]
    fn direction_marks_are_left_out() {
        assert_eq!(clean("evil\u{202e}gpj.exe\u{200f}"), "evilgpj.exe");
    }

    #[test]
    fn lines_break_between_words_or_inside_a_long_one() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("日本語 x", 4), ["日本", "語 x"]);
        assert!(wrap("  ", 4).is_empty());
        assert_eq!(wrap_within("one two three four", 7, 2), ["one two", "three …"]);
        assert_eq!(wrap_within("one two", 7, 2), ["one two"]);
    }

    #[test]
    fn wide_and_combining_characters_keep_columns_aligned() {
        assert_eq!(pad("日本語", 5), "日本…");
        assert_eq!(pad("日本語", 4), "日… ");
        assert_eq!(pad("e\u{301}a", 4).width(), 4);
        assert_eq!(fit("abc", 0), "");
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 3), "ab…");
    }

    #[test]
    fn swapped_letters_are_likelier_than_a_letter_too_many() {
        let commands = ["stats", "status", "search"];
        assert_eq!(similar("statsu", commands), Some("status"));
        assert_eq!(similar("statss", commands), Some("status"));
        assert_eq!(similar("stat", commands), Some("stats"));
        assert_eq!(similar("statu", commands), Some("status"), "it begins with it");
        assert_eq!(similar("statz", commands), Some("stats"));
        assert_eq!(similar("zebra", commands), None);
    }

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        let names = || ["pinned-wal", "large-wal", "split-wal"].into_iter();
        assert_eq!(nearest("PINED", names()), Some("pinned-wal"));
        assert_eq!(nearest("splitwal", names()), Some("split-wal"));
        assert_eq!(nearest("x", []), None);
    }
}
