//! What happened between the looks: lock holds and WAL growth, in ring buffers of bounded size.

/// What a console draws beside a snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trend {
    /// Growth of `-wal` in bytes a second over the last few looks; `None` until there are two.
    pub wal_bytes_per_second: Option<f64>,
    /// Who held the write lock when, one lane for each process that did, most time first.
    pub lanes: Vec<Lane>,
}

/// One process's holds of the write lock over the last minute.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// `None`: a process that cannot be seen from here.
    pub pid: Option<i32>,
    /// Its short name, as last seen.
    pub name: String,
    /// Share of each slice of time in which it held the lock, 0 to 1, oldest first; [`Lane::CELLS`] of them.
    pub cells: Vec<f32>,
}

impl Lane {
    /// Slices in a lane, of one second each.
    pub const CELLS: usize = 60;
}
