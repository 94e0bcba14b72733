//! What the console remembers of each database, whether or not it is on the screen.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use crate::{
    act::Effect,
    config::profile::Profile,
    sampler::Sample,
    snapshot::{Database, FileHeader, PathReach, Presence, ProcessId, Severity},
};

use super::{App, PanelCursors, findings::FindingHistory, prompt::RowFilters};

/// How often the pragmas are read again.
const ASK_PRAGMAS: Duration = Duration::from_mins(1);
/// The interval after the header or the set of processes changed. The worker that reads the pragmas briefly is such a
/// process.
const ASK_PRAGMAS_CHANGED: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct DatabaseState {
    /// The profile that it is checked against.
    pub(super) profile: Option<Profile>,
    pub(super) cursor: PanelCursors,
    /// Whether a key was pressed while it was shown, so that no finding moves the selection.
    pub(super) is_settled: bool,
    /// The severity of the finding that has selected a row so far.
    pub(super) selected_for: Option<Severity>,
    /// The processes that the user tagged.
    pub(super) tags: BTreeSet<ProcessId>,
    /// The filters of the rows.
    pub(super) filters: RowFilters,
    /// The current and the resolved findings.
    pub(super) findings: FindingHistory,
    /// In a replay, the sample at which following the findings began: how old those of that sample are is not known.
    pub(super) followed_since: Option<Timestamp>,
    /// Whether a sample has shown it.
    pub(super) was_sampled: bool,
    /// How the path led there in the newest sample.
    pub(super) reach: PathReach,
    /// Whether any sample found a file at the path.
    pub(super) was_there: bool,
    asked: PragmaRequest,
    /// Why its pragmas could not be read.
    pub(super) refusal: Option<String>,
    /// The due time of the checkpoint whose wait was last reported.
    pub(super) awaited: Option<Timestamp>,
}

/// When a database's pragmas were requested, and for which header.
#[derive(Debug, Clone, Default)]
struct PragmaRequest {
    at: Option<Timestamp>,
    header: Option<FileHeader>,
    presence: Option<Presence>,
}

impl DatabaseState {
    /// Forgets what the samples before have shown, since they are not those before the next one.
    pub(super) fn forget_past(&mut self, next: Timestamp) {
        self.findings = FindingHistory::default();
        self.followed_since = Some(next);
        (self.was_sampled, self.was_there) = (false, false);
    }

    /// Requests the pragmas of `database`, at `index`, if they are due.
    #[must_use]
    fn due_question(&mut self, index: usize, database: &Database, now: Timestamp) -> Option<Effect> {
        database.files.db.as_ref()?;
        let presence = database.presence();
        let changed = self.asked.header != database.header || self.asked.presence != Some(presence);
        let patience = if changed { ASK_PRAGMAS_CHANGED } else { ASK_PRAGMAS };
        if self.asked.at.is_some_and(|at| now.duration_since(at).unsigned_abs() < patience) {
            return None;
        }
        self.asked =
            PragmaRequest { at: Some(now), header: database.header.clone(), presence: Some(presence) };
        Some(Effect::AskPragmas { index, path: database.path.clone(), presence })
    }
}

/// The states of all databases, in the order of the samples. One is always on the screen; before the first sample it
/// shows that there is none.
#[derive(Debug)]
pub(super) struct DatabaseStates {
    shown: usize,
    all: Vec<DatabaseState>,
}

impl DatabaseStates {
    pub(super) fn new(profiles: Vec<Profile>) -> Self {
        let known = profiles.into_iter().map(|it| DatabaseState { profile: Some(it), ..Default::default() });
        let mut states = Self { shown: 0, all: known.collect() };
        states.make_room(1);
        states
    }

    pub(super) fn make_room(&mut self, count: usize) {
        self.all.resize_with(self.all.len().max(count), DatabaseState::default);
    }

    pub(super) fn shown(&self) -> &DatabaseState {
        &self.all[self.shown]
    }

    pub(super) fn shown_mut(&mut self) -> &mut DatabaseState {
        &mut self.all[self.shown]
    }

    pub(super) fn get(&self, index: usize) -> Option<&DatabaseState> {
        self.all.get(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut DatabaseState> {
        self.all.get_mut(index)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut DatabaseState> {
        self.all.iter_mut()
    }

    pub(super) fn show(&mut self, index: usize) {
        self.make_room(index + 1);
        self.shown = index;
    }
}

impl App {
    /// The index of the database on the screen.
    pub fn current(&self) -> usize {
        self.states.shown
    }

    /// The profile that the database on the screen is checked against.
    pub fn profile(&self) -> Option<&Profile> {
        self.states.shown().profile.as_ref()
    }

    /// Why the pragmas of the database on the screen could not be read.
    pub fn pragma_refusal(&self) -> Option<&str> {
        self.states.shown().refusal.as_deref()
    }

    /// Whether the database at `index` has left its path: it is missing although it was there, or other processes still
    /// use it.
    pub fn has_gone(&self, index: usize) -> bool {
        let was_there = self.states.get(index).is_some_and(|state| state.was_there);
        self.databases().get(index).is_some_and(|it| it.is_gone() || it.files.db.is_none() && was_there)
    }

    /// Requests the pragmas of the databases that are due, the one on the screen first.
    #[must_use]
    pub(super) fn due_questions(&mut self, sample: &Sample) -> Vec<Effect> {
        let databases = &sample.snapshot.databases;
        let shown = self.current();
        let others = (0..databases.len()).filter(|&index| index != shown);
        let mut effects = Vec::new();
        // waltop connects to a database that it found only after the user has opened it.
        let is_asked = |index: usize| !self.is_discovered() || index == shown && self.overview().is_none();
        let due: Vec<usize> = [shown].into_iter().chain(others).filter(|&index| is_asked(index)).collect();
        for index in due {
            if let (Some(database), Some(state)) = (databases.get(index), self.states.get_mut(index)) {
                effects.extend(state.due_question(index, database, self.now));
            }
        }
        effects
    }

    pub(super) fn ask_again(&mut self) {
        for state in self.states.iter_mut() {
            state.asked = PragmaRequest::default();
        }
    }
}
