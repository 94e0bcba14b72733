//! What the content of the main file, the log, the index and the journal proves about each other.

use std::{fmt, path::PathBuf};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the content of the files of one database proves.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ContentEvidence {
    /// The state of page 1; `None` if the main file could not be read.
    #[serde(default)]
    pub first_page: Option<FirstPage>,
    /// Whether the log belongs to this main file; `None` while a process uses either, or without a committed frame.
    #[serde(default)]
    pub log_belongs: Option<LogBelongs>,
    /// What the main file lacks according to the index, the log or its own header.
    #[serde(default)]
    pub contradiction: Option<Contradiction>,
    /// A `-journal` that the next program that opens the database rolls back.
    #[serde(default)]
    pub hot_journal: Option<HotJournal>,
    /// Whether `-journal` begins as that of a transaction does, which still runs or was cut off. A journal that is kept
    /// between transactions has no such beginning.
    #[serde(default)]
    pub journal_in_use: bool,
}

/// Page 1 of the main file.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FirstPage {
    pub state: FirstPageState,
    /// Bytes per page, if the log, the index or the other pages show it; `None` if page 1 is good.
    pub page_size: Option<u32>,
    /// Whether `-shm` has a header with a valid checksum; `None` if page 1 is good.
    pub index_is_valid: Option<bool>,
    /// How many of the pages read are unencrypted b-tree pages; `None` if page 1 is good.
    pub plain_pages: Option<u32>,
    /// Whether the log has a good copy of page 1; `None` if page 1 is good, or the log could not be read completely.
    pub log_has_it: Option<bool>,
}

/// The meaning of the first bytes of a main file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstPageState {
    /// A database header.
    Good,
    /// No byte: SQLite treats the file as a new database.
    Empty,
    /// No header, although the other pages or the log belong to an unencrypted database.
    Damaged,
    /// No header, and nothing unencrypted: random-looking bytes, as encryption produces them.
    Encrypted,
    /// No header, and no sign of a database.
    NotADatabase,
}

/// Whether a log belongs to the main file beside it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LogBelongs {
    pub verdict: LogVerdict,
    /// Committed frames of the log.
    pub frames: u32,
    /// When the main file was last written.
    pub main_written_at: Option<Timestamp>,
    /// When the main file was created; `None` if its file system does not record that.
    pub main_born_at: Option<Timestamp>,
    /// When the log was last written.
    pub log_written_at: Option<Timestamp>,
}

/// The verdict on a log and a main file that no process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogVerdict {
    /// The main file has pages of this log, as a checkpoint writes them.
    Belongs,
    /// It is older than the log's last write, as before a first checkpoint.
    MainIsOlder,
    /// It has none of the log's pages, and was written or created after the log's last write.
    Doubtful,
}

/// Proof that the main file does not belong to its log, index or header, or is truncated.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Contradiction {
    pub kind: ContradictionKind,
    /// The first missing or wrong page; `None` if the page counts differ.
    pub page: Option<u32>,
    /// Pages of the database according to the index, or to the header if no process has the index open.
    pub pages_promised: u32,
    /// Whole pages in the main file.
    pub pages_in_file: u32,
    /// Pages according to the header of the main file; `None` if it has no valid count.
    pub pages_by_header: Option<u32>,
    /// Whether the expected page count comes from the index; otherwise it comes from the main file's header.
    pub by_index: bool,
}

/// The kind of a contradiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContradictionKind {
    /// A page is neither in the main file nor in the log.
    MissingPage,
    /// Every frame was checkpointed, and the header's page count differs from the index's.
    PageCount,
    /// A page that was checkpointed differs from its frame in the log.
    OtherContent,
}

impl fmt::Display for ContradictionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingPage => "missing-page",
            Self::PageCount => "page-count",
            Self::OtherContent => "other-content",
        })
    }
}

/// The rollback journal of a transaction that a crash interrupted.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct HotJournal {
    #[serde(serialize_with = "super::lossy_path")]
    pub path: PathBuf,
    pub bytes: u64,
    /// When it was last written.
    pub modified_at: Option<Timestamp>,
    /// The super-journal that it names, if it exists; `None` if the transaction was on this database alone.
    pub super_journal: Option<String>,
}

impl ContentEvidence {
    pub fn is_damaged(&self) -> bool {
        self.first_page.as_ref().is_some_and(|page| page.state == FirstPageState::Damaged)
    }

    /// Whether nothing of the main file is in plain text, and it is, or looks like, a database.
    pub fn is_encrypted(&self) -> bool {
        self.first_page.as_ref().is_some_and(|page| page.state == FirstPageState::Encrypted)
    }

    /// The log and the main file, if they may not belong together.
    pub fn doubtful_log(&self) -> Option<&LogBelongs> {
        self.log_belongs.as_ref().filter(|it| it.verdict == LogVerdict::Doubtful)
    }
}
