//! Conditions on a document beside its words.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchFilter {
    pub field: FilterField,
    pub value: String,
    /// Whether the document must not match.
    pub is_excluded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterField {
    /// A tag, or the tags below it.
    Tag,
    /// A part of the document's name; `*` stands for any text.
    Path,
    /// Its kind.
    Kind,
}

impl FilterField {
    /// As it is written in a query, before `:`.
    pub const NAMES: [(&'static str, Self); 3] =
        [("tag", Self::Tag), ("path", Self::Path), ("kind", Self::Kind)];
}

impl SearchFilter {
    pub fn new(field: FilterField, value: &str) -> Self {
        let value = value.trim();
        let value = if field == FilterField::Tag { value.trim_start_matches('#') } else { value };
        Self { field, value: value.to_owned(), is_excluded: false }
    }
}
