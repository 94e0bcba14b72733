//! The other forms of an English word.
//!
//! The index has words as they are written. A query asks for the forms of a word as well, which costs the ingestion
//! nothing, and lets the form that was asked for count for more.

use rust_stemmers::{Algorithm, Stemmer};

/// The most forms of a word: each is searched for.
const MOST: usize = 12;

/// Endings of English words, the frequent ones first.
const ENDINGS: [&str; 14] =
    ["", "s", "e", "es", "ed", "ing", "er", "ers", "ion", "ions", "ings", "ly", "ment", "ments"];

/// The words with the same stem as `word`, without itself; none where it may be no English word.
pub fn forms(word: &str) -> Vec<String> {
    if !(3..=24).contains(&word.len()) || !word.bytes().all(|it| it.is_ascii_alphabetic()) {
        return Vec::new();
    }
    let word = word.to_ascii_lowercase();
    let english = Stemmer::create(Algorithm::English);
    let stem = english.stem(&word);
    let mut bases = vec![stem.to_string()];
    match stem.char_indices().last() {
        Some((at, 'e')) => bases.push(stem[..at].to_owned()),
        Some((at, 'i')) => bases.push(format!("{}y", &stem[..at])),
        Some((_, last)) if !"aeiou".contains(last) => bases.push(format!("{stem}{last}")),
        _ => {}
    }
    let all = ENDINGS.iter().flat_map(|ending| bases.iter().map(move |base| format!("{base}{ending}")));
    let mut forms: Vec<String> = Vec::new();
    for form in all {
        if form.len() > 2 && form != word && english.stem(&form) == stem && !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms.truncate(MOST);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_a_word_lead_to_each_other() {
        for (a, b) in [
            ("lock", "locks"),
            ("locking", "locked"),
            ("running", "run"),
            ("stopped", "stopping"),
            ("studies", "study"),
            ("database", "databases"),
            ("writes", "writing"),
            ("migration", "migrate"),
            ("Queries", "query"),
            ("class", "classes"),
        ] {
            let has = |of: &str, other: &str| forms(of).contains(&other.to_ascii_lowercase());
            assert!(has(a, b) && has(b, a), "{a}: {:?}, {b}: {:?}", forms(a), forms(b));
        }
    }

    #[test]
    fn a_word_is_no_form_of_itself_nor_of_one_with_another_stem() {
        for word in ["lock", "wal", "checkpoint"] {
            assert!(
                !forms(word).iter().any(|form| form == word || !form.starts_with(word)),
                "{:?}",
                forms(word)
            );
        }
        for other in ["", "c", "db", "x86", "straße", "v2", "C++"] {
            assert_eq!(forms(other), Vec::<String>::new(), "{other}");
        }
    }
}
