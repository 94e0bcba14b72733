//! What a link names: another document, an address, or nothing.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{Dialect, DocumentPlace};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum LinkTarget {
    /// A file: its name in the database, or a path that leaves the named root.
    Name(String),
    Url(String),
}

/// The target of a Markdown link in the document at `place`; `None` for a link within the document.
pub(super) fn of_link(destination: &str, place: DocumentPlace<'_>) -> Option<LinkTarget> {
    let destination = destination.trim();
    if has_scheme(destination) || destination.starts_with("//") {
        return Some(LinkTarget::Url(destination.to_owned()));
    }
    let path = destination.split(['#', '?']).next().unwrap_or_default();
    if path.is_empty() {
        return None;
    }
    let path = percent_decoded(path);
    // A path from `/` starts at the folder, as in static sites.
    let parent = if path.starts_with('/') { "" } else { parent_within(place) };
    Some(LinkTarget::Name(resolve(place.prefix, parent, &path)))
}

/// The name in a wikilink, without heading and block; `None` if nothing else is in it, or what no name has.
pub(super) fn of_wikilink(text: &str, dialect: Dialect) -> Option<&str> {
    let mut parts = text.splitn(2, '|');
    let first = parts.next().unwrap_or_default();
    let text = match dialect {
        Dialect::Common | Dialect::Logseq => first,
        Dialect::Dendron => parts.next().unwrap_or(first),
    };
    // In a table the mark before an alias is escaped.
    let name = text.split(['#', '^']).next().unwrap_or_default().trim_end_matches('\\').trim();
    let is_name = !name.is_empty() && !name.contains(|c: char| c.is_control() || c == '[' || c == ']');
    is_name.then_some(name)
}

/// Whether `text` starts with a scheme; one letter is a Windows drive, not a scheme (RFC 3986, 3.1).
pub(super) fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
}

fn parent_within(place: DocumentPlace<'_>) -> &str {
    let relative = place.name.strip_prefix(place.prefix).unwrap_or(place.name);
    relative.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// `path` relative to `parent` in the folder, without `.` and `..`. A path can leave an absolute folder upwards, but
/// not a named root, because its parent is unknown.
fn resolve(prefix: &str, parent: &str, path: &str) -> String {
    let absolute = prefix.starts_with('/');
    let mut parts: Vec<&str> =
        if absolute { prefix.split('/').filter(|it| !it.is_empty()).collect() } else { vec![] };
    let mut above = 0;
    for part in parent.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => above += usize::from(parts.pop().is_none()),
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, above) {
        (true, _) => format!("/{joined}"),
        (false, 0) => format!("{prefix}{joined}"),
        (false, above) => "../".repeat(above) + &joined,
    }
}

/// Unchanged if the result would not be UTF-8, or would contain a NUL, which no file name does.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.contains('\0') => decoded,
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_where_they_make_sense() {
        assert_eq!(percent_decoded("a%20b%2F%c3%a9"), "a b/é");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%+1%zz%00"), "%+1%zz%00");
        assert_eq!(percent_decoded("%ff"), "%ff");
    }

    #[test]
    fn a_scheme_is_distinguished_from_a_path() {
        assert!(has_scheme("https://x") && has_scheme("mailto:x"));
        assert!(!has_scheme("C:/x") && !has_scheme("a/b:c") && !has_scheme("x") && !has_scheme(":x"));
    }

    #[test]
    fn paths_are_resolved_from_where_the_document_stands() {
        assert_eq!(resolve("/n/", "a/b", "../c.md"), "/n/a/c.md");
        assert_eq!(resolve("/n/", "", "../../../c.md"), "/c.md");
        assert_eq!(resolve("r/", "a", "../../c.md"), "../c.md");
        assert_eq!(resolve("r/", "a", "./c//d.md"), "r/a/c/d.md");
    }
}
