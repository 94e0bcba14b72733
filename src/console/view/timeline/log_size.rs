//! The size of the log as a curve under the lanes.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Color,
    text::Line,
    widgets::{
        Paragraph,
        canvas::{Canvas, Line as Segment},
    },
};

use super::{LABEL, TimelinePanel};
use crate::{history::Timeline, units};

impl TimelinePanel<'_> {
    pub(super) fn curve(&self, frame: &mut Frame, area: Rect) {
        let log = &self.timeline.log;
        let Some(top) = log.iter().flatten().max().copied().filter(|_| area.height > 0) else { return };
        let label = u16::try_from(LABEL).unwrap_or(u16::MAX);
        let columns = u16::try_from(self.columns()).unwrap_or(u16::MAX);
        let [labels, curve] =
            Layout::horizontal([Constraint::Length(label), Constraint::Length(columns)]).areas(area);
        let labels_text = [format!("{:>18} ", "log up to"), format!("{:>18} ", units::bytes(top))];
        let lines: Vec<Line> =
            labels_text.into_iter().map(|text| Line::styled(text, self.theme.muted)).collect();
        frame.render_widget(Paragraph::new(lines), labels);
        let colour = self.theme.accent.fg.unwrap_or(Color::Reset);
        let cursor = self.theme.muted.fg.unwrap_or(Color::Reset);
        let under = (0..self.columns()).find(|&column| self.is_under_cursor(column));
        let canvas = Canvas::default()
            .x_bounds([0.0, number(Timeline::CELLS)])
            .y_bounds([0.0, size(top).max(1.0) * 1.05])
            .paint(|context| {
                for (at, pair) in log.windows(2).enumerate() {
                    if let [Some(from), Some(to)] = pair {
                        let (x1, x2) = (number(at), number(at + 1));
                        let (y1, y2) = (size(*from), size(*to));
                        context.draw(&Segment { x1, y1, x2, y2, color: colour });
                    }
                }
                if let Some(column) = under {
                    let cells = self.cells(column);
                    let x = number(usize::midpoint(cells.start, cells.end));
                    let y2 = size(top).max(1.0) * 1.05;
                    context.layer();
                    context.draw(&Segment { x1: x, y1: 0.0, x2: x, y2, color: cursor });
                }
            });
        frame.render_widget(canvas, curve);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred cells")]
fn number(cell: usize) -> f64 {
    cell as f64
}

#[expect(clippy::cast_precision_loss, reason = "a height of a few dots")]
fn size(bytes: u64) -> f64 {
    bytes as f64
}
