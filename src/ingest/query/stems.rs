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

/// What follows a word that ends in a consonant and is no form of another one: lock, plugin.
const AFTER_CONSONANT: [&str; 12] =
    ["", "s", "ed", "ing", "er", "ers", "ion", "ions", "ings", "ly", "ment", "ments"];

/// What follows a word that ends in `e`, without it: write, database.
const AFTER_E: [&str; 12] =
    ["e", "es", "ed", "ing", "er", "ers", "ion", "ions", "ings", "ely", "ement", "ements"];

/// What follows a word that ends in `ee`: agree, free.
const AFTER_DOUBLE_E: [&str; 8] = ["", "s", "d", "ing", "r", "rs", "ment", "ments"];

/// What follows a word that ends in `y` or `ie`, without and with its last letter: specify, cookie.
const AFTER_I: [&str; 8] = ["es", "ed", "er", "ers", "e", "", "s", "ly"];
const AFTER_Y: [&str; 7] = ["", "ing", "ings", "s", "er", "ers", "ment"];

/// What follows a doubled consonant: stopped, install.
const AFTER_DOUBLE: [&str; 8] = ["ed", "ing", "er", "ers", "ings", "es", "", "s"];

/// The words with the same stem as `word`, without itself; none where it may be no English word.
pub fn forms(word: &str) -> Vec<String> {
    if !(3..=24).contains(&word.len()) || !word.bytes().all(|it| it.is_ascii_alphabetic()) {
        return Vec::new();
    }
    let word = word.to_ascii_lowercase();
    let english = Stemmer::create(Algorithm::English);
    let stem = english.stem(&word);
    let endings = endings(&word, &stem);
    let all = endings.iter().flat_map(|(base, endings)| endings.iter().map(move |it| format!("{base}{it}")));
    let mut forms: Vec<String> = Vec::new();
    for form in all {
        if form.len() > 2 && form != word && english.stem(&form) == stem && !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms.truncate(MOST);
    forms
}

/// What may be words with that `stem`, as beginnings and endings. Where `word` shows how its other forms are written, only
/// those: each of the others would be searched for in vain.
fn endings(word: &str, stem: &str) -> Vec<(String, &'static [&'static str])> {
    let before_last = &stem[..stem.len().saturating_sub(1)];
    let Some(last) = stem.chars().last() else { return Vec::new() };
    match last {
        'e' if stem.ends_with("ee") || word.starts_with(&format!("{stem}e")) => {
            vec![(format!("{}ee", stem.trim_end_matches('e')), &AFTER_DOUBLE_E)]
        }
        // Both queuing and queueing are written.
        'e' if stem.ends_with("ue") => vec![(stem.to_owned(), &["ing"]), (before_last.to_owned(), &AFTER_E)],
        'e' => vec![(before_last.to_owned(), &AFTER_E)],
        'i' => vec![(stem.to_owned(), &AFTER_I), (format!("{before_last}y"), &AFTER_Y)],
        'a' | 'o' | 'u' => vec![(stem.to_owned(), &ENDINGS)],
        _ if word.strip_suffix('e') == Some(stem) => vec![(stem.to_owned(), &AFTER_E)],
        _ => {
            let stem = stem.to_owned();
            let doubled = format!("{stem}{last}");
            let hisses = ["s", "x", "z", "ch", "sh"].iter().any(|it| stem.ends_with(it));
            let is_plain = !hisses && word.strip_suffix('s').unwrap_or(word) == stem;
            let after: &[&str] = if is_plain { &AFTER_CONSONANT } else { &ENDINGS };
            match (word.starts_with(&doubled), may_double(&stem), is_plain) {
                // Both cancelled and canceled are written.
                (true, ..) if last == 'l' => vec![(stem, &["", "s", "ed", "ing"]), (doubled, &AFTER_DOUBLE)],
                (true, ..) => vec![(stem, &["", "s"]), (doubled, &AFTER_DOUBLE)],
                (false, true, true) => vec![(stem.clone(), &["s"]), (doubled, &AFTER_DOUBLE), (stem, after)],
                (false, true, false) => {
                    let first = &["", "s", "e", "es", "ed", "ing"];
                    vec![(stem.clone(), first), (doubled, &["ed", "ing"]), (stem, after)]
                }
                (false, false, _) => vec![(stem, after)],
            }
        }
    }
}

/// Whether its last letter may be doubled before an ending: a consonant after a single vowel, as in stop, commit and quit.
fn may_double(stem: &str) -> bool {
    let is_vowel = |it: u8| b"aeiou".contains(&it);
    match stem.as_bytes() {
        [.., b'q', b'u', vowel, _] => is_vowel(*vowel),
        [.., before, vowel, last] => !is_vowel(*before) && is_vowel(*vowel) && !b"wxy".contains(last),
        _ => false,
    }
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
            ("index", "indexes"),
            ("commit", "committing"),
            ("committed", "commits"),
            ("quit", "quitting"),
            ("cache", "caching"),
            ("caches", "cached"),
            ("checkpoints", "checkpointed"),
            ("migrate", "migrations"),
            ("guarantee", "guaranteed"),
            ("agrees", "agreed"),
            ("free", "freeing"),
            ("queue", "queueing"),
            ("queued", "queuing"),
            ("cookies", "cookie"),
            ("installed", "install"),
            ("specify", "specifying"),
            ("relations", "related"),
            ("cancelled", "canceled"),
        ] {
            let has = |of: &str, other: &str| forms(of).contains(&other.to_ascii_lowercase());
            assert!(has(a, b) && has(b, a), "{a}: {:?}, {b}: {:?}", forms(a), forms(b));
        }
    }

    #[test]
    fn a_word_that_shows_how_its_forms_are_written_has_no_others() {
        assert_eq!(forms("lock"), ["locks", "locked", "locking", "lockings", "lockly"]);
        assert_eq!(forms("write"), ["writes", "writed", "writing", "writings", "writely"]);
        let others =
            [("checkpoint", "checkpointted"), ("cache", "cach"), ("stopping", "stoped"), ("guid", "guide")];
        for (word, other) in others {
            assert!(!forms(word).iter().any(|form| form == other), "{word}: {:?}", forms(word));
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
