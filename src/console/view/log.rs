//! Panel 6: what waltop did and saw, newest last.

use ratatui::{Frame, layout::Rect};
use tui_logger::{TuiLoggerLevelOutput, TuiLoggerWidget};

use super::{boxed, theme::Theme};
use crate::{console::app::App, keymap::Panel};

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let inner = boxed(frame, area, app, theme, Panel::Log, "Log");
    let widget = TuiLoggerWidget::default()
        .style_error(theme.danger)
        .style_warn(theme.warning)
        .style_info(ratatui::style::Style::new())
        .output_target(false)
        .output_file(false)
        .output_line(false)
        .output_level(Some(TuiLoggerLevelOutput::Abbreviated))
        .output_timestamp(Some("%H:%M:%S".to_owned()))
        .output_separator(' ');
    frame.render_widget(widget, inner);
}
