//! A table of one-line rows with a selected row that is always visible.

use ratatui::{
    Frame,
    layout::{Constraint, Rect},
    style::Style,
    text::Line,
    widgets::{Cell, Row, Table, TableState},
};

use crate::console::widgets::theme::Theme;

pub struct SelectableTable {
    /// Cells of the terminal, including the gap to the next column.
    pub widths: Vec<usize>,
    pub heading: Option<Vec<Line<'static>>>,
    /// The last cell of a row gets the remaining columns.
    pub rows: Vec<Vec<Line<'static>>>,
    pub selected: usize,
    /// Whether the selected row is highlighted.
    pub has_focus: bool,
}

impl SelectableTable {
    /// Returns the index of the first row that is drawn, and where.
    pub fn render(self, frame: &mut Frame, area: Rect, theme: &Theme) -> (usize, Rect) {
        let columns = self.widths.len();
        let widths =
            self.widths.into_iter().map(|it| Constraint::Length(u16::try_from(it).unwrap_or(u16::MAX)));
        let rows = self.rows.into_iter().enumerate().map(|(at, cells)| {
            let is_highlighted = self.has_focus && at == self.selected;
            row(cells, columns, is_highlighted)
        });
        let highlight = if self.has_focus { theme.selected } else { Style::new() };
        let mut table = Table::new(rows, widths).column_spacing(0).row_highlight_style(highlight);
        let mut body = area;
        if let Some(heading) = self.heading {
            body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
            table = table.header(row(heading, columns, false).style(theme.muted));
        }
        let mut state = TableState::new().with_selected(self.selected);
        frame.render_stateful_widget(table, area, &mut state);
        (state.offset(), body)
    }
}

fn row(cells: Vec<Line<'static>>, columns: usize, is_highlighted: bool) -> Row<'static> {
    let last = cells.len().saturating_sub(1);
    let cells = cells.into_iter().enumerate().map(|(at, line)| {
        // In a single style: its own colours would break the highlight.
        let line = if is_highlighted { Line::raw(line.to_string()) } else { line };
        let span = if at == last { columns - at } else { 1 };
        Cell::new(line).column_span(u16::try_from(span).unwrap_or(1))
    });
    Row::new(cells)
}
