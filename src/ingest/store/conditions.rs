//! The conditions of a query, in SQL.

use rusqlite::types::Value;

use crate::ingest::query::{FilterField, SearchFilter};

/// `text` for LIKE with `\` as escape character.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// The condition of `filter` on the row of `nodes`. Its values go into `values`, the parameters of the statement.
pub(super) fn condition(filter: &SearchFilter, values: &mut Vec<Value>) -> String {
    let mut bind = |text: String| {
        values.push(Value::Text(text));
        format!("?{}", values.len())
    };
    let value = &filter.value;
    let condition = match filter.field {
        FilterField::Tag => {
            // SQL compares small and capital letters of ASCII alone.
            let mut capital = value.chars();
            let capital =
                capital.next().map(|it| it.to_uppercase().chain(capital.flat_map(char::to_lowercase)));
            let capital = capital.into_iter().flatten().collect();
            let cases = [value.clone(), value.to_lowercase(), value.to_uppercase(), capital].map(&mut bind);
            let below = bind(format!("{}/%", escaped(value)));
            format!(
                "EXISTS (SELECT 1 FROM edges WHERE source = nodes.id AND kind = 'tag'
                 AND (target COLLATE NOCASE IN ({}) OR target LIKE {below} ESCAPE '\\'))",
                cases.join(", ")
            )
        }
        FilterField::Path => {
            let pattern = bind(format!("%{}%", escaped(value).replace('*', "%")));
            format!("nodes.path LIKE {pattern} ESCAPE '\\'")
        }
        FilterField::Kind => format!("nodes.kind = {} COLLATE NOCASE", bind(value.clone())),
    };
    if filter.is_excluded { format!("NOT ({condition})") } else { condition }
}
