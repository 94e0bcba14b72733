//! Which log and index a process uses, compared with those beside the database's path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What proves, or disproves, that a process uses the main file, the log and the index that the path leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PairingFacts {
    /// Whether it holds a lock that overlaps the SHARED bytes of the main file, as every connection in WAL mode does.
    pub holds_main: bool,
    /// Whether it only reads files, as a backup does: every descriptor is read-only, it maps no `-shm` and holds no lock.
    /// `None` where its descriptors or its mappings cannot be read.
    pub only_reads_files: Option<bool>,
    /// Whether a descriptor of it on the current `-wal` is open for writing.
    pub writes_log: bool,
    /// Logs and indexes that belong to another name of the main file, as the kernel names them.
    pub other_log: Vec<String>,
    /// The same by device and inode: a log that is made again has the name of the one before.
    #[serde(skip)]
    pub other_files: Vec<String>,
    /// Files of an older generation that it has open for nothing but reading.
    pub outdated: Vec<String>,
    /// A related process that maps `-shm` at the same address: a fork gave one the connection of the other.
    pub inherited_from: Option<i32>,
    /// Whether it closed its descriptors on the main file or on `-shm` while it was sampled. What was read of it before and
    /// after that does not go together.
    #[serde(skip)]
    pub has_closed: bool,
    /// The lowest address where it maps `-shm`; `None` where it does not, or that cannot be read.
    #[serde(skip)]
    pub index_address: Option<u64>,
}
