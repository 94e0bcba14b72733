//! What a console of other hosts shows of their links.

use jiff::Timestamp;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};

use crate::{
    console::{
        app::App,
        widgets::{framed, theme::Theme},
    },
    hosts::{LostLink, WatchedHost, WatchedHosts},
    text, units,
};

/// Draws in place of the panels that the host of the database has no link.
pub fn lost(
    frame: &mut Frame,
    area: Rect,
    app: &App,
    theme: &Theme,
    (host, lost): (&WatchedHost, &LostLink),
) {
    let title = format!(" No link to {} ", text::fit(&host.name, 40));
    let inner = framed(frame, area, theme.border, Span::styled(title, theme.title));
    let database = app.database().map_or_else(String::new, |it| it.path.display().to_string());
    let sentences = [
        text::clean(&lost.why.to_string()),
        format!(
            "{database} is not watched since {}: what holds its locks now is not known.",
            clock(app, lost.since)
        ),
        retry(app, lost),
    ];
    let wrapped = sentences.iter().flat_map(|sentence| {
        text::wrap(sentence, inner.width.into()).into_iter().chain(std::iter::once(String::new()))
    });
    let lines: Vec<Line> = wrapped.map(Line::raw).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

/// Whether a host has no link.
pub fn has_lost(app: &App) -> bool {
    app.hosts().is_some_and(|hosts| hosts.lost().next().is_some())
}

/// Draws in place of the panels that no host has sent a sample yet.
pub fn unanswered(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let inner = framed(frame, area, theme.border, Span::styled(" No sample yet ", theme.title));
    let wrapped = awaited(app).into_iter().flat_map(|line| text::wrap(&line, inner.width.into()));
    frame.render_widget(Paragraph::new(wrapped.map(Line::raw).collect::<Vec<_>>()), inner);
}

/// What is known of each host before its first sample.
pub fn awaited(app: &App) -> Vec<String> {
    let hosts = app.hosts().map_or(&[][..], |hosts| &hosts.hosts);
    let lines = hosts.iter().map(|host| match host.lost() {
        Some(lost) => format!("{}: {} {}", host.name, lost.why, retry(app, lost)),
        None => format!("{}: connecting…", host.name),
    });
    lines.map(|line| text::clean(&line)).collect()
}

/// `link lost 14:03:10`, for the first line and for the overview.
pub fn lost_since(app: &App, lost: &LostLink) -> String {
    format!("link lost {}", clock(app, lost.since))
}

/// How many hosts have no link, beside the one that is shown; empty if all have one.
pub fn others_lost(app: &App) -> String {
    let shown = app.lost_link(app.current()).map(|(host, _)| &host.name);
    let lost: Vec<_> = app.hosts().into_iter().flat_map(WatchedHosts::lost).map(|(host, _)| host).collect();
    match lost.iter().filter(|host| Some(&host.name) != shown).collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        [host] => format!("no link to {}  ", text::fit(&host.name, 16)),
        several => format!("no link to {} hosts  ", several.len()),
    }
}

fn retry(app: &App, lost: &LostLink) -> String {
    match lost.retry_at {
        None => "It connects again now.".to_owned(),
        Some(at) => {
            let left = at.duration_since(app.here()).as_millis_f64().max(0.0);
            format!("It connects again in {}.", units::duration((left / 1e3).ceil() * 1e3))
        }
    }
}

fn clock(app: &App, at: Timestamp) -> String {
    at.to_zoned(app.setup.time_zone.clone()).strftime("%H:%M:%S").to_string()
}
