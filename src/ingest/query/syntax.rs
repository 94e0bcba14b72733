//! Splits the text of a query. Whatever is no syntax is a word.

use super::{FilterField, QueryTerm, SearchFilter, SearchQuery};
use crate::ingest::words;

/// The query in `text`.
pub fn parse(text: &str) -> SearchQuery {
    let mut query = SearchQuery::default();
    let parts = parts(text);
    let last = parts.len().saturating_sub(1);
    let mut joins = false;
    for (at, part) in parts.into_iter().enumerate() {
        match part {
            // At either end it is a word.
            QueryPart::Or if at > 0 && at < last && !query.groups.is_empty() => joins = true,
            QueryPart::Or => query.add("OR".to_owned().into(), &mut joins),
            QueryPart::Filter(filter) => query.filters.push(filter),
            QueryPart::Without(term) => query.without.extend(Some(term).filter(QueryTerm::has_words)),
            QueryPart::Term(term) => query.add(term, &mut joins),
        }
    }
    let is_plain = query.filters.is_empty() && query.without.is_empty() && !text.contains(['"', '*', '\0']);
    query.name = (is_plain && !query.groups.is_empty()).then(|| text.trim().to_owned());
    if let Some(last) = query.groups.last_mut().and_then(|it| it.last_mut()) {
        last.is_beginning |= !last.is_phrase;
    }
    query
}

#[derive(Debug)]
enum QueryPart {
    Or,
    Filter(SearchFilter),
    Without(QueryTerm),
    Term(QueryTerm),
}

impl SearchQuery {
    fn add(&mut self, term: QueryTerm, joins: &mut bool) {
        if !term.has_words() {
            return;
        }
        match self.groups.last_mut().filter(|_| *joins) {
            Some(group) => group.push(term),
            None => self.groups.push(vec![term]),
        }
        *joins = false;
    }
}

impl QueryTerm {
    fn has_words(&self) -> bool {
        words::units(&self.text).next().is_some()
    }
}

impl From<String> for QueryTerm {
    fn from(text: String) -> Self {
        Self { text, is_phrase: false, is_beginning: false }
    }
}

/// SQL text ends at a NUL, so control characters separate words.
fn is_gap(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

fn parts(query: &str) -> Vec<QueryPart> {
    let mut parts = Vec::new();
    let mut rest = query.trim_start_matches(is_gap);
    while !rest.is_empty() {
        let negated =
            rest.strip_prefix('-').filter(|it| it.starts_with(|c: char| c.is_alphanumeric() || c == '"'));
        let start = negated.unwrap_or(rest);
        let is_excluded = negated.is_some();
        if let Some((filter, after)) = filter(start) {
            parts.push(QueryPart::Filter(SearchFilter { is_excluded, ..filter }));
            rest = after;
        } else {
            let (term, after) = term(start);
            parts.push(match term {
                term if is_excluded => QueryPart::Without(term),
                term if !term.is_phrase && term.text == "OR" => QueryPart::Or,
                term => QueryPart::Term(term),
            });
            rest = after;
        }
        rest = rest.trim_start_matches(is_gap);
    }
    parts
}

/// The condition at the start of `text`, and what follows it.
fn filter(text: &str) -> Option<(SearchFilter, &str)> {
    let (name, value) = text.split_once(':')?;
    let (_, field) = FilterField::NAMES.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
    let (value, after) = quoted(value).unwrap_or_else(|| word(value));
    let filter = SearchFilter::new(field, value);
    (!filter.value.is_empty()).then_some((filter, after))
}

/// The word or phrase at the start of `text`, and what follows it.
fn term(text: &str) -> (QueryTerm, &str) {
    if let Some((phrase, after)) = quoted(text) {
        let beginning = after.strip_prefix('*');
        let term = QueryTerm { text: phrase.to_owned(), is_phrase: true, is_beginning: beginning.is_some() };
        return (term, beginning.unwrap_or(after));
    }
    let (word, after) = word(text);
    let text = word.trim_end_matches('*');
    (QueryTerm { text: text.to_owned(), is_phrase: false, is_beginning: text.len() < word.len() }, after)
}

/// Text between two `"`, of which the first one starts a word.
fn quoted(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('"').and_then(|rest| rest.split_once('"')).filter(|(text, _)| !text.contains('\0'))
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(is_gap).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups with `|` between the terms, then `-term`, then the conditions.
    fn read(text: &str) -> String {
        let query = parse(text);
        let shown = |term: &QueryTerm| {
            let star = if term.is_beginning { "*" } else { "" };
            if term.is_phrase { format!("\"{}\"{star}", term.text) } else { format!("{}{star}", term.text) }
        };
        let mut parts: Vec<String> =
            query.groups.iter().map(|it| it.iter().map(shown).collect::<Vec<_>>().join("|")).collect();
        parts.extend(query.without.iter().map(|it| format!("-{}", shown(it))));
        parts.extend(query.filters.iter().map(|it| {
            let sign = if it.is_excluded { "-" } else { "" };
            format!("{sign}{:?}={}", it.field, it.value)
        }));
        parts.join(" ")
    }

    #[test]
    fn words_phrases_and_beginnings() {
        for (query, expected) in [
            ("write lock", "write lock*"),
            ("wri* lock*", "wri* lock*"),
            (" a\"b NEAR( - * \0 title:x", "a\"b NEAR( title:x*"),
            ("\"write lock\"", "\"write lock\""),
            ("a \"write lo\"* b", "a \"write lo\"* b*"),
            ("\"a b\"c", "\"a b\" c*"),
            ("\"a b", "\"a b*"),
            ("\"a\0b\"", "\"a b\"*"),
            ("C++ 🎉", "C++ 🎉*"),
        ] {
            assert_eq!(read(query), expected, "{query:?}");
        }
        for nothing in
            ["", "  ", "\"", "* - ()", "\0", "\"\"", "\"*\"*", "\" \" **", "-", "--", "-\"\"", "tag:"]
        {
            let query = parse(nothing);
            assert!(query.is_empty() || nothing == "tag:", "{nothing:?}: {query:?}");
        }
    }

    #[test]
    fn exclusions_alternatives_and_conditions() {
        for (query, expected) in [
            ("lock -write", "lock* -write"),
            ("lock -\"write lock\" x", "lock x* -\"write lock\""),
            ("lock --limit - x", "lock --limit x*"),
            ("a OR b c", "a|b c*"),
            ("a OR b OR c", "a|b|c*"),
            ("OR a", "OR a*"),
            ("a OR", "a OR*"),
            ("a or b", "a or b*"),
            ("tag:wal lock", "lock* Tag=wal"),
            ("TAG:#wal -path:old/ kind:\"meeting notes\"", "Tag=wal -Path=old/ Kind=meeting notes"),
            ("\"tag:wal\" tags:x", "\"tag:wal\" tags:x*"),
            ("tag: lock", "tag: lock*"),
        ] {
            assert_eq!(read(query), expected, "{query:?}");
        }
    }
}
