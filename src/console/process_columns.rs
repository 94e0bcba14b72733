//! The columns of the process table in screen order: heading, width, cell and sort order of each.

use std::cmp::Ordering;

use jiff::Timestamp;

use crate::{
    snapshot::{Database, LockHold, LogReader, Process},
    units,
};

#[derive(Debug)]
pub struct ProcessColumn {
    pub heading: &'static str,
    pub width: ColumnWidth,
    /// Whether a narrow panel omits it.
    pub is_optional: bool,
    pub cell: fn(CellInput<'_>) -> ProcessCell,
    pub sort: Option<SortOrder>,
}

/// Cells of the terminal, including the gap to the next column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnWidth {
    Left(usize),
    Right(usize),
    /// The width that the other columns leave.
    Rest,
}

#[derive(Debug)]
pub struct SortOrder {
    /// The position in the cycle of the sort key; 0 is the initial order.
    turn: usize,
    compare: fn(&Process, &Process) -> Ordering,
}

#[derive(Debug, Clone, Copy)]
pub struct CellInput<'a> {
    pub database: &'a Database,
    pub process: &'a Process,
    pub now: Timestamp,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct ProcessCell {
    pub text: String,
    pub tone: CellTone,
    /// Text that must not be cut off. It is at the right, in the style of a danger.
    pub tags: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum CellTone {
    #[default]
    Plain,
    Muted,
    Warning,
}

pub static PROCESS_COLUMNS: [ProcessColumn; 7] = [
    ProcessColumn {
        heading: "PID",
        width: ColumnWidth::Right(8),
        is_optional: false,
        cell: |it| plain(it.process.pid.to_string()),
        sort: Some(SortOrder { turn: 4, compare: |_, _| Ordering::Equal }),
    },
    ProcessColumn {
        heading: "AGE",
        width: ColumnWidth::Right(10),
        is_optional: false,
        cell: |it| known(age(it.process, it.now)),
        // Oldest first: the only order in which rows do not move while the user reads them.
        sort: Some(SortOrder { turn: 0, compare: |a, b| a.start_ticks.cmp(&b.start_ticks) }),
    },
    ProcessColumn {
        heading: "CPU",
        width: ColumnWidth::Right(7),
        is_optional: false,
        cell: |it| known(it.process.cpu_percent.map(|cpu| format!("{cpu:.1}%"))),
        sort: Some(SortOrder {
            turn: 2,
            compare: |a, b| b.cpu_percent.unwrap_or(-1.0).total_cmp(&a.cpu_percent.unwrap_or(-1.0)),
        }),
    },
    ProcessColumn {
        heading: "MEM",
        width: ColumnWidth::Right(9),
        is_optional: true,
        cell: |it| known(it.process.memory_bytes.map(units::bytes)),
        sort: Some(SortOrder { turn: 3, compare: |a, b| b.memory_bytes.cmp(&a.memory_bytes) }),
    },
    ProcessColumn {
        heading: "FILES",
        width: ColumnWidth::Left(10),
        is_optional: true,
        cell: |it| known(files(it.process)),
        sort: None,
    },
    ProcessColumn {
        heading: "LOCKS",
        width: ColumnWidth::Left(11),
        is_optional: false,
        cell: |it| ProcessCell {
            text: main_lock(it.database, it.process),
            tone: if it.process.holds.is_empty() { CellTone::Muted } else { CellTone::Warning },
            ..ProcessCell::default()
        },
        sort: Some(SortOrder { turn: 1, compare: by_lock }),
    },
    ProcessColumn {
        heading: "COMMAND",
        width: ColumnWidth::Rest,
        is_optional: false,
        cell: |it| ProcessCell { tags: tags(it.process), ..plain(short_command(it.process)) },
        sort: Some(SortOrder { turn: 5, compare: |a, b| a.command_line().cmp(&b.command_line()) }),
    },
];

impl ProcessColumn {
    /// The column at `turn` in the cycle of the sort key.
    pub fn of_turn(turn: usize) -> &'static Self {
        let sortable = || PROCESS_COLUMNS.iter().filter_map(|it| Some((it.sort.as_ref()?.turn, it)));
        let turn = turn % sortable().count();
        sortable().find(|(its, _)| *its == turn).map_or(&PROCESS_COLUMNS[0], |(_, column)| column)
    }

    pub fn next_sort(&self) -> &'static Self {
        Self::of_turn(self.sort.as_ref().map_or(0, |sort| sort.turn + 1))
    }

    /// Processes that are equal in the column are sorted by PID.
    pub fn compare(&self, a: &Process, b: &Process) -> Ordering {
        let order = self.sort.as_ref().map_or(Ordering::Equal, |sort| (sort.compare)(a, b));
        order.then(a.pid.cmp(&b.pid))
    }
}

/// How long `process` has been running; `None` if its start is unknown.
pub fn age(process: &Process, now: Timestamp) -> Option<String> {
    let started = process.started_at?;
    Some(units::duration((now.duration_since(started).as_secs_f64() * 1e3).max(0.0)))
}

fn plain(text: String) -> ProcessCell {
    ProcessCell { text, ..ProcessCell::default() }
}

fn known(text: Option<String>) -> ProcessCell {
    plain(text.unwrap_or_else(|| "?".to_owned()))
}

// A write lock sorts before a read lock, and any lock before no lock.
fn by_lock(a: &Process, b: &Process) -> Ordering {
    match (a.holds.iter().min(), b.holds.iter().min()) {
        (Some(a), Some(b)) => a.cmp(b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn tags(process: &Process) -> String {
    let mut tags = Vec::new();
    if process.is_stopped() {
        tags.push("STOPPED");
    } else if !process.replaced.is_empty() {
        tags.push("SPLIT");
    }
    if process.is_stale() {
        tags.push("STALE");
    }
    tags.join(" ")
}

fn files(process: &Process) -> Option<String> {
    let handles = process.handles?;
    let mut parts = Vec::new();
    if handles.db > 0 {
        parts.push(if handles.db == 1 { "db".to_owned() } else { format!("db×{}", handles.db) });
    }
    if process.read_only == Some(true) {
        parts.push("ro".to_owned());
    }
    if handles.wal > 0 {
        parts.push("wal".to_owned());
    }
    if process.maps_database == Some(true) {
        parts.push("map".to_owned());
    }
    Some(if parts.is_empty() { "–".to_owned() } else { parts.join(" ") })
}

/// The command line without the folder of the program, behind the label of the process unless it starts with that.
fn short_command(process: &Process) -> String {
    let line = process.command_line();
    let Some(program) = process.command.first() else { return line };
    let folder = program.rfind('/').map_or(0, |slash| slash + 1);
    let line = &line[folder..];
    if line.starts_with(&process.label) { line.to_owned() } else { format!("{}: {line}", process.label) }
}

/// The lock of `process` that affects other processes most.
fn main_lock(database: &Database, process: &Process) -> String {
    process.holds.iter().min().map_or_else(|| "–".to_owned(), |&hold| word(database, process, hold))
}

/// The locks of `process`, those that block other processes first.
pub fn locks(database: &Database, process: &Process) -> String {
    let mut holds = process.holds.clone();
    holds.sort();
    let words: Vec<String> = holds.into_iter().map(|hold| word(database, process, hold)).collect();
    if words.is_empty() { "–".to_owned() } else { words.join(" ") }
}

fn word(database: &Database, process: &Process, hold: LockHold) -> String {
    match hold {
        LockHold::Write => "WRITE".to_owned(),
        LockHold::Checkpoint => "CKPT".to_owned(),
        LockHold::Recover => "RECOVER".to_owned(),
        LockHold::Reserved => "RESERVED".to_owned(),
        LockHold::Pending => "PENDING".to_owned(),
        LockHold::Exclusive => "EXCLUSIVE".to_owned(),
        LockHold::Shared => "read".to_owned(),
        LockHold::Read(slot) => {
            let mine = |it: &&LogReader| it.pid == Some(process.pid) && it.slot == Some(slot);
            match database.locks.readers.iter().find(mine).and_then(|reader| reader.frame) {
                Some(frame) => format!("read@{frame}"),
                None => format!("read:{slot}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sort_key_comes_to_every_column_that_has_an_order_once() {
        let sortable = PROCESS_COLUMNS.iter().filter(|column| column.sort.is_some()).count();
        let mut column = ProcessColumn::of_turn(0);
        let mut headings = Vec::new();
        for _ in 0..sortable {
            headings.push(column.heading);
            column = column.next_sort();
        }
        assert_eq!(headings, ["AGE", "LOCKS", "CPU", "MEM", "PID", "COMMAND"]);
        assert_eq!(column.heading, "AGE");
    }
}
