//! A query in the language of FTS5. Each word is a string in it, so no text is a syntax error.

use super::{QueryTerm, SearchQuery, WordMatch, stems};
use crate::ingest::words::{self, TextUnit, UnitKind};

/// From so many words on, a query asks for them as they are: each form costs a look into the index.
const MOST_WITH_FORMS: usize = 16;

impl SearchQuery {
    /// For the index with made words; `None` if a document needs no word.
    pub fn expression(&self, matching: WordMatch) -> Option<String> {
        let words = self.groups.iter().map(Vec::len).sum::<usize>();
        let write = |term: &QueryTerm| Some(term.expression(words <= MOST_WITH_FORMS));
        self.whole(matching, &write)
    }

    /// For the index without made words, which older readers filled.
    pub fn old_expression(&self, matching: WordMatch) -> Option<String> {
        let write = |term: &QueryTerm| {
            let has_words = term.text.contains(char::is_alphanumeric);
            has_words.then(|| string(&term.text, term.is_beginning))
        };
        self.whole(matching, &write)
    }

    /// The documents that have the query in their name; `None` if there is more to it than words.
    pub fn name_expression(&self) -> Option<String> {
        let name = self.name.as_ref().filter(|_| self.filters.is_empty())?;
        Some(format!("name_words : {}", string(name, false)))
    }

    /// The documents that may not match; `None` if there are none.
    pub fn excluded(&self) -> Option<String> {
        let terms = self.without.iter().map(|it| it.expression(false));
        (!self.without.is_empty()).then(|| join(terms.collect(), " OR "))
    }

    fn whole(&self, matching: WordMatch, write: &dyn Fn(&QueryTerm) -> Option<String>) -> Option<String> {
        let groups: Vec<String> = self
            .groups
            .iter()
            .map(|group| group.iter().filter_map(write).collect::<Vec<_>>())
            .filter(|group| !group.is_empty())
            .map(|group| join(group, " OR "))
            .collect();
        if groups.is_empty() {
            return None;
        }
        let wanted = join(groups, if matching == WordMatch::All { " AND " } else { " OR " });
        let without: Vec<String> = self.without.iter().filter_map(write).collect();
        Some(if without.is_empty() { wanted } else { format!("{wanted} NOT {}", join(without, " OR ")) })
    }
}

impl QueryTerm {
    fn expression(&self, with_forms: bool) -> String {
        let pieces = pieces(&self.text);
        let last = pieces.len().saturating_sub(1);
        let written = pieces.iter().enumerate().map(|(at, piece)| {
            let is_beginning = self.is_beginning && at == last;
            match piece {
                Piece::Made(text) => string(text, is_beginning && text.is_ascii()),
                Piece::Mark(text) => string(text, false),
                Piece::Plain(text) => self.plain(text, is_beginning, with_forms),
            }
        });
        join(written.collect(), " AND ")
    }

    /// `text` in one of the forms that a document may have it in. The form of the query is there twice: it then counts
    /// for more than another one.
    fn plain(&self, text: &str, is_beginning: bool, with_forms: bool) -> String {
        let exact = string(text, false);
        let mut forms = Vec::new();
        if is_beginning {
            forms.push(string(text, true));
        }
        if let Some(folded) = words::folded(text) {
            forms.push(string(&folded, is_beginning));
        }
        if !self.is_phrase {
            let parts = words::camel_parts(text);
            if !parts.is_empty() && !text.contains(|c: char| !c.is_alphanumeric()) {
                forms.push(string(&parts.join(" "), is_beginning));
            }
            if with_forms {
                forms.extend(stems::forms(text).iter().map(|it| string(it, false)));
                if forms.len() > 1 {
                    forms.insert(0, exact.clone());
                }
            }
        }
        forms.insert(0, exact);
        join(forms, " OR ")
    }
}

/// A part of a term.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// Text as the tokenizer finds it.
    Plain(&'a str),
    /// A run with characters that stand for themselves, which are made words side by side.
    Made(String),
    /// A made word alone.
    Mark(String),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut run: Vec<TextUnit<'_>> = Vec::new();
    // Start and end of the plain words since the last other piece.
    let mut plain: Option<(usize, usize)> = None;
    let finish = |run: &mut Vec<TextUnit<'_>>, plain: &mut Option<(usize, usize)>, pieces: &mut Vec<_>| {
        let (Some(first), Some(last)) = (run.first().copied(), run.last().copied()) else { return };
        if run.iter().any(|it| it.kind == UnitKind::Unspaced) {
            pieces.extend(plain.take().map(|(start, end)| Piece::Plain(&text[start..end])));
            pieces.push(Piece::Made(run.iter().map(|it| it.text).collect::<Vec<_>>().join(" ")));
        } else {
            let start = plain.map_or(first.at, |(start, _)| start);
            *plain = Some((start, last.at + last.text.len()));
        }
        run.clear();
    };
    for unit in words::units(text) {
        let made = match unit.kind {
            UnitKind::Symbol(symbol) => Some(words::symbol(symbol)),
            UnitKind::Marked { letters, mark } => Some(words::marked(letters, mark)),
            UnitKind::Word | UnitKind::Unspaced => None,
        };
        if made.is_some() || !unit.joins {
            finish(&mut run, &mut plain, &mut pieces);
        }
        match made {
            Some(made) => {
                pieces.extend(plain.take().map(|(start, end)| Piece::Plain(&text[start..end])));
                pieces.push(Piece::Mark(made));
            }
            None => run.push(unit),
        }
    }
    finish(&mut run, &mut plain, &mut pieces);
    pieces.extend(plain.map(|(start, end)| Piece::Plain(&text[start..end])));
    pieces
}

/// `text` as a string of FTS5; with `*` after it if it is the beginning of a word.
fn string(text: &str, is_beginning: bool) -> String {
    let star = if is_beginning { "*" } else { "" };
    format!("\"{}\"{star}", text.replace('"', "\"\""))
}

fn join(mut parts: Vec<String>, operator: &str) -> String {
    if parts.len() == 1 { parts.remove(0) } else { format!("({})", parts.join(operator)) }
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};

    fn all(query: &str) -> Option<String> {
        parse(query).expression(WordMatch::All)
    }

    #[test]
    fn a_word_is_searched_in_its_forms_and_the_typed_one_counts_twice() {
        let expression = all("locks db").expect("words");
        assert!(expression.starts_with("((\"locks\" OR \"locks\" OR \"lock\" OR "), "{expression}");
        assert!(expression.ends_with(") AND (\"db\" OR \"db\"*))"), "{expression}");
        assert_eq!(all("\"write locks\"").as_deref(), Some("\"write locks\""));
    }

    #[test]
    fn made_words_are_searched_as_the_index_has_them() {
        for (query, expected) in [
            ("数据库", "\"数 据 库\""),
            ("使用SQLite", "\"使 用 SQLite\""),
            ("\"锁定 wal-index\"", "(\"锁 定\" AND \"wal-index\")"),
            ("C++", "\"cplusplus\""),
            ("🎉", "\"u1f389\""),
            ("Łódź x1", "((\"Łódź\" OR \"lódź\") AND (\"x1\" OR \"x1\"*))"),
        ] {
            assert_eq!(all(query).as_deref(), Some(expected), "{query}");
        }
        assert!(all("CaseName x1").is_some_and(|it| it.contains("\"Case Name\"")));
    }

    #[test]
    fn alternatives_and_exclusions_have_their_operators() {
        assert_eq!(
            all("\"a b\" OR \"c\" \"d\" -\"e\"").as_deref(),
            Some("((\"a b\" OR \"c\") AND \"d\") NOT \"e\"")
        );
        let query = parse("\"a\" \"b\" -\"c\"");
        assert_eq!(query.expression(WordMatch::Any).as_deref(), Some("(\"a\" OR \"b\") NOT \"c\""));
        assert_eq!(query.excluded().as_deref(), Some("\"c\""));
        assert_eq!(all("tag:x -y"), None);
    }

    #[test]
    fn the_old_index_is_asked_for_the_words_as_they_are() {
        let old = |query: &str| parse(query).old_expression(WordMatch::All);
        assert_eq!(old("数据 locks").as_deref(), Some("(\"数据\" AND \"locks\"*)"));
        assert_eq!(old("🎉"), None);
    }
}
