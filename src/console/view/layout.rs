//! Which panels are on the screen at this size, and where. Only the size, the focus and the zoom decide, so that nothing
//! moves when findings or locks come and go.

use ratatui::layout::{Constraint, Layout, Rect};

use super::{files, ingestion};
use crate::{console::app::App, keymap::Panel};

/// The minimum size for panels at the side; on a smaller screen number keys show them.
const TWO_COLUMNS: (u16, u16) = (100, 24);
/// The minimum size for the page of the selected finding and the timeline beside the panels.
const LARGE: (u16, u16) = (160, 46);
/// Rows of the timeline on a large screen.
const TIMELINE: u16 = 14;
/// From this height on the findings have another line.
const HIGH: u16 = 28;
/// Rows of the log that the panels above leave to it, if they can.
const LOG: u16 = 5;
/// Rows of the pragmas, and how few they may be for the sake of the log.
const PRAGMAS: u16 = 9;
const FEWEST_PRAGMAS: u16 = 7;
/// Below this height a side panel that has the focus replaces the table.
const LOW: u16 = 18;

/// The regions of the screen between its first and its last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenLayout {
    pub panels: Vec<(Panel, Rect)>,
    /// The page of the selected finding.
    pub page: Option<Rect>,
    /// The last minutes of the write lock.
    pub timeline: Option<Rect>,
}

impl ScreenLayout {
    pub fn of(area: Rect, app: &App) -> Self {
        if app.zoomed {
            Self::with(vec![(app.focus, area)])
        } else if area.width < TWO_COLUMNS.0 || area.height < TWO_COLUMNS.1 {
            Self::with(one_column(area, app.focus))
        } else if area.width < LARGE.0 || area.height < LARGE.1 {
            let top = if area.height < HIGH { area.height / 5 } else { area.height * 2 / 9 };
            let top = top.clamp(4, 9) + 2;
            let [findings, below] =
                Layout::vertical([Constraint::Length(top), Constraint::Fill(1)]).areas(area);
            let mut panels = vec![(Panel::Findings, findings)];
            panels.extend(two_columns(below, app, side_width(area.width)));
            Self::with(panels)
        } else {
            large(area, app)
        }
    }

    fn with(panels: Vec<(Panel, Rect)>) -> Self {
        Self { panels, page: None, timeline: None }
    }
}

const fn side_width(width: u16) -> u16 {
    match width {
        0..110 => 36,
        110..160 => 44,
        _ => 60,
    }
}

fn one_column(area: Rect, focus: Panel) -> Vec<(Panel, Rect)> {
    let is_low = area.height < LOW;
    let lower = match focus {
        Panel::Findings | Panel::Processes => 0,
        _ if is_low => area.height.saturating_sub(5),
        _ => area.height * 2 / 5,
    };
    let [findings, table, side] = Layout::vertical([
        Constraint::Length(if is_low { 5 } else { 6 }),
        Constraint::Fill(1),
        Constraint::Length(lower),
    ])
    .areas(area);
    let panels = [(Panel::Findings, findings), (Panel::Processes, table), (focus, side)];
    panels.into_iter().filter(|(_, area)| area.height > 0).collect()
}

fn two_columns(area: Rect, app: &App, side: u16) -> Vec<(Panel, Rect)> {
    let [table, side] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(side)]).areas(area);
    let mut panels = vec![(Panel::Processes, table)];
    panels.extend(side_panels(side, app));
    panels
}

/// The panels at the side; the one that has the focus gets rows of the log.
fn side_panels(area: Rect, app: &App) -> [(Panel, Rect); 4] {
    let is_high = area.height >= 28;
    let files = files::height(app);
    let ingestion = ingestion::height(app);
    let spare = area.height.saturating_sub(files + ingestion.least + LOG);
    // The pragmas that differ come first.
    let pragmas = match area.height {
        28.. if app.focus != Panel::Pragmas => spare.clamp(FEWEST_PRAGMAS, PRAGMAS),
        0..24 if app.focus != Panel::Pragmas => 3,
        _ => PRAGMAS,
    };
    // What is left to the runs beside the log.
    let left = area.height.saturating_sub(files + pragmas + LOG);
    let runs = match (is_high, app.focus == Panel::Ingestion) {
        (true, _) => ingestion.wanted.min(left.max(ingestion.least)),
        (false, true) => 8,
        (false, false) => 5,
    };
    let [files, pragmas, ingestion, log] = Layout::vertical([
        Constraint::Length(files),
        Constraint::Length(pragmas),
        Constraint::Length(runs),
        Constraint::Fill(1),
    ])
    .areas(area);
    [(Panel::Files, files), (Panel::Pragmas, pragmas), (Panel::Ingestion, ingestion), (Panel::Log, log)]
}

fn large(area: Rect, app: &App) -> ScreenLayout {
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(area.height / 3),
        Constraint::Fill(1),
        Constraint::Length(TIMELINE),
    ])
    .areas(area);
    let [findings, page] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(top);
    let mut panels = vec![(Panel::Findings, findings)];
    panels.extend(two_columns(middle, app, side_width(area.width)));
    ScreenLayout { panels, page: Some(page), timeline: Some(bottom) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::{Timestamp, tz::TimeZone};

    use super::*;
    use crate::{config::Config, console::app::AppSetup, keymap::Keymap, state::places::Places};

    fn layout(width: u16, height: u16, focus: Panel) -> ScreenLayout {
        let setup = AppSetup {
            permit: Config::new(Places::under("/nowhere".as_ref())).permit(),
            profiles: Vec::new(),
            keymap: Keymap::default(),
            time_zone: TimeZone::UTC,
            folder: "/".into(),
            home: None,
            banner: None,
            bell: false,
            py_spy: None,
            mouse: false,
            untraced: None,
            kind: crate::console::app::ConsoleKind::Present,
            discovered: Vec::new(),
        };
        let mut app = App::new(setup, Duration::from_secs(1), Timestamp::UNIX_EPOCH);
        app.focus = focus;
        ScreenLayout::of(Rect::new(0, 1, width, height), &app)
    }

    #[test]
    fn the_focused_panel_is_on_every_screen_and_no_two_overlap() {
        for (width, height) in [(60, 14), (80, 22), (100, 28), (120, 38), (200, 58), (100, 24), (300, 100)] {
            for focus in Panel::ALL {
                let layout = layout(width, height, focus);
                let found = layout.panels.iter().find(|(panel, _)| *panel == focus);
                assert!(found.is_some_and(|(_, area)| area.height >= 3), "{width}x{height} {focus:?}");
                let all: Vec<Rect> = layout
                    .panels
                    .iter()
                    .map(|(_, area)| *area)
                    .chain(layout.page)
                    .chain(layout.timeline)
                    .collect();
                for (at, one) in all.iter().enumerate() {
                    assert!(one.right() <= width && one.bottom() <= height + 1);
                    assert!(all[..at].iter().all(|other| !other.intersects(*one)), "{width}x{height}");
                }
            }
        }
    }
}
