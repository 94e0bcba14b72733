//! Which log and index a process uses, compared with those beside the database's path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What proves, or disproves, that a process uses the main file, log and index of the path.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct PairingFacts {
    /// Whether it holds a lock that overlaps the SHARED bytes of the main file, as every connection in WAL mode does.
    pub holds_main: bool,
    /// Whether it only reads files, as a backup does: every descriptor is read-only, it maps no `-shm` and holds no
    /// lock. `None` if its descriptors or its mappings cannot be read.
    pub only_reads_files: Option<bool>,
    /// Whether a descriptor of it on the current `-wal` is open for writing.
    pub writes_log: bool,
    /// Logs and indexes that belong to another name of the main file, as the kernel names them.
    pub other_log: Vec<String>,
    /// The same by device and inode: a recreated log has the name of the previous one.
    #[serde(skip)]
    pub other_files: Vec<String>,
    /// Files of an older generation that it has open read-only.
    pub outdated: Vec<String>,
    /// Whether a read-only descriptor of it on the main file has been read from the beginning on, as a program that copies
    /// the file does. SQLite names an offset with each read, which leaves the position at 0.
    #[serde(skip)]
    pub reads_in_order: bool,
    /// A related process that maps `-shm` at the same address: a fork copied the connection of one to the other.
    pub inherited_from: Option<i32>,
    /// Whether it closed descriptors on the main file or on `-shm` during the sample. What was read of it before and
    /// after that is inconsistent.
    #[serde(skip)]
    pub has_closed: bool,
    /// The lowest address where it maps `-shm`; `None` if it does not, or that cannot be read.
    #[serde(skip)]
    pub index_address: Option<u64>,
}
