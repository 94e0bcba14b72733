//! Panel 2: the processes that have the database open.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{boxed, empty, table::SelectableTable, theme::Theme};
use crate::{
    console::{
        app::{App, FilterTarget, TreeBranch},
        process_columns::{CellInput, CellTone, ColumnWidth, PROCESS_COLUMNS, ProcessColumn},
    },
    keymap::Panel,
    snapshot::Database,
    text,
};

/// Below this width memory and files are omitted.
const NARROW: u16 = 72;
/// Cells of the mark of the selected row.
const MARK: usize = 2;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let Some(database) = app.database() else {
        let inner = boxed(frame, area, app, theme, Panel::Processes, "Processes");
        return empty(frame, inner, theme, "looking…");
    };
    let inner = boxed(frame, area, app, theme, Panel::Processes, &title(app, database));
    let visible = app.visible_processes();
    if visible.is_empty() {
        let sentence = if !app.filter(FilterTarget::Processes).is_empty() {
            "No process matches the filter: Esc clears it.".to_owned()
        } else if database.files.db.is_none() {
            super::absence(app, database)
        } else {
            "No process that can be seen from here has the database open.".to_owned()
        };
        return empty(frame, inner, theme, &sentence);
    }
    let is_narrow = inner.width < NARROW;
    let columns: Vec<&ProcessColumn> =
        PROCESS_COLUMNS.iter().filter(|column| !(is_narrow && column.is_optional)).collect();
    let fixed = MARK + columns.iter().map(|column| width(column, 0)).sum::<usize>();
    let rest = usize::from(inner.width).saturating_sub(fixed);
    let selected = app.selected_row(Panel::Processes);
    let has_focus = app.focus == Panel::Processes;
    let branches = app.tree_branches();
    let rows = visible.iter().enumerate().map(|(row, process)| {
        // The row that a key acts on is selected in the panel that has the focus.
        let mark = match (row == selected, has_focus) {
            (false, _) => " ",
            (true, true) => "▸",
            (true, false) => "▹",
        };
        let mark = if app.is_tagged(process) { format!("{mark}•") } else { mark.to_owned() };
        let input = CellInput { database, process, now: app.now };
        let branch = branches.get(row);
        let cells = columns.iter().map(|column| cell(column, input, rest, branch, theme));
        [mark.into()].into_iter().chain(cells).collect()
    });
    let headings = columns.iter().map(|column| heading(app, column, rest));
    let table = SelectableTable {
        widths: [MARK].into_iter().chain(columns.iter().map(|column| width(column, rest))).collect(),
        heading: Some([Line::default()].into_iter().chain(headings).collect()),
        rows: rows.collect(),
        selected,
        has_focus,
    };
    table.render(frame, inner, theme);
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
    title + &tags(app) + &super::filter_of(app, FilterTarget::Processes)
}

/// How many processes are tagged, and how many of those the filter hides.
fn tags(app: &App) -> String {
    match app.tag_counts() {
        (0, _) => String::new(),
        (tagged, 0) => format!(", {tagged} tagged"),
        (tagged, hidden) => format!(", {tagged} tagged ({hidden} hidden by the filter)"),
    }
}

/// Cells of a column without its trailing gap.
fn room(column: &ProcessColumn, rest: usize) -> usize {
    match column.width {
        ColumnWidth::Left(width) => width,
        ColumnWidth::Right(width) => width - 1,
        ColumnWidth::Rest => rest,
    }
}

fn width(column: &ProcessColumn, rest: usize) -> usize {
    match column.width {
        ColumnWidth::Left(width) | ColumnWidth::Right(width) => width,
        ColumnWidth::Rest => rest,
    }
}

fn heading(app: &App, column: &ProcessColumn, rest: usize) -> Line<'static> {
    let sign = if app.inverted { "▴" } else { "▾" };
    let sign = if app.sort.heading == column.heading { sign } else { "" };
    aligned(&format!("{}{sign}", column.heading), column, room(column, rest)).into()
}

fn aligned(text: &str, column: &ProcessColumn, room: usize) -> String {
    match column.width {
        ColumnWidth::Right(_) => format!("{text:>room$}"),
        ColumnWidth::Left(_) | ColumnWidth::Rest => text::pad(text, room),
    }
}

fn cell(
    column: &ProcessColumn,
    input: CellInput<'_>,
    rest: usize,
    branch: Option<&TreeBranch>,
    theme: &Theme,
) -> Line<'static> {
    let cell = (column.cell)(input);
    let style = match cell.tone {
        CellTone::Plain => Style::new(),
        CellTone::Muted => theme.muted,
        CellTone::Warning => theme.warning,
    };
    let tags = if cell.tags.is_empty() { String::new() } else { format!(" {}", cell.tags) };
    let room = room(column, rest).saturating_sub(tags.len());
    let branch = branch.filter(|_| column.width == ColumnWidth::Rest).map_or_else(String::new, leading);
    let text = aligned(&format!("{branch}{}", cell.text), column, room);
    Line::from(vec![Span::styled(text, style), Span::styled(tags, theme.danger)])
}

/// What leads to a process of the tree: the lines, or the parent that is not listed.
fn leading(branch: &TreeBranch) -> String {
    branch.parent.as_ref().map_or_else(|| branch.lines.clone(), |parent| format!("{parent} ─ "))
}
