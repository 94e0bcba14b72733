//! A console that shows a recording instead of the present: its keys move in time, and nothing acts.

use crossterm::event::{Event, KeyCode, KeyEvent};
use jiff::Timestamp;
use tui_input::{Input, backend::crossterm::EventHandler};

use super::{App, ConsoleKind, LogLine, Mode, Overlay, RecordingNotice, alerts};
use crate::{
    act::{Effect, gate::NotArmed},
    config::ReadOnly,
    keymap::Action,
    recording::{PlayedMoment, RecordedNote, UnwatchedTime, time_of},
    replay::ReplayCommand,
    snapshot::Snapshot,
};

impl App {
    /// Whether the console shows a recording.
    pub fn is_replay(&self) -> bool {
        self.setup.kind == ConsoleKind::Replay
    }

    /// The moment on the screen; `None` if the console shows the present.
    pub fn moment(&self) -> Option<&PlayedMoment> {
        self.newest.as_ref()?.replay.as_ref()
    }

    /// The time on the screen, if it was not watched.
    pub fn unwatched(&self) -> Option<&UnwatchedTime> {
        self.moment()?.unwatched.as_ref()
    }

    /// Takes the time and the log of `moment`, whose sample is `snapshot`. A moment that does not follow the one before,
    /// or has other databases, has no past here.
    pub(super) fn replayed(&mut self, moment: &PlayedMoment, snapshot: &Snapshot) {
        let is_same = self.newest.as_ref().is_some_and(|before| {
            let (before, now) = (before.snapshot.databases.iter(), snapshot.databases.iter());
            before.map(|it| &it.path).eq(now.map(|it| &it.path))
        });
        if !is_same || !moment.follows {
            self.states.iter_mut().for_each(|state| state.forget_past(snapshot.taken_at));
        }
        self.now = moment.at;
        self.log.replace(moment.notes.iter().map(log_line));
        if moment.unwatched.is_some() && !matches!(self.overlay, Some(Overlay::Help)) {
            self.close_overlay();
        }
    }

    /// Of `effects` of a sample, those that ask the recording. The others ask the present, or report it.
    #[must_use]
    pub(super) fn effects_of_moment(
        &mut self,
        moment: &PlayedMoment,
        mut effects: Vec<Effect>,
    ) -> Vec<Effect> {
        effects.retain(|effect| matches!(effect, Effect::Timeline { .. }));
        if let Some(remark) = moment.remark {
            effects.push(self.notify(RecordingNotice::Remark(remark)));
        }
        effects
    }

    /// What `action` does in a replay; `None`: the same as elsewhere, or this is none.
    #[must_use]
    pub(super) fn act_in_replay(&mut self, action: Action) -> Option<Vec<Effect>> {
        if !self.is_replay() {
            return None;
        }
        let command = match action {
            Action::Play | Action::Pause => ReplayCommand::Play,
            Action::Earlier | Action::Later => ReplayCommand::Step { is_later: action == Action::Later },
            Action::PreviousFinding | Action::NextFinding => {
                ReplayCommand::Finding { is_later: action == Action::NextFinding }
            }
            Action::PlaySlower | Action::Slower => ReplayCommand::Speed { is_faster: false },
            Action::PlayFaster | Action::Faster => ReplayCommand::Speed { is_faster: true },
            Action::GoTo => return Some(self.go_to()),
            Action::Details | Action::Copy | Action::CopyPid | Action::Export
                if self.unwatched().is_some() =>
            {
                return Some(vec![self.notify(RecordingNotice::Unwatched)]);
            }
            Action::Documents | Action::Stack | Action::Refresh | Action::Arm | Action::Record => {
                let notice = self.not_armed(NotArmed::ReadOnly(ReadOnly::Replay));
                return Some(vec![self.notify(notice)]);
            }
            _ => return None,
        };
        Some(vec![Effect::Replay(command)])
    }

    /// Goes to the moment under the cursor of the timeline, or asks for a time.
    #[must_use]
    fn go_to(&mut self) -> Vec<Effect> {
        let Some(at) = self.moment_under_cursor() else {
            self.mode = Mode::GoTo(Input::default());
            return Vec::new();
        };
        self.close_timeline();
        vec![Effect::Replay(ReplayCommand::GoTo(at))]
    }

    /// Handles a key while a time is typed; `None` if none is.
    #[must_use]
    pub(super) fn time_key(&mut self, key: KeyEvent) -> Option<Vec<Effect>> {
        let Mode::GoTo(typed) = &mut self.mode else { return None };
        match key.code {
            KeyCode::Esc => self.mode = Mode::Panels,
            KeyCode::Enter => {
                let text = typed.value().to_owned();
                return Some(self.go_to_time(&text));
            }
            _ => {
                typed.handle_event(&Event::Key(key));
            }
        }
        Some(Vec::new())
    }

    // A time without a date, or so long ago, is meant from the end of the recording.
    #[must_use]
    fn go_to_time(&mut self, text: &str) -> Vec<Effect> {
        let Some(recorded) = self.moment().map(|moment| moment.recorded) else { return Vec::new() };
        match time_of(text, &recorded.1.to_zoned(self.setup.time_zone.clone())) {
            Ok(at) if at < recorded.0 || at > recorded.1 => {
                let [from, to] = [recorded.0, recorded.1].map(|at| self.date_time(at));
                vec![self.notify(RecordingNotice::NotRecorded { from, to })]
            }
            Ok(at) => {
                self.mode = Mode::Panels;
                vec![Effect::Replay(ReplayCommand::GoTo(at))]
            }
            Err(error) => vec![self.notify(RecordingNotice::NoTime(error))],
        }
    }

    /// `at` with its date, in the zone of the console.
    pub fn date_time(&self, at: Timestamp) -> String {
        at.to_zoned(self.setup.time_zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

fn log_line(note: &RecordedNote) -> LogLine {
    LogLine { at: note.at, level: alerts::level(note.severity), text: crate::text::clean(&note.text) }
}
