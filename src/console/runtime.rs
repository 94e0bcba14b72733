//! The event loop of the console: one `select!` over the terminal, the samples, the results, the clock and the signals.

use std::{
    collections::VecDeque,
    io::{self, Write},
    time::Duration,
};

use crossterm::event::{Event, EventStream, KeyEventKind, MouseButton, MouseEventKind};
use futures_util::StreamExt;
use jiff::Timestamp;
use rustix::process::Signal;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    act::{ActionOutcome, Effect, EffectReport, executor::EffectExecutor, remote::RemoteExecutor},
    endings::{EndSignals, exit_code},
    replay::ReplayedTimeline,
    sampler::SamplerCommand,
    state::places::Places,
    text, threads,
};

use super::{
    app::{App, DrawnFrame, Message},
    log_lines,
    settings_watch::SettingsWatch,
    source::{SampleOrigin, SampleSource, TimelineAnswer},
    terminal::TerminalGuard,
    view,
    widgets::theme::Theme,
};

/// How often the clock on the screen advances if no sample brings the time.
const TICK: Duration = Duration::from_secs(1);
/// How long waltop waits for a sample before the clock advances without one.
const LATE: Duration = Duration::from_millis(1250);

/// How often the settings are compared with what they were.
const SETTINGS: Duration = Duration::from_secs(2);

/// How long the first frame waits for the first sample.
const FIRST_LOOK: Duration = Duration::from_millis(40);

/// Runs the console until it quits; returns the exit code.
///
/// # Errors
///
/// If the terminal or the operating system's signals are unavailable.
pub async fn run(app: App, theme: Theme, source: SampleSource, places: &Places) -> io::Result<u8> {
    let mut endings = EndSignals::listen()?;
    let mut continued = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
    let (outbox, mut inbox) = mpsc::unbounded_channel();
    let remote = source.origin.hosts().map(|hosts| RemoteExecutor::new(hosts.to_vec(), outbox.clone()));
    let executor = EffectExecutor::new(outbox, places);
    let screen = TerminalGuard::enter(app.has_mouse())?;
    let SampleSource { origin, mut samples, mut timelines } = source;
    let mut at_work = ConsoleRuntime { app, screen, origin, executor, remote };
    // The stream starts a thread, and panics if it cannot.
    threads::need(1)?;
    let mut events = EventStream::new();
    let mut clock = interval(TICK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    if timeout(FIRST_LOOK, samples.changed()).await.is_ok() {
        let first = samples.borrow_and_update().clone();
        if let Some(first) = first
            && let Some(code) = at_work.handle(Message::Look(first))?
        {
            return Ok(at_work.leave_screen(code));
        }
    }
    let mut sampling = true;
    let mut settings = SettingsWatch::new(places);
    let mut compare_settings = interval(SETTINGS);
    compare_settings.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        if let Some(code) = at_work.draw(&theme)? {
            return Ok(at_work.leave_screen(code));
        }
        let message = tokio::select! {
            event = next_event(&mut events) => match event {
                Some(Ok(event)) => message(event),
                // The terminal is gone, for example after a hang-up.
                Some(Err(_)) | None => return Ok(129),
            },
            changed = samples.changed(), if sampling => {
                sampling = changed.is_ok();
                clock.reset_after(LATE);
                let look = samples.borrow_and_update().clone().filter(|_| sampling);
                Some(look.map_or(Message::SamplerEnded, Message::Look))
            }
            Some(report) = inbox.recv() => Some(Message::Report(report)),
            Some(ReplayedTimeline { index, window, timeline }) = timelines.recv() => {
                Some(Message::Timeline { index, window, timeline })
            }
            _ = compare_settings.tick() => settings.has_changed().then_some(Message::SettingsChanged),
            _ = clock.tick() => Some(Message::Tick(Timestamp::now())),
            // The shell may have used the terminal in between.
            _ = continued.recv() => {
                at_work.screen.take_back()?;
                None
            }
            signal = endings.next() => return Ok(at_work.leave_screen(exit_code(signal))),
        };
        // A key means what was on the screen at its time.
        if matches!(message, Some(Message::Key(_))) {
            at_work.handle(Message::Tick(Timestamp::now()))?;
        }
        if let Some(message) = message
            && let Some(code) = at_work.handle(message)?
        {
            return Ok(at_work.leave_screen(code));
        }
    }
}

/// The console and the resources that its effects use.
struct ConsoleRuntime {
    app: App,
    screen: TerminalGuard,
    origin: SampleOrigin,
    executor: EffectExecutor,
    /// Acts on other hosts in its place.
    remote: Option<RemoteExecutor>,
}

impl ConsoleRuntime {
    /// Draws a frame; returns the exit code if drawing ends the console.
    fn draw(&mut self, theme: &Theme) -> io::Result<Option<u8>> {
        let lines = log_lines::take();
        if !lines.is_empty()
            && let Some(code) = self.handle(Message::Logged(lines))?
        {
            return Ok(Some(code));
        }
        let mut drawn = DrawnFrame::default();
        self.screen.set_title(self.app.title())?;
        self.screen.draw(|frame| drawn = view::render(frame, &self.app, theme))?;
        self.handle(Message::Drawn(drawn))
    }

    /// Applies a message and runs its effects; returns the exit code if that ends the console.
    fn handle(&mut self, message: Message) -> io::Result<Option<u8>> {
        let is_sample = matches!(message, Message::Look(_));
        let mut effects = VecDeque::from(self.app.update(message));
        if is_sample {
            self.app.findings_were_recorded(&self.origin.take_findings());
        }
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Quit(code) => return Ok(Some(code)),
                Effect::Refresh => self.origin.order(SamplerCommand::Now),
                Effect::Every(interval) => self.origin.order(SamplerCommand::Every(interval)),
                Effect::Record(is_on) => {
                    let outcome = self.origin.record(is_on);
                    let report = Message::Report(EffectReport::Outcome(outcome));
                    effects.extend(self.app.update(report));
                }
                Effect::Replay(command) => self.origin.replay(command),
                Effect::Timeline { index, window } => {
                    if let TimelineAnswer::Now(timeline) = self.origin.timeline(index, window) {
                        effects.extend(self.app.update(Message::Timeline { index, window, timeline }));
                    }
                }
                Effect::Copy(text) => TerminalGuard::copy(&text)?,
                Effect::Bell => TerminalGuard::ring()?,
                Effect::Mouse(is_taken) => self.screen.set_mouse(is_taken)?,
                Effect::Note(level, text) => log::log!(level, "{}", text::clean(&text)),
                Effect::AskPragmas { index, path, presence } => {
                    if let Some(orders) = self.origin.orders() {
                        self.executor.ask_pragmas(index, path, presence, orders);
                    }
                }
                Effect::Pin(_) | Effect::Unpin | Effect::Act(_) | Effect::StopHealth => self.act(effect),
                Effect::Export(snapshot) => self.executor.export(&snapshot),
                Effect::Preview(query) => self.executor.preview(query),
                Effect::SearchDocuments { database, query } => self.executor.search(database, query),
                Effect::StopSearch => self.executor.stop_search(),
                Effect::ReadDocument(path) => self.executor.read_document(path),
                Effect::PythonStack { program, target } => self.executor.python_stack(program, target),
                Effect::Redraw => self.screen.clear()?,
                Effect::Suspend => {
                    if !self.screen.suspend()? {
                        let text = "cannot suspend: no shell waits for this process; q quits";
                        let refused = EffectReport::Outcome(ActionOutcome::partial(text));
                        effects.extend(self.app.update(Message::Report(refused)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Runs an effect on processes and databases, where they are.
    fn act(&mut self, effect: Effect) {
        let database = self.app.database().map(|database| database.path.clone());
        match (&mut self.remote, effect) {
            (Some(remote), Effect::Pin(meant)) => remote.pin(&meant, database.as_deref()),
            (Some(remote), Effect::Unpin) => remote.unpin(),
            (Some(remote), Effect::Act(confirmed)) => remote.act(confirmed),
            (Some(remote), Effect::StopHealth) => remote.stop_health(),
            (None, Effect::Pin(meant)) => self.executor.pin(&meant),
            (None, Effect::Unpin) => self.executor.unpin(),
            (None, Effect::Act(confirmed)) => self.executor.act(confirmed),
            (None, Effect::StopHealth) => self.executor.stop_health(),
            _ => {}
        }
    }

    /// Leaves the screen and reports what continues to run.
    fn leave_screen(self, code: u8) -> u8 {
        drop(self.screen);
        for running in self.app.running_ingestions() {
            let folders = text::clean(&running.folders.join(" "));
            let pid = running.pid;
            // After a hang-up there is no terminal, and `println!` panics.
            let _ = writeln!(
                io::stdout(),
                "The ingestion of {folders} continues in process {pid}; waltop shows it again."
            );
        }
        code
    }
}

/// The next event that may change something. A motion of the pointer does not, so no frame follows it.
async fn next_event(events: &mut EventStream) -> Option<io::Result<Event>> {
    loop {
        match events.next().await {
            Some(Ok(Event::Mouse(mouse))) if !is_click_or_wheel(mouse.kind) => {}
            event => return event,
        }
    }
}

fn is_click_or_wheel(kind: MouseEventKind) -> bool {
    matches!(
        kind,
        MouseEventKind::Down(MouseButton::Left)
            | MouseEventKind::Up(MouseButton::Left)
            | MouseEventKind::ScrollDown
            | MouseEventKind::ScrollUp
    )
}

fn message(event: Event) -> Option<Message> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(Message::Key(key)),
        Event::Paste(text) => Some(Message::Paste(text)),
        Event::Mouse(mouse) => Some(Message::Mouse(mouse)),
        // Any event causes a new frame, including a resize.
        _ => None,
    }
}
