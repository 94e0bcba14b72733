//! The rows of the table of locks and processes, and those of the pragmas. Their order is decided here; a view only draws
//! them.

use std::cmp::Reverse;

use crate::{
    console::process_columns::ProcessColumn,
    keymap::Panel,
    snapshot::{DatabaseLocks, LockHold, PragmaRow, Process, Severity},
};

use super::{App, FilterTarget};

/// The order of the processes in the table.
#[derive(Debug, Clone, Copy)]
pub struct TableOrder {
    pub column: &'static ProcessColumn,
    pub is_inverted: bool,
    /// Whether children stand below their parents.
    pub is_tree: bool,
}

impl Default for TableOrder {
    fn default() -> Self {
        Self { column: ProcessColumn::of_turn(0), is_inverted: false, is_tree: false }
    }
}

/// A row of the table of locks and processes.
#[derive(Debug, Clone, Copy)]
pub enum TableRow<'a> {
    Process(&'a Process),
    /// A lock whose holder is not in the list of processes.
    Holder(HolderRow),
}

/// A lock whose holder is not in the list of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HolderRow {
    pub lock: HolderLock,
    /// `None` if the process is not visible from this namespace.
    pub pid: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderLock {
    Write,
    Checkpoint,
    Recovery,
    WholeFile,
    /// A read lock, by its index in the list of readers.
    Read(usize),
}

/// A pragma with its values, one for each owner.
#[derive(Debug, Clone)]
pub struct PragmaLine<'a> {
    pub name: &'a str,
    pub rows: Vec<&'a PragmaRow>,
}

impl<'a> TableRow<'a> {
    pub fn process(self) -> Option<&'a Process> {
        if let Self::Process(process) = self { Some(process) } else { None }
    }

    pub fn pid(self) -> Option<i32> {
        match self {
            Self::Process(process) => Some(process.pid),
            Self::Holder(holder) => holder.pid,
        }
    }
}

impl HolderRow {
    /// How long the lock has been held, in ms, as far as it was observed.
    pub fn held_ms(self, locks: &DatabaseLocks) -> Option<f64> {
        let holder = match self.lock {
            HolderLock::Write => &locks.writer,
            HolderLock::Checkpoint => &locks.checkpointer,
            HolderLock::Recovery => &locks.recoverer,
            HolderLock::WholeFile => &locks.exclusive,
            HolderLock::Read(at) => return locks.readers.get(at)?.held_ms,
        };
        holder.as_ref()?.held_ms
    }

    pub fn hold(self, locks: &DatabaseLocks) -> LockHold {
        match self.lock {
            HolderLock::Write => LockHold::Write,
            HolderLock::Checkpoint => LockHold::Checkpoint,
            HolderLock::Recovery => LockHold::Recover,
            HolderLock::WholeFile => LockHold::Exclusive,
            HolderLock::Read(at) => {
                locks.readers.get(at).and_then(|it| it.slot).map_or(LockHold::Shared, LockHold::Read)
            }
        }
    }
}

impl PragmaLine<'_> {
    /// Whether every owner complies; `None` if no owner is checked.
    pub fn ok(&self) -> Option<bool> {
        let mut checked = self.rows.iter().filter_map(|row| row.ok).peekable();
        checked.peek()?;
        Some(checked.all(|ok| ok))
    }

    pub fn expected(&self) -> Option<&str> {
        self.rows.iter().find_map(|row| row.expected.as_deref())
    }

    /// The process that its values name, if they name one alone.
    pub fn pid(&self) -> Option<i32> {
        let mut pids = self.rows.iter().filter_map(|row| row.pid);
        let first = pids.next()?;
        pids.all(|pid| pid == first).then_some(first)
    }
}

impl App {
    /// The processes that match the filter, in the chosen order, then the locks whose holder is not among all processes.
    pub fn table_rows(&self) -> Vec<TableRow<'_>> {
        let processes = self.visible_processes().into_iter().map(TableRow::Process);
        processes.chain(self.holder_rows().into_iter().map(TableRow::Holder)).collect()
    }

    /// The selected row of the table.
    pub fn selected_table_row(&self) -> Option<TableRow<'_>> {
        if !self.has_selected_row() {
            return None;
        }
        self.table_rows().get(self.selected_row(Panel::Processes)).copied()
    }

    fn holder_rows(&self) -> Vec<HolderRow> {
        let Some(database) = self.database() else { return Vec::new() };
        let locks = &database.locks;
        let one = [
            (HolderLock::Write, &locks.writer),
            (HolderLock::Checkpoint, &locks.checkpointer),
            (HolderLock::Recovery, &locks.recoverer),
            (HolderLock::WholeFile, &locks.exclusive),
        ];
        let one = one
            .into_iter()
            .filter_map(|(lock, holder)| holder.as_ref().map(|holder| HolderRow { lock, pid: holder.pid }));
        let readers = locks.readers.iter().enumerate();
        let readers = readers.map(|(at, reader)| HolderRow { lock: HolderLock::Read(at), pid: reader.pid });
        let is_hidden = |row: &HolderRow| row.pid.is_none_or(|pid| database.process(pid).is_none());
        let passes = |row: &HolderRow| {
            self.passes(FilterTarget::Processes, || {
                let pid = row.pid.map_or_else(|| "not visible".to_owned(), |pid| pid.to_string());
                format!("{pid} {}", row.hold(locks))
            })
        };
        one.chain(readers).filter(is_hidden).filter(passes).collect()
    }

    /// The pragmas, those that do not comply first, then those that the profile checks.
    pub fn pragma_lines(&self) -> Vec<PragmaLine<'_>> {
        let Some(database) = self.database() else { return Vec::new() };
        let mut lines: Vec<PragmaLine<'_>> = Vec::new();
        for row in &database.pragmas.rows {
            match lines.iter_mut().find(|line| line.name == row.name) {
                Some(line) => line.rows.push(row),
                None => lines.push(PragmaLine { name: &row.name, rows: vec![row] }),
            }
        }
        lines.sort_by_key(|line| (line.ok().unwrap_or(true), Reverse(line.expected().is_some())));
        lines
    }

    /// The selected pragma.
    pub fn selected_pragma(&self) -> Option<PragmaLine<'_>> {
        let row = self.selected_row(Panel::Pragmas);
        self.pragma_lines().into_iter().nth(row)
    }

    /// The worst severity of the findings about the process `pid`.
    pub fn severity_of(&self, pid: i32) -> Option<Severity> {
        let findings = self.database()?.findings.iter().filter(|finding| finding.pid == Some(pid));
        findings.map(|finding| finding.severity).max()
    }
}
