//! What the bytes of the main file, the log, the index and the journal say about each other.

use std::{fmt, path::PathBuf};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the bytes of the files of one database prove.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ContentEvidence {
    /// The state of page 1; `None` where the main file could not be read.
    #[serde(default)]
    pub first_page: Option<FirstPage>,
    /// Whether the log is one of this main file; `None` while a process uses either, or where there is no committed
    /// frame.
    #[serde(default)]
    pub log_belongs: Option<LogBelongs>,
    /// What the main file lacks that the index, the log or its own header promise.
    #[serde(default)]
    pub contradiction: Option<Contradiction>,
    /// A `-journal` that the next program that opens the database rolls back.
    #[serde(default)]
    pub hot_journal: Option<HotJournal>,
}

/// Page 1 of the main file.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FirstPage {
    pub state: FirstPageState,
    /// Bytes per page, where the log, the index or the other pages tell; `None` where page 1 is good.
    pub page_size: Option<u32>,
    /// Whether `-shm` holds a header with a valid checksum; `None` where page 1 is good.
    pub index_is_valid: Option<bool>,
    /// How many of the pages that were read are b-tree pages in plain text; `None` where page 1 is good.
    pub plain_pages: Option<u32>,
    /// Whether the log holds a good copy of page 1; `None` where page 1 is good, or the log could not be read whole.
    pub log_has_it: Option<bool>,
}

/// What the first bytes of a main file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstPageState {
    /// A header of a database.
    Good,
    /// No byte: SQLite takes the file for a new database.
    Empty,
    /// No header, though the other pages or the log are those of a database in plain text.
    Damaged,
    /// No header, and nothing in plain text: bytes as encryption makes them.
    Encrypted,
    /// No header, and nothing that speaks for a database.
    NotADatabase,
}

/// Whether a log is one of the main file beside it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LogBelongs {
    pub verdict: LogVerdict,
    /// Committed frames of the log.
    pub frames: u32,
    /// When the main file was last written.
    pub main_written_at: Option<Timestamp>,
    /// When the main file was made; `None` where its file system does not keep that.
    pub main_born_at: Option<Timestamp>,
    /// When the log was last written.
    pub log_written_at: Option<Timestamp>,
}

/// What was found of a log and a main file that no process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogVerdict {
    /// The main file holds pages of this log as a checkpoint writes them.
    Belongs,
    /// It is older than the log's last write, as before a first checkpoint.
    MainIsOlder,
    /// It holds none of its pages, and was written or made after the log's last write.
    Doubtful,
}

/// A proof that the main file is not the one that its log, index or header is about, or is cut short.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Contradiction {
    pub kind: ContradictionKind,
    /// The first page that is missing or wrong; `None` where the page counts differ.
    pub page: Option<u32>,
    /// Pages that the database has by the index, or by the header where no process has the index open.
    pub pages_promised: u32,
    /// Whole pages in the main file.
    pub pages_in_file: u32,
    /// Pages by the header of the main file; `None` where it has no valid count.
    pub pages_by_header: Option<u32>,
    /// Whether the index was read; otherwise the header of the main file is the promise.
    pub by_index: bool,
}

/// What a main file contradicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContradictionKind {
    /// A page lies neither inside the main file nor in the log.
    MissingPage,
    /// Every frame was moved, and the header counts other pages than the index.
    PageCount,
    /// A page that was moved from the log differs from its frame.
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

/// A rollback journal of a transaction that a crash has cut off.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct HotJournal {
    #[serde(serialize_with = "super::lossy_path")]
    pub path: PathBuf,
    pub bytes: u64,
    /// When it was last written.
    pub modified_at: Option<Timestamp>,
    /// The super-journal that it names, which exists; `None` where the transaction was on this database alone.
    pub super_journal: Option<String>,
}

impl ContentEvidence {
    /// Whether page 1 is damaged.
    pub fn is_damaged(&self) -> bool {
        self.first_page.as_ref().is_some_and(|page| page.state == FirstPageState::Damaged)
    }

    /// The log and the main file, where it is doubtful that they belong together.
    pub fn doubtful_log(&self) -> Option<&LogBelongs> {
        self.log_belongs.as_ref().filter(|it| it.verdict == LogVerdict::Doubtful)
    }
}
