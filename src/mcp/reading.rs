//! The tools that read: documents and figures of a database, ingestions, and waltop's own pages.

use std::{ffi::OsString, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    observing::SAMPLE_DEADLINE,
    tool::{About, Effect, NamedDatabase, Ordered, ToolCall, within, words},
    untrusted::TextOrigin,
    workers::WorkerOrder,
};

/// How long a worker with a connection may take: a lock may keep it waiting.
pub const SQL_DEADLINE: Duration = Duration::from_secs(30);

/// Bytes of a document in one answer.
pub const LONGEST_PART: u64 = 256 << 10;
const USUAL_PART: u64 = 32 << 10;
/// Documents and runs in one answer.
const MOST_LISTED: u64 = 100;
const USUALLY_LISTED: u64 = 10;

fn usual_part() -> u64 {
    USUAL_PART
}

fn usually_listed() -> u64 {
    USUALLY_LISTED
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// A finding such as `pinned-wal`, or an error of SQLite as a code, a name or a message. Without it, the list of all
    /// findings.
    subject: Option<String>,
}

impl ToolCall for Explain {
    const ABOUT: About = About {
        name: "explain",
        title: "Explain a finding or an error",
        does: "Explain a finding of check, or an error of SQLite such as `database is locked`: what it means, why it hurts, \
               what to do.",
        output: &["explain"],
        origin: TextOrigin::Waltop,
        takes_database: false,
        effect: Effect::Reads,
    };

    fn order(self, _: &NamedDatabase<'_>) -> Ordered {
        let subject = self.subject.filter(|it| !it.trim().is_empty()).map(OsString::from);
        let words = words(["explain", "--json", "--"]).chain(subject).collect();
        Ok(WorkerOrder::reading(words, SAMPLE_DEADLINE))
    }
}

/// What is searched.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SearchBy {
    Words,
    Meaning,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// What to find: words, or a question. `wor*` matches a prefix, `"two words"` is a phrase, `-word` must not be there,
    /// `a OR b`; conditions are `tag:x`, `path:x` and `kind:x`, or with `-` before them their opposite.
    query: String,
    /// By what to search; default: by words, and by meaning too if an embeddings API is set and the database has vectors.
    by: Option<SearchBy>,
    /// How many documents at most (1 to 100).
    #[serde(default = "usually_listed")]
    limit: u64,
}

impl ToolCall for Search {
    const ABOUT: About = About {
        name: "search",
        title: "Search the documents",
        does: "Find ingested documents, the best first, with a snippet and links: by words, and by meaning where the database \
               has vectors. `tag:`, `path:`, `kind:`, \"phrases\", -word and OR narrow it down. `read` gives the text, from \
               `section_offset` on the part that is meant.",
        output: &["search"],
        origin: TextOrigin::Documents,
        takes_database: true,
        effect: Effect::Reads,
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        let limit = format!("--limit={}", within("limit", self.limit, 1, MOST_LISTED)?);
        let options = ["--db".into(), database.path()?.into(), "--".into(), self.query.into()];
        let by = self.by.map(|by| match by {
            SearchBy::Words => "--words".into(),
            SearchBy::Meaning => "--semantic".into(),
        });
        let words = words(["search", "--json", &limit]).chain(by).chain(options).collect();
        Ok(WorkerOrder::reading(words, SQL_DEADLINE))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The document, by its `path` in the answer of `search`. It names a row, not a file.
    document: String,
    /// Where in the text to begin, in bytes: `next_offset` of the answer before.
    #[serde(default)]
    offset: u64,
    /// How many bytes at most (1 to 262144).
    #[serde(default = "usual_part")]
    length: u64,
}

impl ToolCall for Read {
    const ABOUT: About = About {
        name: "read",
        title: "Read a document",
        does: "Give the text of an ingested document, or the part from `offset` on. `next_offset` is where the rest begins.",
        output: &["read"],
        origin: TextOrigin::Documents,
        takes_database: true,
        effect: Effect::Reads,
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        let length = format!("--length={}", within("length", self.length, 1, LONGEST_PART)?);
        let offset = format!("--offset={}", self.offset);
        let options = ["--db".into(), database.path()?.into(), "--".into(), self.document.into()];
        let words = words(["read", "--json", &offset, &length]).chain(options).collect();
        Ok(WorkerOrder::reading(words, SQL_DEADLINE))
    }
}

/// Which links are listed.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LinkList {
    /// Links whose document is not there.
    Broken,
    /// Documents that no other document links to.
    Orphans,
    /// Wikilinks whose name several documents have.
    Ambiguous,
    /// Links that lead to the only document of their name, because none has their path.
    ByName,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// What to list; without it, the figures alone.
    list: Option<LinkList>,
    /// How many at most (1 to 100).
    #[serde(default = "usually_listed")]
    limit: u64,
}

impl ToolCall for Links {
    const ABOUT: About = About {
        name: "links",
        title: "Links of the documents",
        does: "Count the links of ingested documents, and list those that lead nowhere or may mean several documents.",
        output: &["links"],
        origin: TextOrigin::Documents,
        takes_database: true,
        effect: Effect::Reads,
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        let limit = format!("--limit={}", within("limit", self.limit, 1, MOST_LISTED)?);
        let list = self.list.map(|list| match list {
            LinkList::Broken => "--broken".into(),
            LinkList::Orphans => "--orphans".into(),
            LinkList::Ambiguous => "--ambiguous".into(),
            LinkList::ByName => "--by-name".into(),
        });
        let words = words(["links", "--json", &limit]).chain(list).chain([database.path()?.into()]).collect();
        Ok(WorkerOrder::reading(words, SQL_DEADLINE))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    /// Only this run, with its failed files: its name, or the beginning of it.
    run: Option<String>,
    /// How many runs at most, the newest (1 to 100).
    #[serde(default = "usually_listed")]
    limit: u64,
}

impl ToolCall for Runs {
    const ABOUT: About = About {
        name: "runs",
        title: "Ingestions",
        does: "List past and present ingestions into the database, with counts and failed files.",
        output: &["runs"],
        origin: TextOrigin::Observed,
        takes_database: true,
        effect: Effect::Reads,
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        let limit = format!("--limit={}", within("limit", self.limit, 1, MOST_LISTED)?);
        let path = database.path()?.into();
        let options = ["--".into(), path].into_iter().chain(self.run.map(OsString::from));
        let words = words(["runs", "--json", &limit]).chain(options).collect();
        Ok(WorkerOrder::reading(words, SAMPLE_DEADLINE))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stats {}

impl ToolCall for Stats {
    const ABOUT: About = About {
        name: "stats",
        title: "Content and size",
        does: "Count the documents and links of the database, and the space that it takes.",
        output: &["stats"],
        origin: TextOrigin::Observed,
        takes_database: true,
        effect: Effect::Reads,
    };

    fn order(self, database: &NamedDatabase<'_>) -> Ordered {
        let words = words(["stats", "--json"]).chain([database.path()?.into()]).collect();
        Ok(WorkerOrder::reading(words, SQL_DEADLINE))
    }
}
