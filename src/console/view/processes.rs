//! Panel 2: the processes that have the database open, each with its lock and its last minute.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
};

use unicode_width::UnicodeWidthStr;

use super::{boxed, empty, locks, strip::strip, table::SelectableTable};
use crate::{
    console::{
        app::{App, FilterTarget, TableRow, TreeBranch},
        process_columns::{CellInput, CellTone, ColumnWidth, PROCESS_COLUMNS, ProcessColumn},
        screen_map::{RowList, ScreenMap, ScreenTarget},
        widgets::theme::{Theme, sign},
    },
    history::WriteLane,
    keymap::Panel,
    snapshot::{Database, Severity},
    text,
};

/// Cells of the mark of the selected row and of the sign of its worst finding.
const MARK: usize = 2;
/// The fewest cells that the names of a tree leave to the last minute, with the gap before it.
const LEAST_STRIP: usize = 12;
/// Below this width the columns are narrower, so that the last minute has room.
const NARROW: u16 = 74;

/// `is_alone`: no panel of the side is on the screen.
pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, map: &mut ScreenMap, is_alone: bool) {
    let Some(database) = app.database() else {
        let inner = boxed(frame, area, app, theme, Panel::Processes, Panel::Processes.title());
        return empty(frame, inner, theme, "looking…");
    };
    let inner = boxed(frame, area, app, theme, Panel::Processes, &title(app, database));
    let rows = app.table_rows();
    if database.files.db.is_none() && rows.is_empty() {
        return empty(frame, inner, theme, &super::absence(app, database));
    }
    let facts = Constraint::Length(locks::height(app, inner.height, is_alone));
    let [inner, facts] = Layout::vertical([Constraint::Fill(1), facts]).areas(inner);
    locks::render(frame, facts, app, database, theme, is_alone);
    if rows.is_empty() {
        let sentence = if app.filter(FilterTarget::Processes).is_empty() {
            "No process that can be seen from here has the database open."
        } else {
            "No process matches the filter: Esc clears it."
        };
        return empty(frame, inner, theme, sentence);
    }
    let table = ProcessTable::new(app, database, theme, inner.width);
    let selected = app.selected_row(Panel::Processes);
    let has_focus = app.focus == Panel::Processes;
    let has_selected = app.has_selected_row();
    let branches = app.tree_branches();
    let cells = rows.iter().enumerate().map(|(at, row)| {
        let drawn = DrawnRow {
            row: *row,
            is_selected: has_selected && at == selected,
            has_focus,
            branch: branches.get(at),
        };
        table.cells(&drawn)
    });
    let drawn = SelectableTable {
        widths: [MARK].into_iter().chain(table.columns.iter().map(|(_, width)| *width)).collect(),
        heading: Some([Line::default()].into_iter().chain(table.headings()).collect()),
        rows: cells.collect(),
        selected,
        has_focus: has_focus && has_selected,
    };
    let (first, body) = drawn.render(frame, inner, theme);
    map.add_rows(body, RowList::Panel(Panel::Processes), (first, rows.len()), 1);
    table.add_headings(inner, map);
}

fn title(app: &App, database: &Database) -> String {
    let mut title = format!("{}: {} open", Panel::Processes.title(), database.processes.len());
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

/// A row of the table as it is drawn.
#[derive(Clone, Copy)]
struct DrawnRow<'a> {
    row: TableRow<'a>,
    is_selected: bool,
    has_focus: bool,
    /// Its place in the tree, if there is one.
    branch: Option<&'a TreeBranch>,
}

struct ProcessTable<'a> {
    app: &'a App,
    database: &'a Database,
    theme: &'a Theme,
    /// Each with its width.
    columns: Vec<(&'static ProcessColumn, usize)>,
    lanes: &'a [WriteLane],
    /// Whether each slice of the last minute was not watched.
    unwatched: &'a [bool],
}

impl<'a> ProcessTable<'a> {
    fn new(app: &'a App, database: &'a Database, theme: &'a Theme, width: u16) -> Self {
        // A tree has longer names.
        let gives_way =
            |column: &&ProcessColumn| app.order.is_tree && width < NARROW && column.heading == "CPU";
        let shown: Vec<_> =
            PROCESS_COLUMNS.iter().filter(|column| width >= column.from && !gives_way(column)).collect();
        let narrower = usize::from(width < NARROW);
        let base = |column: &&ProcessColumn| match column.width {
            ColumnWidth::Left(width) => width - narrower,
            ColumnWidth::Right(width) => width,
            ColumnWidth::Rest | ColumnWidth::Strip => 0,
        };
        let taken = MARK + LEAST_STRIP + shown.iter().map(base).sum::<usize>();
        let spare = usize::from(width).saturating_sub(taken);
        // The lines of the tree stand before the name.
        let tree = if app.order.is_tree { tree_room(app).min(spare) } else { 0 };
        let fixed = |column: &&ProcessColumn| base(column) + if column.heading == "NAME" { tree } else { 0 };
        let rest = usize::from(width).saturating_sub(MARK + shown.iter().map(fixed).sum::<usize>());
        let has_command = shown.iter().any(|column| column.width == ColumnWidth::Rest);
        // The gaps around it included.
        let strip = if has_command { (rest * 3 / 5).min(WriteLane::CELLS + 3) } else { rest };
        let sized = |column: &'static ProcessColumn| match column.width {
            ColumnWidth::Rest => (column, rest - strip),
            ColumnWidth::Strip => (column, strip),
            _ => (column, fixed(&column)),
        };
        let trend = app.sample().and_then(|look| look.trends.get(app.current()));
        Self {
            app,
            database,
            theme,
            columns: shown.into_iter().map(sized).collect(),
            lanes: trend.map_or(&[][..], |trend| &trend.minute.lanes),
            unwatched: trend.map_or(&[][..], |trend| &trend.minute.unwatched),
        }
    }

    fn headings(&self) -> impl Iterator<Item = Line<'static>> {
        self.columns.iter().map(|(column, width)| {
            let arrow = if self.app.order.is_inverted { "▴" } else { "▾" };
            let arrow = if self.app.order.column.heading == column.heading { arrow } else { "" };
            aligned(&format!("{}{arrow}", column.heading), column, *width).into()
        })
    }

    /// Adds the headings, which stand in the first line of `area`.
    fn add_headings(&self, area: Rect, map: &mut ScreenMap) {
        let mut from = area.x + u16::try_from(MARK).unwrap_or(0);
        for (column, width) in &self.columns {
            let width = u16::try_from(*width).unwrap_or(u16::MAX);
            let at = PROCESS_COLUMNS.iter().position(|it| it.heading == column.heading);
            let heading = Rect { x: from, y: area.y, width, height: 1 }.intersection(area);
            if let Some(at) = at {
                map.add(heading, ScreenTarget::Heading(at));
            }
            from = from.saturating_add(width);
        }
    }

    fn cells(&self, drawn: &DrawnRow<'_>) -> Vec<Line<'static>> {
        let DrawnRow { row, is_selected, has_focus, branch } = *drawn;
        // The row that a key acts on is selected in the panel that has the focus.
        let mark = match (is_selected, has_focus) {
            (false, _) => " ",
            (true, true) => "▸",
            (true, false) => "▹",
        };
        let worst = row.pid().and_then(|pid| self.app.severity_of(pid));
        let worst = worst.filter(|severity| *severity > Severity::Info);
        let sign = worst.map_or(Span::raw(" "), |it| Span::styled(sign(it), self.theme.severity(it)));
        let is_tagged = row.process().is_some_and(|process| self.app.is_tagged(process));
        let sign = if is_tagged { Span::styled("•", self.theme.accent) } else { sign };
        let input = CellInput { database: self.database, row, now: self.app.now };
        let cells = self.columns.iter().map(|(column, width)| {
            let cell = (column.cell)(input);
            let style = match cell.tone {
                CellTone::Plain => Style::new(),
                CellTone::Muted => self.theme.muted,
                CellTone::Warning => self.theme.warning,
                CellTone::Danger => self.theme.danger,
            };
            if column.width == ColumnWidth::Strip {
                return self.last_minute(row, Span::styled(cell.text, style), *width);
            }
            let branch = branch.filter(|_| column.heading == "NAME");
            let text = branch.map_or_else(|| cell.text.clone(), |it| branched(it, &cell.text, *width));
            Line::styled(aligned(&text, column, *width), style)
        });
        [Line::from(vec![Span::raw(mark), sign])].into_iter().chain(cells).collect()
    }

    /// What must not be overlooked about the process, and how long it held the write lock in each second.
    fn last_minute(&self, row: TableRow<'_>, tags: Span<'static>, width: usize) -> Line<'static> {
        let lane = self.lanes.iter().find(|lane| lane.pid == row.pid());
        let mut spans = vec![Span::raw("  ")];
        let mut room = width.saturating_sub(3);
        if !tags.content.is_empty() {
            room = room.saturating_sub(tags.content.len() + 1);
            spans.extend([tags, Span::raw(" ")]);
        }
        let cells = lane.map_or(&[][..], |lane| &lane.cells);
        spans.extend(strip(cells, self.unwatched, room.min(WriteLane::CELLS), self.theme));
        Line::from(spans)
    }
}

/// Cells that the longest name of the tree needs beyond those of a table.
fn tree_room(app: &App) -> usize {
    const NAME: usize = 12;
    let branches = app.tree_branches();
    let rows = app.visible_processes();
    let named =
        branches.iter().zip(rows).map(|(branch, process)| branched(branch, &process.label, usize::MAX));
    named.map(|text| text.width().saturating_sub(NAME)).max().unwrap_or(0)
}

/// `name` behind what leads to it in the tree: the lines, or the parent that is not listed. The smaller
/// `width` is, the shorter is the parent.
fn branched(branch: &TreeBranch, name: &str, width: usize) -> String {
    let Some(parent) = &branch.parent else { return format!("{}{name}", branch.lines) };
    let mut forms = parent.names().into_iter().map(|parent| format!("{parent} ─ {name}"));
    let shortest = forms.next_back().unwrap_or_default();
    forms.find(|form| form.width() < width).unwrap_or(shortest)
}

fn aligned(text: &str, column: &ProcessColumn, width: usize) -> String {
    match column.width {
        ColumnWidth::Right(_) => format!("{:>room$}", text::fit(text, width - 1), room = width - 1),
        ColumnWidth::Left(_) => format!(" {}", text::pad(text, width.saturating_sub(1))),
        ColumnWidth::Strip => format!("  {}", text::fit(text, width.saturating_sub(2))),
        ColumnWidth::Rest => text::fit(text, width),
    }
}
