//! What the full-text index gets of a document beside its title and text.

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use super::{DocumentPlace, stem};
use crate::ingest::words::MadeWords;

/// The name without its extension, and the words that the tokenizer does not find in it and in the title.
pub fn of_name(name: &str, title: &str) -> String {
    // Some systems store names with separate accents.
    let stem: String = stem(name).nfc().collect();
    let mut made = MadeWords::default();
    made.add(&stem);
    if title != stem {
        made.add(title);
    }
    let made = made.into_text();
    if made.is_empty() { stem } else { format!("{stem} {made}") }
}

/// In lines: the values of the front matter, the folders, and the words that the tokenizer does not find in the front
/// matter and the text.
pub fn of_rest(place: DocumentPlace<'_>, values: Option<&Map<String, Value>>, body: &str) -> String {
    let mut said = String::new();
    values
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "title")
        .for_each(|(_, value)| collect(value, &mut said));
    let inner = place.name.strip_prefix(place.prefix).unwrap_or(place.name);
    let folders: String =
        inner.rsplit_once('/').map(|(folders, _)| folders).unwrap_or_default().nfc().collect();
    let mut made = MadeWords::default();
    for text in [&said, &folders, body] {
        made.add(text);
    }
    let made = made.into_text();
    format!("{said}\n{folders}\n{made}")
}

/// Adds the texts and numbers in `value`, in one line.
fn collect(value: &Value, said: &mut String) {
    let mut push = |text: &str| {
        for word in text.split_whitespace() {
            if !said.is_empty() {
                said.push(' ');
            }
            said.push_str(word);
        }
    };
    match value {
        Value::String(text) => push(text),
        Value::Number(number) => push(&number.to_string()),
        Value::Array(values) => values.iter().for_each(|it| collect(it, said)),
        Value::Object(values) => values.values().for_each(|it| collect(it, said)),
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::Dialect, *};

    #[test]
    fn the_name_comes_with_the_words_that_the_tokenizer_does_not_find() {
        assert_eq!(of_name("/home/me/notes/write-lock.md", "The write lock"), "write-lock");
        assert_eq!(of_name("notes/锁.md", "HTTPServer"), "锁 锁 HTTP Server");
        assert_eq!(of_name("notes/Cafe\u{301}.md", "x"), "Café");
    }

    #[test]
    fn the_rest_is_front_matter_folders_and_made_words() {
        let values =
            json!({"title": "left out", "aliases": ["WAL index", "shm"], "year": 2026, "draft": true});
        let place = DocumentPlace {
            name: "/home/me/notes/sqlite/wal/a.md",
            prefix: "/home/me/notes/",
            dialect: Dialect::Common,
        };
        let words = of_rest(place, values.as_object(), "See camelCase.");
        assert_eq!(words, "WAL index shm 2026\nsqlite/wal\ncamel Case");
        let place = DocumentPlace { name: "notes/a.md", prefix: "notes/", dialect: Dialect::Common };
        assert_eq!(of_rest(place, None, "plain"), "\n\n");
    }
}
