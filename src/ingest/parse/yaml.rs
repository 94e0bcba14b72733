//! YAML (1.2, core schema) as JSON. A value that JSON cannot hold is kept as text or left out, and reported.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Tag, options};
use serde_json::{Map, Number, Value};

/// The most values that aliases repeat: aliases in front matter are rare and short.
const MOST_REPEATED: usize = 10_000;
/// How many odd values are reported.
const MOST_REPORTED: usize = 10;
/// Decimal digits that a 64-bit number holds exactly.
const EXACT_DIGITS: usize = 15;
/// The key whose value is always text: `1.10` is no title as a number.
const TITLE: &str = "title";

/// A front matter as JSON.
#[derive(Debug, PartialEq)]
pub(super) struct FrontMatterValue {
    pub value: Value,
    /// What was kept as text or left out, and why.
    pub odd: Vec<String>,
}

/// Parses the front matter `block`, whose first line is the second one of its file.
///
/// # Errors
///
/// It is no YAML, or its aliases repeat too much.
pub(super) fn parse(block: &str) -> Result<FrontMatterValue, String> {
    let mut builder = YamlBuilder::default();
    for event in Parser::new_from_str_with_options(block, options! { emit_comments: false }) {
        let (event, span) =
            event.map_err(|error| format!("{} in line {}", error.info(), error.marker().line() + 1))?;
        builder.line = span.start.line() + 1;
        match event {
            Event::Scalar(text, style, anchor, tag) => builder.scalar(&text, style, anchor, tag.as_deref()),
            Event::SequenceStart(_, anchor, _) => builder.open.push((OpenValue::List(Vec::new()), anchor)),
            Event::MappingStart(_, anchor, _) => {
                builder.open.push((OpenValue::Table(OpenTable::default()), anchor));
            }
            Event::SequenceEnd | Event::MappingEnd => builder.close(),
            Event::Alias(anchor) => builder.alias(anchor)?,
            Event::DocumentEnd => break,
            _ => {}
        }
    }
    Ok(FrontMatterValue { value: builder.root.unwrap_or(Value::Null), odd: builder.odd })
}

/// Builds a value from the events of the parser, without recursion: text decides how deep it is.
#[derive(Debug, Default)]
struct YamlBuilder {
    open: Vec<(OpenValue, usize)>,
    root: Option<Value>,
    anchors: HashMap<usize, Value>,
    repeated: usize,
    odd: Vec<String>,
    /// The line of the event, in the file.
    line: usize,
}

/// A list or a table that is not complete yet.
#[derive(Debug)]
enum OpenValue {
    List(Vec<Value>),
    Table(OpenTable),
}

#[derive(Debug, Default)]
struct OpenTable {
    entries: Map<String, Value>,
    /// The key whose value comes next.
    key: Option<TableKey>,
    /// The tables that `<<` merges in.
    merged: Vec<Map<String, Value>>,
}

#[derive(Debug)]
enum TableKey {
    Named(String),
    Merge,
    /// Its value is left out.
    Unfit,
}

impl YamlBuilder {
    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, tag: Option<&Tag>) {
        let is_plain = style == ScalarStyle::Plain && tag.and_then(Tag::core_suffix) != Some("str");
        if let Some((OpenValue::Table(OpenTable { key: key @ None, .. }), _)) = self.open.last_mut() {
            *key = Some(match (text, is_plain) {
                ("<<", true) => TableKey::Merge,
                ("" | "~", true) => TableKey::Unfit,
                _ => TableKey::Named(text.to_owned()),
            });
            if anchor > 0 {
                self.anchors.insert(anchor, Value::String(text.to_owned()));
            }
            if matches!(key, Some(TableKey::Unfit)) {
                self.report("a key is missing, and its value was left out");
            }
            return;
        }
        let value = if is_plain { plain(text, self.is_title()) } else { Value::String(text.to_owned()) };
        if is_plain && is_not_finite(text) {
            self.report(&format!("JSON has no number {text}, and it was kept as text"));
        }
        self.complete(value, anchor);
    }

    fn is_title(&self) -> bool {
        match &self.open[..] {
            [(OpenValue::Table(table), _)] => {
                matches!(&table.key, Some(TableKey::Named(key)) if key == TITLE)
            }
            _ => false,
        }
    }

    fn alias(&mut self, anchor: usize) -> Result<(), String> {
        // An alias within its own anchor has no value yet.
        let value = self.anchors.get(&anchor).cloned().unwrap_or_else(|| {
            self.report("an alias repeats what it is in, and was left out");
            Value::Null
        });
        self.repeated += values_in(&value);
        if self.repeated > MOST_REPEATED {
            return Err(format!("its aliases repeat more than {MOST_REPEATED} values"));
        }
        self.complete(value, 0);
        Ok(())
    }

    fn close(&mut self) {
        let Some((open, anchor)) = self.open.pop() else { return };
        let value = match open {
            OpenValue::List(values) => Value::Array(values),
            OpenValue::Table(OpenTable { mut entries, merged, .. }) => {
                for (key, value) in merged.into_iter().flatten() {
                    entries.entry(key).or_insert(value);
                }
                Value::Object(entries)
            }
        };
        self.complete(value, anchor);
    }

    /// Puts a complete value where it belongs.
    fn complete(&mut self, value: Value, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut() {
            None => self.root = self.root.take().or(Some(value)),
            Some((OpenValue::List(values), _)) => values.push(value),
            Some((OpenValue::Table(table), _)) => {
                if let Some(odd) = table.add(value) {
                    self.report(&odd);
                }
            }
        }
    }

    fn report(&mut self, what: &str) {
        if self.odd.len() < MOST_REPORTED {
            self.odd.push(format!("line {}: {what}", self.line));
        }
    }
}

impl OpenTable {
    /// Takes `value` as the next key, or as the value of the last one; returns what is odd about it.
    fn add(&mut self, value: Value) -> Option<String> {
        match self.key.take() {
            None => {
                let (key, odd) = match value {
                    Value::String(key) => (TableKey::Named(key), None),
                    _ => (TableKey::Unfit, Some("a key is no text, and its value was left out".to_owned())),
                };
                self.key = Some(key);
                odd
            }
            Some(TableKey::Unfit) => None,
            Some(TableKey::Merge) => {
                let tables = if let Value::Array(values) = value { values } else { vec![value] };
                self.merged.extend(tables.into_iter().filter_map(|it| match it {
                    Value::Object(table) => Some(table),
                    _ => None,
                }));
                None
            }
            Some(TableKey::Named(key)) if self.entries.contains_key(&key) => {
                Some(format!("{key} is there twice, and the first one counts"))
            }
            Some(TableKey::Named(key)) => {
                self.entries.insert(key, value);
                None
            }
        }
    }
}

/// What a scalar without quotes means (YAML 1.2.2, 10.3.2).
fn plain(text: &str, is_text: bool) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        _ if is_text => Value::String(text.to_owned()),
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

/// The number that `text` writes; `None` if a number would lose a part of it, such as a leading zero.
fn number(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix)
                .ok()
                .filter(|_| !digits.starts_with('+'))
                .map(Number::from);
        }
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut letters = unsigned.chars();
    let (first, second) = (letters.next()?, letters.next());
    let has_leading_zero = first == '0' && second.is_some_and(|it| it.is_ascii_digit());
    if has_leading_zero || !(first.is_ascii_digit() || first == '.') {
        return None;
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let signed = text.parse::<i64>().ok().map(Number::from);
        return signed.or_else(|| text.parse::<u64>().ok().map(Number::from));
    }
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let is_exact = digits <= EXACT_DIGITS;
    text.parse::<f64>().ok().filter(|_| is_exact).and_then(Number::from_f64)
}

fn is_not_finite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// How many values there are in `value`, itself included.
fn values_in(value: &Value) -> usize {
    let mut count = 0;
    let mut left = vec![value];
    while let Some(value) = left.pop() {
        count += 1;
        match value {
            Value::Array(values) => left.extend(values),
            Value::Object(table) => left.extend(table.values()),
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(block: &str) -> Value {
        let FrontMatterValue { value, odd } = parse(block).expect("it is YAML");
        assert_eq!(odd, Vec::<String>::new(), "{block}");
        value
    }

    #[test]
    fn scalars_mean_what_the_core_schema_says() {
        let block = "a: 1\nb: -1.5\nc: 0x1F\nd: 0o17\ne: true\nf: yes\ng: no\nh: on\ni: ~\nj:\nk: 1e3\nl: 'true'\n\
                     m: !!str 5\nn: 2024-01-02\no: .5\np: \"3\"\n";
        let expected = json!({
            "a": 1, "b": -1.5, "c": 31, "d": 15, "e": true, "f": "yes", "g": "no", "h": "on", "i": null, "j": null,
            "k": 1000.0, "l": "true", "m": "5", "n": "2024-01-02", "o": 0.5, "p": "3",
        });
        assert_eq!(value(block), expected);
    }

    #[test]
    fn a_number_that_would_lose_a_part_is_text() {
        let written =
            ["09", "007", "0123456", "-01", "123456789012345678901234567890", "0.1234567890123456", "1e999"];
        for text in written {
            assert_eq!(value(&format!("a: {text}")), json!({ "a": text }));
        }
        assert_eq!(
            value("a: 18446744073709551615\nb: 0\nc: 0.5"),
            json!({ "a": u64::MAX, "b": 0, "c": 0.5 })
        );
        assert_eq!(
            value("title: 1.10\nof: {title: 1.5}"),
            json!({ "title": "1.10", "of": { "title": 1.5 } })
        );
    }

    #[test]
    fn one_odd_value_leaves_the_others() {
        let odd = |block: &str| {
            let FrontMatterValue { value, odd } = parse(block).expect("it is YAML");
            (value, odd.len())
        };
        assert_eq!(
            odd("a: 1\nscore: .inf\nb: -.INF\nc: .nan"),
            (json!({"a": 1, "score": ".inf", "b": "-.INF", "c": ".nan"}), 3)
        );
        assert_eq!(odd("a: 1\nlist:\n- ?\n- x"), (json!({"a": 1, "list": [{}, "x"]}), 1));
        assert_eq!(odd("a: 1\n[b, c]: 2\nd: 3"), (json!({"a": 1, "d": 3}), 1));
        assert_eq!(odd("a: 1\na: 2"), (json!({"a": 1}), 1));
        assert_eq!(odd("a: &x [1, *x]"), (json!({"a": [1, null]}), 1));
        let many: Vec<String> = (0..50).map(|at| format!("k{at}: .inf")).collect();
        assert_eq!(parse(&many.join("\n")).expect("it is YAML").odd.len(), MOST_REPORTED);
        assert_eq!(parse("a: 1\nb: .inf").expect("it is YAML").odd[0].split(':').next(), Some("line 3"));
    }

    #[test]
    fn aliases_and_merged_tables_are_resolved() {
        let block = "base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}\nboth: {<<: [*base, {c: 4}]}\n1: &k key\n*k : v";
        let expected = json!({
            "base": {"a": 1, "b": 2}, "mine": {"a": 1, "b": 3}, "both": {"a": 1, "b": 2, "c": 4}, "1": "key", "key": "v",
        });
        assert_eq!(value(block), expected);
    }

    #[test]
    fn aliases_that_repeat_too_much_and_broken_text_are_errors() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for at in 1..9 {
            bomb += &format!("a{at}: &a{at} [{}]\n", vec![format!("*a{}", at - 1); 10].join(", "));
        }
        for block in [bomb.as_str(), "a: [1", "a: b: c", "a: *unknown"] {
            assert!(parse(block).is_err(), "{block}");
        }
    }
}
