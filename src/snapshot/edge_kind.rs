use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

const RELATION: &str = "relation:";

/// The kind of an edge between documents. As text, in JSON and in the table `edges`, it is one word; a relation is
/// `relation:` and its key in the front matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(into = "String")]
#[schemars(with = "String")]
pub enum EdgeKind {
    /// Another name of the document itself, by which wikilinks find it.
    Alias,
    /// A link to a path.
    Link,
    Relation(String),
    /// Near in meaning; waltop creates it, not the document.
    Semantic,
    Tag,
    Url,
    Wikilink,
    /// A kind that this waltop does not write.
    Other(String),
}

impl EdgeKind {
    /// The kinds that never name a document.
    pub const WITHOUT_DOCUMENT: &[Self] = &[Self::Alias, Self::Tag, Self::Url];
    /// The kinds that may name a document, but never by its path.
    pub const WITHOUT_PATH: &[Self] = &[Self::Semantic, Self::Wikilink];

    /// Whether it names a document as a wikilink does: a relation does if `of_relation` says so.
    pub fn is_wiki(&self, of_relation: impl FnOnce() -> bool) -> bool {
        match self {
            Self::Wikilink => true,
            Self::Relation(_) => of_relation(),
            Self::Alias | Self::Link | Self::Semantic | Self::Tag | Self::Url | Self::Other(_) => false,
        }
    }

    /// `kinds` as a list of SQL strings.
    pub fn sql_list<'a>(kinds: impl IntoIterator<Item = &'a Self>) -> String {
        let quoted = |kind: &Self| format!("'{}'", kind.to_string().replace('\'', "''"));
        kinds.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for EdgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias => f.write_str("alias"),
            Self::Link => f.write_str("link"),
            Self::Relation(key) => write!(f, "{RELATION}{key}"),
            Self::Semantic => f.write_str("semantic"),
            Self::Tag => f.write_str("tag"),
            Self::Url => f.write_str("url"),
            Self::Wikilink => f.write_str("wikilink"),
            Self::Other(kind) => f.write_str(kind),
        }
    }
}

impl From<EdgeKind> for String {
    fn from(kind: EdgeKind) -> Self {
        kind.to_string()
    }
}

impl From<String> for EdgeKind {
    fn from(text: String) -> Self {
        match text.as_str() {
            "alias" => Self::Alias,
            "link" => Self::Link,
            "semantic" => Self::Semantic,
            "tag" => Self::Tag,
            "url" => Self::Url,
            "wikilink" => Self::Wikilink,
            _ => match text.strip_prefix(RELATION) {
                Some(key) => Self::Relation(key.to_owned()),
                None => Self::Other(text),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_comes_back_from_its_text_and_sorts_as_it() {
        let kinds = [
            EdgeKind::Alias,
            EdgeKind::Link,
            EdgeKind::Relation("part_of".to_owned()),
            EdgeKind::Semantic,
            EdgeKind::Tag,
            EdgeKind::Url,
            EdgeKind::Wikilink,
            EdgeKind::Other("xref".to_owned()),
        ];
        assert!(kinds.is_sorted() && kinds.is_sorted_by_key(ToString::to_string));
        for kind in kinds {
            assert_eq!(EdgeKind::from(kind.to_string()), kind);
        }
        assert_eq!(EdgeKind::sql_list(EdgeKind::WITHOUT_DOCUMENT), "'alias', 'tag', 'url'");
        assert_eq!(EdgeKind::sql_list([&EdgeKind::Relation("it's".to_owned())]), "'relation:it''s'");
    }
}
