//! The columns of the process table in screen order: heading, width, cell and sort order of each.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::app::TableRow;
use crate::{
    snapshot::{Database, LockHold, LockHolder, LockWait, LogReader, Process, ProcessState},
    units,
};

#[derive(Debug)]
pub struct ProcessColumn {
    pub heading: &'static str,
    pub width: ColumnWidth,
    /// The minimum width of the table that shows it.
    pub from: u16,
    pub cell: fn(CellInput<'_>) -> ProcessCell,
    pub sort: Option<SortOrder>,
}

/// Cells of the terminal, including the gap to the next column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnWidth {
    Left(usize),
    Right(usize),
    /// A share of the width that the other columns leave.
    Rest,
    /// The last minute as a strip, in the rest of the width.
    Strip,
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
    pub row: TableRow<'a>,
    pub now: Timestamp,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct ProcessCell {
    pub text: String,
    pub tone: CellTone,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum CellTone {
    #[default]
    Plain,
    Muted,
    Warning,
    Danger,
}

pub static PROCESS_COLUMNS: [ProcessColumn; 10] = [
    ProcessColumn {
        heading: "PID",
        width: ColumnWidth::Right(8),
        from: 0,
        cell: |it| plain(it.row.pid().map_or_else(|| "?".to_owned(), |pid| pid.to_string())),
        sort: Some(SortOrder { turn: 4, compare: |_, _| Ordering::Equal }),
    },
    ProcessColumn {
        heading: "NAME",
        width: ColumnWidth::Left(13),
        from: 0,
        cell: |it| match it.row {
            TableRow::Process(process) => plain(name(process)),
            TableRow::Holder(_) => ProcessCell { text: "not visible".to_owned(), tone: CellTone::Muted },
        },
        sort: None,
    },
    ProcessColumn {
        heading: "LOCK",
        width: ColumnWidth::Left(12),
        from: 0,
        cell: lock_cell,
        sort: Some(SortOrder { turn: 1, compare: by_lock }),
    },
    ProcessColumn {
        heading: "FOR",
        width: ColumnWidth::Right(10),
        from: 0,
        cell: |it| plain(held_ms(it.database, it.row).map(units::duration).unwrap_or_default()),
        sort: None,
    },
    ProcessColumn {
        heading: "CPU",
        width: ColumnWidth::Right(6),
        from: 60,
        cell: |it| of_process(it, |it| it.cpu_percent.map(|cpu| format!("{cpu:.0}%"))),
        sort: Some(SortOrder {
            turn: 2,
            compare: |a, b| b.cpu_percent.unwrap_or(-1.0).total_cmp(&a.cpu_percent.unwrap_or(-1.0)),
        }),
    },
    ProcessColumn {
        heading: "AGE",
        width: ColumnWidth::Right(10),
        from: 84,
        cell: |it| of_process(it, |process| age(process, it.now)),
        // Oldest first: the only order in which rows do not move while the user reads them.
        sort: Some(SortOrder { turn: 0, compare: |a, b| a.start_ticks.cmp(&b.start_ticks) }),
    },
    ProcessColumn {
        heading: "MEM",
        width: ColumnWidth::Right(9),
        from: 150,
        cell: |it| of_process(it, |process| process.memory_bytes.map(units::bytes)),
        sort: Some(SortOrder { turn: 3, compare: |a, b| b.memory_bytes.cmp(&a.memory_bytes) }),
    },
    ProcessColumn {
        heading: "FILES",
        width: ColumnWidth::Left(11),
        from: 150,
        cell: |it| of_process(it, files),
        sort: None,
    },
    ProcessColumn {
        heading: "LAST MINUTE",
        width: ColumnWidth::Strip,
        from: 0,
        cell: |it| ProcessCell {
            text: it.row.process().map(tags).unwrap_or_default(),
            tone: CellTone::Danger,
        },
        sort: None,
    },
    ProcessColumn {
        heading: "COMMAND",
        width: ColumnWidth::Rest,
        from: 96,
        cell: |it| plain(it.row.process().map(short_command).unwrap_or_default()),
        sort: Some(SortOrder { turn: 5, compare: |a, b| a.command_line().cmp(&b.command_line()) }),
    },
];

/// The name of a process, for the NAME column.
pub fn name(process: &Process) -> String {
    process.label.clone()
}

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

fn of_process(input: CellInput<'_>, text: impl Fn(&Process) -> Option<String>) -> ProcessCell {
    plain(
        input
            .row
            .process()
            .map(|process| text(process).unwrap_or_else(|| "?".to_owned()))
            .unwrap_or_default(),
    )
}

fn lock_cell(input: CellInput<'_>) -> ProcessCell {
    let text = match input.row {
        TableRow::Process(process) if process.holds.is_empty() => {
            let text = wait(input.database, process.pid).to_owned();
            return ProcessCell { text, tone: CellTone::Muted };
        }
        TableRow::Process(process) => main_lock(input.database, process),
        TableRow::Holder(holder) => word(input.database, holder.pid, holder.hold(&input.database.locks)),
    };
    ProcessCell { text, tone: CellTone::Warning }
}

/// How long the lock that the row shows has been held, in ms, as far as it was observed.
pub fn held_ms(database: &Database, row: TableRow<'_>) -> Option<f64> {
    let locks = &database.locks;
    let process = match row {
        TableRow::Process(process) => process,
        TableRow::Holder(holder) => return holder.held_ms(locks),
    };
    let one = |holder: &Option<LockHolder>| holder.as_ref().filter(|it| it.pid == Some(process.pid))?.held_ms;
    let read = |slot: Option<u8>| {
        let mine = |it: &&LogReader| it.pid == Some(process.pid) && it.slot == slot;
        locks.readers.iter().find(mine)?.held_ms
    };
    match process.holds.iter().min()? {
        LockHold::Write | LockHold::Reserved | LockHold::Pending => one(&locks.writer),
        LockHold::Checkpoint => one(&locks.checkpointer),
        LockHold::Recover => one(&locks.recoverer),
        LockHold::Exclusive => one(&locks.exclusive),
        LockHold::Read(slot) => read(Some(*slot)),
        LockHold::Shared => read(None),
    }
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
    if process.state == ProcessState::Frozen {
        tags.push("FROZEN");
    } else if process.is_stopped() {
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

/// The command line without the folder of the program.
fn short_command(process: &Process) -> String {
    let line = process.command_line();
    let Some(program) = process.command.first() else { return line };
    let folder = program.rfind('/').map_or(0, |slash| slash + 1);
    line[folder..].to_owned()
}

/// The lock of `process` that affects other processes most.
fn main_lock(database: &Database, process: &Process) -> String {
    process.holds.iter().min().map_or_else(String::new, |&hold| word(database, Some(process.pid), hold))
}

/// The locks of `process`, those that block other processes first; of one without any, whether it waits for the write
/// lock.
pub fn locks(database: &Database, process: &Process) -> String {
    let mut holds = process.holds.clone();
    holds.sort();
    let words: Vec<String> = holds.into_iter().map(|hold| word(database, Some(process.pid), hold)).collect();
    if words.is_empty() { wait(database, process.pid).to_owned() } else { words.join(" ") }
}

/// The same as a clause, for a sentence about what a stop costs.
pub fn held_locks(database: &Database, process: &Process) -> String {
    match database.locks.wait_of(process.pid) {
        _ if !process.holds.is_empty() => format!("locks held: {}", locks(database, process)),
        Some(LockWait::Certain) => "locks held: none; it waits for the write lock".to_owned(),
        Some(LockWait::Possible) => "locks held: none; it may wait for the write lock".to_owned(),
        None => "locks held: none".to_owned(),
    }
}

fn wait(database: &Database, pid: i32) -> &'static str {
    match database.locks.wait_of(pid) {
        Some(LockWait::Certain) => "waits",
        Some(LockWait::Possible) => "may wait",
        None => "–",
    }
}

fn word(database: &Database, pid: Option<i32>, hold: LockHold) -> String {
    match hold {
        LockHold::Write => "WRITE".to_owned(),
        LockHold::Checkpoint => "CKPT".to_owned(),
        LockHold::Recover => "RECOVER".to_owned(),
        LockHold::Reserved => "RESERVED".to_owned(),
        LockHold::Pending => "PENDING".to_owned(),
        LockHold::Exclusive => "EXCLUSIVE".to_owned(),
        LockHold::Shared => "read".to_owned(),
        LockHold::Read(slot) => {
            let mine = |it: &&LogReader| it.pid == pid && it.slot == Some(slot);
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
    use crate::{
        diagnose::fixture::{READER, live},
        snapshot::{PossibleWaiter, RefusalReason, RefusedWriter, WaiterEvidence, WriterRefusals},
    };

    #[test]
    fn one_without_a_lock_shows_that_it_waits_or_may_wait() {
        let mut database = live();
        for process in &mut database.processes {
            process.holds.clear();
        }
        let shown = |database: &Database| locks(database, database.process(READER).expect("it is there"));
        assert_eq!(shown(&database), "–");
        database.locks.possible_waiters = vec![PossibleWaiter {
            pid: READER,
            holder: None,
            samples: 10,
            asleep: 10,
            span_ms: 1000.0,
            evidence: WaiterEvidence::HandlerSleep { sleep_ms: 100 },
        }];
        assert_eq!(shown(&database), "may wait");
        let waiting = RefusedWriter {
            pid: READER,
            thread: READER,
            holder: None,
            waits: 1,
            tries: 2,
            gave_up: 0,
            longest_ms: 300.0,
            total_ms: 300.0,
            waiting_ms: Some(300.0),
            reason: RefusalReason::Waited,
        };
        database.locks.refusals = Some(WriterRefusals { window_ms: 60_000.0, victims: vec![waiting] });
        assert_eq!(shown(&database), "waits");
    }

    #[test]
    fn the_sort_key_comes_to_every_column_that_has_an_order_once() {
        let sortable = PROCESS_COLUMNS.iter().filter(|column| column.sort.is_some()).count();
        let mut column = ProcessColumn::of_turn(0);
        let mut headings = Vec::new();
        for _ in 0..sortable {
            headings.push(column.heading);
            column = column.next_sort();
        }
        assert_eq!(headings, ["AGE", "LOCK", "CPU", "MEM", "PID", "COMMAND"]);
        assert_eq!(column.heading, "AGE");
    }
}
