//! The block of YAML (`---`) or TOML (`+++`) at the top of a document.

use serde_json::{Map, Value};

use super::{
    DocumentPlace, EdgeSet,
    target::{self, LinkTarget},
    yaml::{self, FrontMatterValue},
};
use crate::{ingest::discover, snapshot::EdgeKind, text::one_line};

/// The largest front matter that is parsed, in bytes: 64 KiB. People write less; a YAML bomb needs more.
const LARGEST: usize = 64 << 10;

#[derive(Debug, PartialEq)]
pub enum FrontMatter<'a> {
    /// No front matter: the whole text is the body.
    None,
    Values {
        values: Map<String, Value>,
        body: &'a str,
        /// What was kept as text or left out, and why.
        odd: Vec<String>,
    },
    /// An invalid block.
    Malformed { reason: String, body: &'a str },
}

/// Splits `text` into front matter and body. A block that is no table of values is prose between two rules.
pub fn split(text: &str) -> FrontMatter<'_> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some((first, rest)) = text.split_once('\n') else { return FrontMatter::None };
    let mark = first.trim_end();
    let parse = match mark {
        "---" => yaml::parse,
        "+++" => toml,
        _ => return FrontMatter::None,
    };
    let Some((block, body)) = split_at_end(rest, mark) else { return FrontMatter::None };
    if block.len() > LARGEST {
        return FrontMatter::Malformed { reason: format!("it is larger than {} KiB", LARGEST >> 10), body };
    }
    match parse(block) {
        Ok(FrontMatterValue { value: Value::Object(values), odd }) => {
            FrontMatter::Values { values, body, odd }
        }
        Ok(FrontMatterValue { value: Value::Null, odd }) if block.trim().is_empty() => {
            FrontMatter::Values { values: Map::new(), body, odd }
        }
        Ok(_) => FrontMatter::None,
        Err(reason) => {
            let reason = one_line(&reason);
            FrontMatter::Malformed { reason, body }
        }
    }
}

/// The text before and after the first line that is `mark`, or YAML's other end of a document.
fn split_at_end<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let said = line.trim_end();
        if said == mark || mark == "---" && said == "..." {
            return Some((&text[..at], &text[at + line.len()..]));
        }
        at += line.len();
    }
    None
}

fn toml(block: &str) -> Result<FrontMatterValue, String> {
    let table: toml::Table = block.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let mut odd = Vec::new();
    let value = from_toml(toml::Value::Table(table), &mut odd);
    Ok(FrontMatterValue { value, odd })
}

/// TOML's dates become text: JSON has none.
fn from_toml(value: toml::Value, odd: &mut Vec<String>) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(number).map_or_else(
            || {
                odd.push(format!("JSON has no number {number}, and it was kept as text"));
                Value::String(number.to_string())
            },
            Value::Number,
        ),
        toml::Value::Boolean(yes) => yes.into(),
        toml::Value::Datetime(when) => Value::String(when.to_string()),
        toml::Value::Array(values) => {
            Value::Array(values.into_iter().map(|value| from_toml(value, odd)).collect())
        }
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, from_toml(value, odd))).collect())
        }
    }
}

/// The first of `keys` with a non-empty value, as one line of text.
pub fn text(values: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| {
        let said = match values.get(*key)? {
            Value::String(text) => one_line(text),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!said.is_empty()).then_some(said)
    })
}

/// Adds the tags and relations in `values` to `edges`: values that are written as a link, or are a document's path.
pub(super) fn relations(values: &Map<String, Value>, place: DocumentPlace<'_>, edges: &mut EdgeSet) {
    for (key, value) in values {
        match key.as_str() {
            "tags" | "tag" => tags(value, edges),
            "title" | "type" | "kind" => {}
            key => {
                let kind = EdgeKind::Relation(key.to_owned());
                match value {
                    Value::Array(values) => values.iter().for_each(|it| relation(&kind, it, place, edges)),
                    value => relation(&kind, value, place, edges),
                }
            }
        }
    }
}

fn tags(value: &Value, edges: &mut EdgeSet) {
    let mut add = |tag: &str| edges.add(EdgeKind::Tag, tag.trim().trim_start_matches('#'));
    match value {
        Value::String(text) => text.split(|c: char| c == ',' || c.is_whitespace()).for_each(add),
        Value::Array(values) => values.iter().for_each(|value| match value {
            Value::String(text) => add(text),
            Value::Number(number) => add(&number.to_string()),
            _ => {}
        }),
        _ => {}
    }
}

fn relation(kind: &EdgeKind, value: &Value, place: DocumentPlace<'_>, edges: &mut EdgeSet) {
    let of_wikilink = |text| target::of_wikilink(text, place.dialect);
    let text = match value {
        Value::String(text) => text.trim(),
        // To YAML, an unquoted [[Page]] is a list in a list.
        Value::Array(values) => {
            let names = values.iter().filter_map(Value::as_str);
            return names.filter_map(of_wikilink).for_each(|name| edges.add(kind.clone(), name));
        }
        _ => return,
    };
    if text.starts_with("[[") && text.ends_with("]]") {
        // Several may stand in one value.
        let names = text.split("[[").filter_map(|it| it.split_once("]]")).map(|(inner, _)| inner);
        return names.filter_map(of_wikilink).for_each(|name| edges.add(kind.clone(), name));
    }
    let destination = match text.strip_prefix('[').and_then(|it| it.strip_suffix(')')) {
        Some(link) => link.split_once("](").map(|(_, destination)| destination),
        None => looks_like_a_link(text).then_some(text),
    };
    match destination.and_then(|it| target::of_link(it, place)) {
        Some(LinkTarget::Name(target) | LinkTarget::Url(target)) => edges.add(kind.clone(), &target),
        None => {}
    }
}

fn looks_like_a_link(text: &str) -> bool {
    let path = text.split(['#', '?']).next().unwrap_or_default();
    text.contains("://") && target::has_scheme(text) || discover::is_document(std::path::Path::new(path))
}
