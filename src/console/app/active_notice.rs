//! The notice on the screen: it goes with the next key, or after some seconds.

use std::time::Duration;

use jiff::Timestamp;

use super::{App, Notice};
use crate::act::Effect;

/// How long a notice stays if no key is pressed.
const NOTICE: Duration = Duration::from_secs(5);

/// What just happened. It is shown until the next key, a change of database, or its timeout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActiveNotice {
    notice: Notice,
    until: Timestamp,
}

impl App {
    /// Shows a notice, and returns the effect that logs it.
    pub(super) fn notify(&mut self, notice: impl Into<Notice>) -> Effect {
        let notice = notice.into();
        let effect = Effect::Note(notice.level(), notice.to_string());
        self.show_notice(notice);
        effect
    }

    /// Shows a notice that is not logged.
    pub(super) fn show_notice(&mut self, notice: Notice) {
        let until = self.clock.checked_add(NOTICE).unwrap_or(Timestamp::MAX);
        self.notice = Some(ActiveNotice { notice, until });
    }

    /// The notice on the screen.
    pub fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref().map(|it| &it.notice)
    }

    pub(super) fn drop_old_notice(&mut self) {
        self.notice.take_if(|notice| notice.until <= self.clock);
    }
}
