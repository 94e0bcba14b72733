//! The overview: for each database two or three lines and a strip, with its worst finding in full.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};
use unicode_width::UnicodeWidthStr;

use super::{files, header, hosts, selected_line, strip::strip};
use crate::{
    console::{
        app::App,
        process_columns,
        screen_map::{RowList, ScreenMap, ScreenTarget},
        widgets::{
            framed,
            theme::{Theme, sign},
        },
    },
    history::WriteLane,
    keymap::Action,
    snapshot::{Database, Severity},
    text, units,
};

/// From this width on a finding has one line instead of two.
const WIDE: u16 = 110;
/// The most columns of a host.
const HOST: usize = 24;
/// Columns of the mark and the sign of a database.
const MARK: usize = 3;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, map: &mut ScreenMap) {
    let names = app.names();
    let visible = app.visible_databases();
    let [open, back, filter] =
        [Action::Details, Action::Back, Action::Filter].map(|action| app.key_of(action));
    let filtered = match visible.len() {
        shown if shown == names.len() => String::new(),
        shown => format!("{shown} of "),
    };
    let noun = if app.is_discovered() { "open " } else { "" };
    let plural = if names.len() == 1 { "database" } else { "databases" };
    let title = format!(
        " {filtered}{} {noun}{plural}: {open} opens one, {filter} filters, {back} back ",
        names.len()
    );
    let inner =
        framed(frame, area, theme.focus, Span::styled(text::fit(&title, area.width.into()), theme.title));
    let width = usize::from(inner.width);
    let sentences = if inner.width >= WIDE { 1 } else { 2 };
    let tall = sentences + 2;
    let selected = visible.iter().position(|&index| index == app.current()).unwrap_or(0);
    let room = (usize::from(inner.height) / tall).max(1);
    let first = (selected + 1).saturating_sub(room);
    let mut lines = Vec::new();
    for &index in visible.iter().skip(first).take(room) {
        let row = OverviewRow { app, theme, index, name: &names[index], database: &app.databases()[index] };
        lines.extend(row.lines(sentences, width));
    }
    map.add(area, ScreenTarget::List(RowList::Databases));
    let shown = visible.len().min(first + room);
    map.add_rows(inner, RowList::Databases, (first, shown), u16::try_from(tall).unwrap_or(1));
    if visible.is_empty() {
        let is_filtered = !names.is_empty();
        let words = if is_filtered { "No database matches the filter: Esc clears it." } else { "looking…" };
        lines.push(Line::styled(words, theme.muted));
    }
    if names.is_empty() {
        lines.extend(hosts::awaited(app).into_iter().map(Line::raw));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

#[derive(Clone, Copy)]
struct OverviewRow<'a> {
    app: &'a App,
    theme: &'a Theme,
    index: usize,
    name: &'a str,
    database: &'a Database,
}

impl OverviewRow<'_> {
    fn lines(self, sentences: usize, width: usize) -> Vec<Line<'static>> {
        let is_selected = self.index == self.app.current();
        let (sign, words, style) = self.worst();
        let mark = if is_selected { "▸" } else { " " };
        let head = format!("{mark}{sign} {}{}", self.host(), self.name);
        let facts = text::fit(&format!("{head}   {}", self.facts()), width);
        let first = match facts.strip_prefix(&head) {
            Some(rest) => Line::from(vec![
                Span::styled(head.clone(), style),
                Span::raw(text::pad(rest, width.saturating_sub(head.width()))),
            ]),
            None => Line::styled(facts, style),
        };
        let mut lines = vec![if is_selected { selected_line(&first, self.theme) } else { first }];
        let room = width.saturating_sub(MARK + 1);
        let wrapped = text::wrap(&words, room);
        for at in 0..sentences {
            // What does not fit is cut in the last line.
            let line = match wrapped.get(at) {
                Some(_) if at + 1 == sentences => text::fit(&wrapped[at..].join(" "), room),
                Some(line) => line.clone(),
                None => String::new(),
            };
            lines.push(Line::styled(format!("{:MARK$}{line}", ""), style));
        }
        lines.push(self.last_minute(width));
        lines
    }

    /// The host of the database in the column of the hosts; empty if all are here.
    fn host(self) -> String {
        let Some(watched) = self.app.hosts() else { return String::new() };
        let width = watched.hosts.iter().map(|host| host.name.width()).max().unwrap_or(0).min(HOST);
        let name = watched.of(self.index).map_or("", |host| &host.name);
        text::pad(name, width + 2)
    }

    /// The log, the writer, and how many processes there are.
    fn facts(self) -> String {
        if let Some((_, lost)) = self.app.lost_link(self.index) {
            return hosts::lost_since(self.app, lost);
        }
        let database = self.database;
        if database.files.db.is_none() && !database.is_gone() || database.unfit.is_some() {
            return self.app.place(self.index, database);
        }
        let wal =
            database.files.wal.as_ref().map(|wal| {
                format!("WAL {}{}", units::bytes(wal.bytes), header::growth(self.app, self.index))
            });
        let stale = database.processes.iter().filter(|process| process.is_stale()).count();
        let stale = if stale > 0 { format!(", {stale} stale") } else { String::new() };
        let count = database.processes.len();
        let processes = if count == 1 { "1 process".to_owned() } else { format!("{count} processes") };
        [wal, self.writer(), Some(processes + &stale), self.ingestion()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("   ")
    }

    /// The process with the write lock, and for how long.
    fn writer(self) -> Option<String> {
        let holder = self.database.locks.writer.as_ref()?;
        let held = holder.held_ms.map(|held| format!(" {}", units::duration(held))).unwrap_or_default();
        let name = match holder.pid.and_then(|pid| self.database.process(pid)) {
            Some(process) => format!("{} {}", text::fit(&process_columns::name(process), 15), process.pid),
            None => super::who(self.database, holder.pid),
        };
        Some(format!("writer {name}{held}"))
    }

    /// The progress of the first active ingestion.
    fn ingestion(self) -> Option<String> {
        let running = self.database.ingestions.iter().find(|ingestion| ingestion.is_running())?;
        let total = running.files_total.map_or_else(|| "?".to_owned(), units::count);
        Some(format!("ingestion {} of {total}", units::count(running.files_done)))
    }

    /// How long the write lock was held in each second, then the path and the scheduled checkpoints.
    fn last_minute(self, width: usize) -> Line<'static> {
        if self.app.lost_link(self.index).is_some() {
            // A strip would show the time without a link as free.
            let path = format!("{:MARK$}{}", "", self.database.path.display());
            return Line::styled(text::fit(&path, width), self.theme.muted);
        }
        let minute =
            self.app.sample().and_then(|look| look.trends.get(self.index)).map(|trend| &trend.minute);
        let mut shares = vec![0.0_f32; WriteLane::CELLS];
        for lane in minute.into_iter().flat_map(|minute| &minute.lanes) {
            for (all, one) in shares.iter_mut().zip(&lane.cells) {
                *all = (*all + one).min(1.0);
            }
        }
        let columns = (width / 2).min(WriteLane::CELLS);
        let mut spans = vec![Span::raw(" ".repeat(MARK))];
        let unwatched = minute.map_or(&[][..], |minute| &minute.unwatched);
        spans.extend(strip(&shares, unwatched, columns, self.theme));
        let schedule = files::schedule_line(self.app, self.database).map(|it| format!("   {it}"));
        let after =
            format!("   {}{}", self.app.place(self.index, self.database), schedule.unwrap_or_default());
        let room = width.saturating_sub(MARK + columns);
        spans.push(Span::styled(text::fit(&after, room), self.theme.muted));
        Line::from(spans)
    }

    /// Sign and words for its worst finding.
    fn worst(self) -> (&'static str, String, Style) {
        let (database, theme) = (self.database, self.theme);
        if let Some((_, lost)) = self.app.lost_link(self.index) {
            return ("–", format!("not watched: {}", text::clean(&lost.why.to_string())), theme.danger);
        }
        if database.files.db.is_none() && !database.is_gone() {
            if self.app.has_gone(self.index) {
                return ("–", "is gone from its path: it was moved or removed".to_owned(), theme.danger);
            }
            return ("–", "does not exist yet".to_owned(), theme.warning);
        }
        match (database.worst(), &database.unfit) {
            (Some(finding), _) => {
                let others = match database.findings.len() {
                    1 => String::new(),
                    count => format!(" (+{})", count - 1),
                };
                let words = format!("{}{others}: {}", finding.kind, text::clean(&finding.message));
                (sign(finding.severity), words, theme.severity(finding.severity))
            }
            (None, Some(why)) => (sign(Severity::Error), text::clean(why), theme.danger),
            (None, None) => ("✔", "nothing wrong".to_owned(), theme.good),
        }
    }
}
