//! The screen: which regions exist at this size, and where. Drawing reads the state and changes nothing.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    app::{App, DrawnFrame, FilterTarget, Mode, Overlay, TextExtent},
    dialogs,
    screen_map::{RowList, ScreenMap, ScreenTarget},
    widgets::{framed, theme::Theme},
};
use crate::{
    diagnose::doctor::SMALLEST_TERMINAL,
    keymap::{Action, Panel},
    snapshot::Database,
    text,
};

mod ascii;
mod details;
mod documents;
mod explain;
mod files;
mod findings;
mod footer;
mod header;
mod help;
mod hosts;
mod ingestion;
mod labelled;
mod layout;
mod locks;
mod log;
mod overview;
mod palette;
mod pragma;
mod pragmas;
mod processes;
mod refused;
mod run;
mod strip;
mod table;
mod timeline;

use layout::ScreenLayout;

/// Draws the whole screen; returns what it shows of the text over the panels, and where what lies.
pub fn render(frame: &mut Frame, app: &App, theme: &Theme) -> DrawnFrame {
    let area = frame.area();
    let (columns, rows) = SMALLEST_TERMINAL;
    if area.width < columns || area.height < rows {
        too_small(frame, area);
        return DrawnFrame::default();
    }
    let mut map = ScreenMap::default();
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    header::render(frame, top, app, theme);
    let (mut shows_recent, mut log_end) = (false, None);
    match &app.mode {
        Mode::Overview(_) | Mode::Filter(_) | Mode::GoTo(_) | Mode::Panels if app.unwatched().is_some() => {
            unwatched(frame, middle, app, theme);
        }
        Mode::Filter(FilterTarget::Processes | FilterTarget::Findings) | Mode::Panels
            if let Some(lost) = app.lost_link(app.current()) =>
        {
            hosts::lost(frame, middle, app, theme, lost);
        }
        Mode::Panels if app.database().is_none() && hosts::has_lost(app) => {
            hosts::unanswered(frame, middle, app, theme);
        }
        Mode::Overview(_) | Mode::Filter(FilterTarget::Databases(_)) => {
            overview::render(frame, middle, app, theme, &mut map);
        }
        Mode::Panels | Mode::Filter(_) | Mode::GoTo(_) => {
            (shows_recent, log_end) = panels(frame, middle, app, theme, &mut map);
        }
        Mode::Timeline(past) => {
            timeline::render(frame, middle, app, theme, past, &mut map);
        }
    }
    footer::render(frame, bottom, app, theme, &mut map);
    if app.overlay.is_some() {
        map.add(middle, ScreenTarget::Text);
    }
    let text = match &app.overlay {
        Some(Overlay::Help) => help::render(frame, middle, app, theme),
        Some(Overlay::Details(subject)) => details::render(frame, middle, app, theme, subject),
        Some(Overlay::Documents(open)) => documents::render(frame, middle, app, theme, open, &mut map),
        Some(Overlay::Dialog(open)) => {
            let (now, database, databases) = (app.now, app.newest_database(), app.newest_databases());
            let scene = dialogs::DialogScene { now, database, databases };
            dialogs::render(frame, middle, scene, theme, open, &mut map);
            TextExtent::default()
        }
        None => TextExtent::default(),
    };
    if let Some(open) = &app.palette {
        palette::render(frame, middle, app, theme, open, &mut map);
    }
    footer::render_notice(frame, middle, app, theme);
    if theme.is_ascii {
        ascii::simplify(frame.buffer_mut());
    }
    DrawnFrame { text: TextExtent { shows_recent, ..text }, map, log_end }
}

/// Draws in place of the panels that a recording knows nothing of this time.
fn unwatched(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let Some(time) = app.unwatched() else { return };
    let inner = framed(frame, area, theme.border, Span::styled(" Not watched ", theme.title));
    let [earlier, later] = [Action::Earlier, Action::Later].map(|action| app.key_of(action));
    let keys = format!("{earlier} goes to the sample before, {later} to the next one.");
    let lines =
        [crate::text::wrap(&text::clean(&time.to_string()), inner.width.into()), vec![String::new(), keys]];
    let lines: Vec<Line> = lines.into_iter().flatten().map(Line::raw).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

/// Draws the panels; returns whether the last minutes of the write lock are among them, and how far the log can be
/// scrolled back if it is.
fn panels(
    frame: &mut Frame,
    area: Rect,
    app: &App,
    theme: &Theme,
    map: &mut ScreenMap,
) -> (bool, Option<usize>) {
    let layout = ScreenLayout::of(area, app);
    let is_alone = !app.zoomed && layout.panels.iter().all(|(panel, _)| panel.is_main());
    let mut log_end = None;
    for &(which, area) in &layout.panels {
        map.add(area, ScreenTarget::List(RowList::Panel(which)));
        match which {
            Panel::Processes => processes::render(frame, area, app, theme, map, is_alone),
            Panel::Files => files::render(frame, area, app, theme),
            Panel::Pragmas => pragmas::render(frame, area, app, theme, map),
            Panel::Ingestion => ingestion::render(frame, area, app, theme, map),
            Panel::Log => log_end = Some(log::render(frame, area, app, theme)),
            Panel::Findings => findings::render(frame, area, app, theme, map),
        }
    }
    if let Some(area) = layout.timeline {
        timeline::render_below(frame, area, app, theme);
    }
    if let Some(area) = layout.page {
        explain::render_beside(frame, area, app, theme);
    }
    (layout.timeline.is_some(), log_end)
}

/// Draws `lines` in `area` from the scroll offset, and marks the lines that match the query.
fn scrolled(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, mut lines: Vec<Line<'_>>) -> TextExtent {
    let farthest = u16::try_from(lines.len().saturating_sub(area.height.into())).unwrap_or(u16::MAX);
    let wanted = app.search.query.to_lowercase();
    let contains = |line: &Line<'_>| line.to_string().to_lowercase().contains(&wanted);
    let found = lines.iter().enumerate().filter(|(_, line)| !wanted.is_empty() && contains(line));
    let matches: Vec<u16> = found.filter_map(|(row, _)| u16::try_from(row).ok()).collect();
    for (at, &row) in matches.iter().enumerate() {
        let line = &mut lines[usize::from(row)];
        *line = if at == app.search.selected {
            selected_line(line, theme)
        } else {
            Line::styled(line.to_string(), theme.accent)
        };
    }
    let from = matches.first().filter(|_| app.search.is_typed).map_or(app.scroll, |&first| first);
    frame.render_widget(Paragraph::new(lines).scroll((from.min(farthest), 0)), area);
    TextExtent { farthest, matches, shows_recent: false }
}

fn too_small(frame: &mut Frame, area: Rect) {
    let (width, height) = SMALLEST_TERMINAL;
    let text = format!("waltop wants {width}x{height}, this is {}x{}", area.width, area.height);
    frame.render_widget(Paragraph::new(text), area);
}

/// Draws the frame of a panel, titled with its key; returns the area inside it.
fn boxed(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, which: Panel, title: &str) -> Rect {
    let style = if app.focus == which { theme.focus } else { theme.border };
    let title = format!(" {} {title} ", app.key_of(Action::Zoom(which)));
    framed(frame, area, style, Span::styled(title, theme.title))
}

/// The filter of `target`, for the title of its panel; empty if there is none.
fn filter_of(app: &App, target: FilterTarget) -> String {
    match app.filter(target) {
        "" => String::new(),
        filter => format!(", filter {}", text::fit(filter, 20)),
    }
}

/// The scroll position of a long text, for its title.
fn scrolling(app: &App) -> String {
    let [down, up, search] = [Action::Down, Action::Up, Action::Filter].map(|action| app.key_of(action));
    format!("{down} {up} scroll, {search} searches")
}

/// The process `pid` in one or two words.
fn who(database: &Database, pid: Option<i32>) -> String {
    match pid {
        None => "a process not visible from here".to_owned(),
        Some(pid) => match database.process(pid) {
            Some(process) => format!("{pid} ({})", text::fit(&process.label, 15)),
            None => pid.to_string(),
        },
    }
}

/// The text shown for a database that is not at its path.
fn absence(app: &App, database: &Database) -> String {
    if database.is_gone() {
        "The database is gone from this path, but others still use it or its log: see the findings."
            .to_owned()
    } else if app.has_gone(app.current()) {
        let key = app.key_of(Action::Ingest);
        format!(
            "The database is gone from its path: it was moved or removed. {key} starts an ingestion, which makes a \
             new one."
        )
    } else {
        let key = app.key_of(Action::Ingest);
        format!("The database does not exist yet: {key} starts an ingestion, which makes it.")
    }
}

/// Draws one muted sentence in a panel that has nothing to show yet.
fn empty(frame: &mut Frame, area: Rect, theme: &Theme, sentence: &str) {
    let lines: Vec<Line> = crate::text::wrap(sentence, area.width.into())
        .into_iter()
        .map(|line| Line::styled(line, theme.muted))
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

/// `line` as the selected one, in a single style: its own colours would break the highlight.
fn selected_line(line: &Line<'_>, theme: &Theme) -> Line<'static> {
    Line::styled(line.to_string(), theme.selected)
}

/// A bar of `width` cells in which the share of `part` in `whole` is filled.
fn bar(part: f64, whole: f64, width: usize) -> (String, String) {
    let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a width on a screen"
    )]
    let full = ((share * width as f64).round() as usize).min(width);
    ("█".repeat(full), "░".repeat(width - full))
}

/// A block character of height `share`, 0 to 1.
fn level(share: f64) -> char {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of seven steps")]
    let step = (share.clamp(0.0, 1.0) * 7.0).ceil() as usize;
    BLOCKS[step.min(7)]
}
