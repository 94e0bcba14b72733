//! Panel 2: the processes that have the database open.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{boxed, empty, first_row, selected_line, theme::Theme};
use crate::{
    console::app::{App, SortColumn},
    keymap::Panel,
    snapshot::{Database, LockHold, LogReader, Process},
    text, units,
};

/// Below this width memory and files are left out.
const NARROW: u16 = 72;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let Some(database) = app.database() else {
        let inner = boxed(frame, area, app, theme, Panel::Processes, "Processes");
        return empty(frame, inner, theme, "looking…");
    };
    let inner = boxed(frame, area, app, theme, Panel::Processes, &title(app, database));
    let visible = app.visible_processes();
    if visible.is_empty() {
        let sentence = if !app.filter().is_empty() {
            "No process matches the filter: Esc clears it.".to_owned()
        } else if database.files.db.is_none() {
            super::absence(app, database)
        } else {
            "No process that can be seen from here has the database open.".to_owned()
        };
        return empty(frame, inner, theme, &sentence);
    }
    let columns = ColumnWidths::for_width(inner.width);
    let selected = app.selected_row(Panel::Processes);
    let first = first_row(selected, inner.height.saturating_sub(1));
    let mut lines = vec![Line::styled(columns.heading(app), theme.muted)];
    lines.extend(visible.iter().enumerate().skip(first).map(|(row, process)| {
        let line = columns.row(app, database, process, row == selected, theme);
        if row == selected && app.focus == Panel::Processes { selected_line(&line, theme) } else { line }
    }));
    frame.render_widget(Paragraph::new(lines), inner);
}

fn title(app: &App, database: &Database) -> String {
    let count = database.processes.len();
    let mut title = format!("Processes: {count} with the database open");
    let stopped = database.processes.iter().filter(|process| process.is_stopped()).count();
    let stale = database.processes.iter().filter(|process| process.is_stale()).count();
    if stale > 0 {
        title.push_str(&format!(", {stale} stale"));
    }
    if stopped > 0 {
        title.push_str(&format!(", {stopped} stopped"));
    }
    if !app.filter().is_empty() {
        title.push_str(&format!(", filter {}", text::fit(app.filter(), 20)));
    }
    title
}

/// Which columns there are, and how wide.
struct ColumnWidths {
    wide: bool,
    command: usize,
}

const PID: usize = 8;
const AGE: usize = 10;
const CPU: usize = 7;
const MEMORY: usize = 9;
const FILES: usize = 10;
const LOCKS: usize = 11;

impl ColumnWidths {
    fn for_width(width: u16) -> Self {
        let wide = width >= NARROW;
        let fixed = 2 + PID + AGE + CPU + LOCKS + if wide { MEMORY + FILES } else { 0 };
        Self { wide, command: usize::from(width).saturating_sub(fixed) }
    }

    fn heading(&self, app: &App) -> String {
        let mark = |column: SortColumn, name: &str| {
            if app.sort == column {
                format!("{name}{}", if app.inverted { "▴" } else { "▾" })
            } else {
                name.to_owned()
            }
        };
        let mut heading = format!(
            "  {:>7} {:>9} {:>6} ",
            mark(SortColumn::Pid, "PID"),
            mark(SortColumn::Age, "AGE"),
            mark(SortColumn::Cpu, "CPU")
        );
        if self.wide {
            heading.push_str(&format!("{:>8} {:<FILES$}", mark(SortColumn::Memory, "MEM"), "FILES"));
        }
        heading.push_str(&text::pad(&mark(SortColumn::Locks, "LOCKS"), LOCKS));
        heading.push_str(&mark(SortColumn::Command, "COMMAND"));
        heading
    }

    fn row(
        &self,
        app: &App,
        database: &Database,
        process: &Process,
        selected: bool,
        theme: &Theme,
    ) -> Line<'static> {
        let unknown = || "?".to_owned();
        let age = super::age(app, process).unwrap_or_else(unknown);
        let cpu = process.cpu_percent.map_or_else(unknown, |cpu| format!("{cpu:.1}%"));
        // What a key acts on is selected in the panel that has the focus.
        let mark = match (selected, app.focus) {
            (false, _) => " ",
            (true, Panel::Processes) => "▸",
            (true, _) => "▹",
        };
        let mut left = format!("{mark} {:>7} {age:>9} {cpu:>6} ", process.pid);
        if self.wide {
            let memory = process.memory_bytes.map_or_else(unknown, units::bytes);
            left.push_str(&format!("{memory:>8} {}", text::pad(&files(process), FILES)));
        }
        let tags = tags(process);
        let room = self.command.saturating_sub(if tags.is_empty() { 0 } else { tags.len() + 1 });
        let mut spans = vec![
            Span::raw(left),
            Span::styled(
                text::pad(&telling_lock(database, process), LOCKS),
                if process.holds.is_empty() { theme.muted } else { theme.warning },
            ),
            Span::raw(text::pad(&short_command(process), room)),
        ];
        if !tags.is_empty() {
            spans.push(Span::styled(format!(" {tags}"), theme.danger));
        }
        Line::from(spans)
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

fn files(process: &Process) -> String {
    let Some(handles) = process.handles else { return "?".to_owned() };
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
    if parts.is_empty() { "–".to_owned() } else { parts.join(" ") }
}

/// The command line without the folder that the program lies in; a process that goes by another name than its
/// program's has that in front.
fn short_command(process: &Process) -> String {
    let line = process.command_line();
    let Some(program) = process.command.first() else { return line };
    let folder = program.rfind('/').map_or(0, |slash| slash + 1);
    let line = &line[folder..];
    if line.starts_with(&process.name) { line.to_owned() } else { format!("{}: {line}", process.name) }
}

/// The lock of `process` that matters most to others.
fn telling_lock(database: &Database, process: &Process) -> String {
    process.holds.iter().min().map_or_else(|| "–".to_owned(), |&hold| word(database, process, hold))
}

/// The locks of `process`, the ones that stop others first.
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
