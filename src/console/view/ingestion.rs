//! Panel 5: the progress of ingestions, from their journals.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{bar, boxed, empty, level, selected_line};
use crate::{
    console::{
        app::{App, IngestionRow},
        screen_map::{RowList, ScreenMap, ScreenTarget},
        widgets::theme::Theme,
    },
    keymap::{Action, Panel},
    snapshot::{BatchDecision, DurationSpread, IngestWatcher, Ingestion, IngestionState, LockSharing},
    text, units,
};

/// From this width on holds and waits share a line, and past runs show their files.
const WIDE: usize = 70;
/// From this width on past runs also show their batches.
const WIDEST: usize = 110;

/// The maximum of past runs that the panel grows by.
const PAST: usize = 3;
/// The maximum of watches that the panel shows.
const WATCHES: usize = 3;

/// The rows of a narrow panel, including its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PanelHeight {
    /// With the watches and the run that is shown whole.
    pub least: u16,
    /// With past runs, too.
    pub wanted: u16,
}

pub fn height(app: &App) -> PanelHeight {
    let (watchers, runs) =
        app.database().map_or((0, &[][..]), |database| (database.watchers.len(), &*database.ingestions));
    let past = runs.len().saturating_sub(1).min(PAST);
    // Whichever of those is shown whole; without any run a line says so.
    let open = runs.iter().take(past + 1).map(open_height).max().unwrap_or(1);
    let least = 2 + watchers.min(WATCHES) + open;
    let [least, wanted] = [least, least + past].map(|rows| u16::try_from(rows).unwrap_or(u16::MAX));
    PanelHeight { least, wanted }
}

/// The lines of a run that is shown whole. While it runs, a line about a wait comes and goes.
fn open_height(ingestion: &Ingestion) -> usize {
    if ingestion.is_running() {
        return 6;
    }
    let durations = if ingestion.hold_ms.is_some() && ingestion.wait_ms.is_some() { 2 } else { 0 };
    3 + durations + usize::from(problem(ingestion).is_some())
}

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, map: &mut ScreenMap) {
    let inner = boxed(frame, area, app, theme, Panel::Ingestion, &title(app));
    let Some(database) = app.database() else { return empty(frame, inner, theme, "looking…") };
    let inner = watches(frame, inner, app, theme, map);
    if database.ingestions.is_empty() && !database.watchers.is_empty() {
        return empty(frame, inner, theme, "No ingestion yet.");
    }
    if database.ingestions.is_empty() {
        let none = if app.is_replay() {
            "None into this database until then.".to_owned()
        } else if app.is_remote() {
            "None into this database yet.".to_owned()
        } else {
            format!("None into this database yet: {} starts one.", app.key_of(Action::Ingest))
        };
        return empty(frame, inner, theme, &none);
    }
    let width = inner.width.into();
    let run = app.selected_row(Panel::Ingestion).checked_sub(database.watchers.len());
    // Below a selected watch the newest run is open.
    let selected = run.unwrap_or_default();
    let Some(chosen) = database.ingestions.get(selected) else { return };
    let mut open = block(app, chosen, theme, (width, inner.height.into()));
    if app.focus == Panel::Ingestion && run.is_some() {
        open[0] = selected_line(&open[0], theme);
    }
    // The runs around the selected one: earlier runs as far as they fit, and the next one.
    let room = usize::from(inner.height).saturating_sub(open.len());
    let older = database.ingestions.len() - 1 - selected;
    let first = selected - selected.min(room.saturating_sub(older).max(room / 2));
    let mut lines = Vec::new();
    for (row, ingestion) in database.ingestions.iter().enumerate().skip(first) {
        let tall = if row == selected { open.len() } else { 1 };
        let [above, tall] = [lines.len(), tall].map(|lines| u16::try_from(lines).unwrap_or(u16::MAX));
        let place = Rect { y: inner.y.saturating_add(above), height: tall, ..inner }.intersection(inner);
        let target = RowList::Panel(Panel::Ingestion);
        map.add(place, ScreenTarget::Row(target, database.watchers.len() + row));
        if row == selected {
            lines.append(&mut open);
        } else {
            lines.push(past(app, ingestion, theme, width));
        }
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

/// Draws the watches in the first lines of `area`, the selected one among them; returns the remaining area.
fn watches(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, map: &mut ScreenMap) -> Rect {
    let rows = app.ingestion_rows();
    let watches = rows.iter().enumerate().filter_map(|(row, it)| match it {
        IngestionRow::Watch(watcher) => Some((row, *watcher)),
        IngestionRow::Run(_) => None,
    });
    let (selected, width) = (app.selected_row(Panel::Ingestion), usize::from(area.width));
    let count = watches.clone().count();
    let room = count.min(WATCHES).min(area.height.into());
    let first = if selected < count { (selected + 1).saturating_sub(room) } else { 0 };
    let mut rest = area;
    for (row, watcher) in watches.skip(first).take(room) {
        let line = Line::styled(text::pad(&watching(app, watcher), width), theme.accent);
        let is_selected = app.focus == Panel::Ingestion && row == selected;
        let line = if is_selected { selected_line(&line, theme) } else { line };
        let place = Rect { height: 1, ..rest };
        map.add(place, ScreenTarget::Row(RowList::Panel(Panel::Ingestion), row));
        frame.render_widget(line, place);
        rest = Rect { y: rest.y + 1, height: rest.height - 1, ..rest };
    }
    rest
}

fn watching(app: &App, watcher: &IngestWatcher) -> String {
    let folders = watcher.folders.iter().map(|it| short(it)).collect::<Vec<_>>().join(" ");
    format!("{} watches {folders} for {}", watcher.pid, units::duration(watcher.watched_ms(app.now)))
}

fn title(app: &App) -> String {
    let (all, running) = app.database().map_or((0, 0), |database| {
        let running = database.ingestions.iter().filter(|ingestion| ingestion.is_running()).count();
        (database.ingestions.len(), running)
    });
    match (all, running) {
        (0, _) => "Ingestion".to_owned(),
        (all, 0) => format!("Ingestion: last of {all}"),
        (all, running) if all == running => format!("Ingestion: {running} running"),
        (all, running) => format!("Ingestion: {running} running, {} past", all - running),
    }
}

/// A run in all its lines. What it waits for and why it failed take as many lines of `height` as are left.
fn block(
    app: &App,
    ingestion: &Ingestion,
    theme: &Theme,
    (width, height): (usize, usize),
) -> Vec<Line<'static>> {
    let state = ingestion.state.to_string();
    let room = width.saturating_sub(state.len() + 1);
    let mut lines = vec![
        Line::from(vec![
            Span::styled(text::pad(&folders(ingestion), room), theme.title),
            Span::styled(format!(" {state}"), style(ingestion.state, theme)),
        ]),
        files(ingestion, theme, width),
        Line::raw(text::fit(&batches(app, ingestion, width), width)),
    ];
    lines.extend(durations(ingestion, theme, width));
    for reason in waits(app, ingestion).into_iter().chain(problem(ingestion)) {
        let room = height.saturating_sub(lines.len()).max(1);
        lines.extend(
            text::wrap_within(&reason, width, room).into_iter().map(|it| Line::styled(it, theme.warning)),
        );
    }
    lines
}

/// A run in one line.
fn past(app: &App, ingestion: &Ingestion, theme: &Theme, width: usize) -> Line<'static> {
    let ago = app.now.duration_since(ingestion.started_at).as_secs_f64() * 1e3;
    let ago = format!("{} ago", units::duration(ago.max(0.0)));
    let took = format!("took {}", units::duration(ingestion.elapsed_ms(app.now)));
    let mut figures = String::new();
    if width >= WIDE {
        figures.push_str(&format!("  {:>20}  {took:<13}", format!("{} files", counted(ingestion))));
    }
    if width >= WIDEST {
        let hold = ingestion.hold_ms.map_or_else(|| "–".to_owned(), |hold| units::duration(hold.p99));
        let batches = format!("batches {}", units::count(ingestion.batches));
        figures.push_str(&format!("  {batches:<13}  hold p99 {hold:<8}"));
    }
    figures.push_str(&format!("  {ago:>12} "));
    let state = format!("{:>9}", ingestion.state.to_string());
    let room = width.saturating_sub(figures.chars().count() + state.len());
    Line::from(vec![
        Span::styled(text::pad(&folders(ingestion), room) + &figures, theme.muted),
        Span::styled(state, style(ingestion.state, theme)),
    ])
}

fn style(state: IngestionState, theme: &Theme) -> Style {
    match state {
        IngestionState::Running => theme.accent,
        IngestionState::Completed => theme.good,
        IngestionState::Stopped => theme.warning,
        IngestionState::Failed | IngestionState::Crashed => theme.danger,
    }
}

fn folders(ingestion: &Ingestion) -> String {
    ingestion.folders.iter().map(|folder| short(folder)).collect::<Vec<_>>().join(" ")
}

fn counted(ingestion: &Ingestion) -> String {
    let total = ingestion.files_total.map_or_else(|| "?".to_owned(), units::count);
    format!("{} of {total}", units::count(ingestion.files_done))
}

fn short(folder: &str) -> &str {
    folder.trim_end_matches('/').rsplit('/').next().unwrap_or(folder)
}

fn files(ingestion: &Ingestion, theme: &Theme, width: usize) -> Line<'static> {
    if let Some(embedding) = ingestion.embedding.as_ref().filter(|_| ingestion.is_running()) {
        return share(&embedding.to_string(), embedding.embedded, embedding.wanted, "", theme, width);
    }
    let done = ingestion.files_done;
    let Some(total) = ingestion.files_total else {
        let before =
            if ingestion.is_running() { "getting ready" } else { "it ended before it had counted the files" };
        return Line::raw(text::fit(before, width));
    };
    let failed = match ingestion.files_failed {
        0 => String::new(),
        failed => format!("  {} failed", units::count(failed)),
    };
    share(&counted(ingestion), done, total, &failed, theme, width)
}

/// The progress in words, as a bar and in percent, and further text.
fn share(words: &str, done: u64, total: u64, rest_of_it: &str, theme: &Theme, width: usize) -> Line<'static> {
    let percent = (done * 100).checked_div(total).unwrap_or(100);
    let counted = format!("{words}  ");
    let figures = format!(" {percent} %{rest_of_it}");
    let room = width.saturating_sub(counted.len() + figures.len()).min(12);
    let figures = text::fit(&figures, width.saturating_sub(counted.len() + room));
    #[expect(clippy::cast_precision_loss, reason = "a share of a bar")]
    let (full, rest) = bar(done as f64, total as f64, room);
    Line::from(vec![
        Span::raw(counted),
        Span::styled(full, theme.good),
        Span::styled(rest, theme.muted),
        Span::raw(figures),
    ])
}

fn batches(app: &App, ingestion: &Ingestion, width: usize) -> String {
    let mut line = format!("batch {}", units::count(ingestion.batches));
    if let Some(size) = ingestion.batch_size {
        line.push_str(&format!("  {}", units::plural(size, "file")));
    }
    if let Some(eta) = ingestion.eta_ms(app.now) {
        line.push_str(&format!("  ETA {}", units::duration(eta)));
        // As many parts as fit.
        let said = ingestion.decided.map(|decided| [sharing(decided), gaps(decided)]).unwrap_or_default();
        let room = width.saturating_sub(line.chars().count() + 2);
        if let Some(said) = said.iter().find(|said| !said.is_empty() && said.chars().count() <= room) {
            line.push_str(&format!("  {said}"));
        }
    } else if !ingestion.is_running() {
        line.push_str(&format!("  took {}", units::duration(ingestion.elapsed_ms(app.now))));
    }
    line
}

/// Whether it pauses between its batches, and why.
pub fn sharing(decided: BatchDecision) -> String {
    let why = match decided.sharing {
        LockSharing::Alone => "alone",
        LockSharing::OpenElsewhere => "others have it open",
        LockSharing::Waited => "others hold the lock",
        LockSharing::Unknown => "others may be there",
    };
    format!("{why}: {}", gaps(decided))
}

fn gaps(decided: BatchDecision) -> String {
    match decided.sharing {
        LockSharing::Alone => "no gaps".to_owned(),
        _ => format!("gaps of {}", units::duration(decided.gap_ms)),
    }
}

/// How long its batches held the lock, and how long they waited for it: one line each, or a shared line if it fits.
fn durations(ingestion: &Ingestion, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let Some((hold, wait)) = ingestion.hold_ms.zip(ingestion.wait_ms) else { return Vec::new() };
    let retried = match ingestion.busy_retries {
        0 => String::new(),
        retries => format!("  {} BUSY", units::count(retries)),
    };
    let waited: Vec<f64> = ingestion.recent_batches.iter().map(|it| it.wait_ms).collect();
    let of = |spread: DurationSpread| {
        format!(" p99 {}  max {}", units::duration(spread.p99), units::duration(spread.max))
    };
    let (hold, wait) = (of(hold), of(wait) + &retried);
    let recent = &ingestion.recent_holds_ms;
    let line = |label: &str, values: &[f64], figures: &str, width: usize| {
        let room = width.saturating_sub(label.len() + figures.chars().count()).min(24);
        [
            Span::raw(label.to_owned()),
            Span::styled(spark(values, room), theme.accent),
            Span::raw(text::fit(figures, width)),
        ]
    };
    if width < WIDE {
        return vec![
            Line::from(line("hold ", recent, &hold, width).to_vec()),
            Line::from(line("wait ", &waited, &wait, width).to_vec()),
        ];
    }
    let half = width / 2;
    vec![Line::from([line("hold ", recent, &hold, half), line("  wait ", &waited, &wait, half)].concat())]
}

/// The newest of `values` as blocks, at most `room`. The highest block is their maximum, at least 1 ms.
pub fn spark(values: &[f64], room: usize) -> String {
    let shown = &values[values.len().saturating_sub(room)..];
    let top = shown.iter().copied().fold(1.0, f64::max);
    shown.iter().map(|value| level(value / top)).collect()
}

/// The process that a running ingestion waits for at the moment.
pub fn waits(app: &App, ingestion: &Ingestion) -> Option<String> {
    let database = app.database()?;
    let writer = database.locks.writer.as_ref().filter(|writer| writer.pid != Some(ingestion.pid))?;
    let held = writer.held_ms.map(units::duration).unwrap_or_default();
    let who = super::who(database, writer.pid);
    ingestion.is_running().then(|| format!("waits: {who} has held the write lock for {held}"))
}

fn problem(ingestion: &Ingestion) -> Option<String> {
    if let Some(error) = &ingestion.error {
        return Some(error.clone());
    }
    if let Some(embedding) = ingestion.embedding.as_ref().filter(|it| it.error.is_some()) {
        return Some(embedding.to_string());
    }
    let first = ingestion.failures.first()?;
    let files = units::plural(ingestion.files_failed, "file");
    Some(format!("{files} failed: {}: {}", short(&first.path), first.reason))
}
