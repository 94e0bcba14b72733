//! The history of findings: resolved findings stay visible for a while, with how long they lasted.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    replay::RecordedFinding,
    snapshot::{Finding, FindingKind, Severity},
};

use super::{App, FilterTarget};

/// How many resolved findings are kept per database.
const REMEMBERED: usize = 20;
/// A finding that begins within this time after its end is not new.
const RECURS: SignedDuration = SignedDuration::from_mins(1);

/// A finding that a recorder has seen begins here within this time after that, if it goes on: some need to be watched
/// for a while, idleness for 30 s.
const FOUND_AGAIN: SignedDuration = SignedDuration::from_mins(2);

/// What identifies a finding across samples.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FindingId {
    pub kind: FindingKind,
    /// `None` if it is about no process, or about a subject that processes come and go from.
    pub pid: Option<i32>,
    /// The subject, for rules that can report several findings without a process: a pidfile, a run, a library.
    pub subject: Option<String>,
}

/// The evidence keys that name the subject.
const SUBJECTS: [&str; 2] = ["pidfile", "run"];
/// Those of a subject that several processes share: the finding stays the same while they come and go.
const SHARED_SUBJECTS: [&str; 1] = ["library"];

/// A finding that was resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedFinding {
    /// The finding as last seen.
    pub finding: Finding,
    /// The first sample without it.
    pub at: Timestamp,
    /// From the first sample with it until then. For a finding that recurred, the last time only.
    pub held: Duration,
    /// How often it was resolved.
    pub times: u32,
}

/// A row of the findings.
#[derive(Debug, Clone, Copy)]
pub enum FindingRow<'a> {
    Now(&'a Finding),
    Gone(&'a ResolvedFinding),
}

impl<'a> FindingRow<'a> {
    /// The finding, current or resolved.
    pub fn finding(self) -> &'a Finding {
        match self {
            Self::Now(finding) => finding,
            Self::Gone(gone) => &gone.finding,
        }
    }

    pub(super) fn key(self) -> FindingId {
        key(self.finding())
    }

    /// The text that a filter matches: severity or `gone`, name, PID, message with the label.
    fn searchable(self) -> String {
        let Finding { kind, severity, pid, message, .. } = self.finding();
        let state = match self {
            Self::Now(_) => severity.to_string(),
            Self::Gone(_) => "gone".to_owned(),
        };
        format!("{state} {kind} {} {message}", pid.map_or_else(String::new, |pid| pid.to_string()))
    }
}

/// The findings of a database over all samples.
#[derive(Debug, Default)]
pub(super) struct FindingHistory {
    current: BTreeMap<FindingId, CurrentFinding>,
    /// Newest first. A finding that recurs is removed, and its count of resolutions is kept.
    gone: VecDeque<ResolvedFinding>,
    /// What a recorder has seen and has not begun here yet, and the time until which it may.
    awaited: Vec<(RecordedFinding, Timestamp)>,
}

#[derive(Debug)]
struct CurrentFinding {
    finding: Finding,
    since: Timestamp,
    /// Whether that comes from a recorder.
    is_recorded: bool,
    times: u32,
}

/// A change of a finding between two samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FindingChange {
    Began {
        finding: Finding,
        /// Whether it was not there for the last [`RECURS`] either.
        is_new: bool,
        /// How often it has ended before.
        times: u32,
    },
    Worsened {
        finding: Finding,
        before: Severity,
    },
    Ended(ResolvedFinding),
}

impl FindingHistory {
    /// Adds the findings of a sample, and returns what changed, the end of findings last.
    pub(super) fn follow(&mut self, findings: &[Finding], taken_at: Timestamp) -> Vec<FindingChange> {
        let mut changes = Vec::new();
        let mut before = std::mem::take(&mut self.current);
        for finding in findings {
            let key = key(finding);
            let known = before.remove(&key);
            // Of two with one key the first counts, as in the panel.
            if self.current.contains_key(&key) {
                continue;
            }
            let (since, is_recorded, times) = if let Some(known) = known {
                let before = known.finding.severity;
                if finding.severity > before {
                    changes.push(FindingChange::Worsened { finding: finding.clone(), before });
                }
                (known.since, known.is_recorded, known.times)
            } else {
                let (times, ended_at) = self.reopen(&key);
                let is_recent = |at: Timestamp| taken_at.duration_since(at) < RECURS;
                let is_new = !ended_at.is_some_and(is_recent);
                changes.push(FindingChange::Began { finding: finding.clone(), is_new, times });
                (taken_at, false, times)
            };
            self.current.insert(key, CurrentFinding { finding: finding.clone(), since, is_recorded, times });
        }
        self.take_recorded(taken_at);
        // Each is pushed to the front, so the first kind ends up first.
        let mut ended: Vec<CurrentFinding> = before.into_values().collect();
        ended.sort_by_key(|ended| Reverse(ended.finding.kind));
        for ended in ended {
            let held = Duration::try_from(taken_at.duration_since(ended.since)).unwrap_or_default();
            let resolved =
                ResolvedFinding { finding: ended.finding, at: taken_at, held, times: ended.times + 1 };
            changes.push(FindingChange::Ended(resolved.clone()));
            self.gone.push_front(resolved);
        }
        self.gone.truncate(REMEMBERED);
        changes
    }

    /// A recorder has seen the finding earlier, at the time of the newest sample, `taken_at`, still.
    fn was_recorded(&mut self, recorded: RecordedFinding, taken_at: Timestamp) {
        let has_ended = self
            .gone
            .iter()
            .any(|gone| (gone.finding.kind, gone.finding.pid) == (recorded.kind, recorded.pid));
        if !has_ended {
            let until = taken_at.checked_add(FOUND_AGAIN).unwrap_or(taken_at);
            self.awaited.push((recorded, until));
            self.take_recorded(taken_at);
        }
    }

    // Of several current ones with one kind and process it is not known which one was recorded.
    fn take_recorded(&mut self, taken_at: Timestamp) {
        let Self { current, awaited, .. } = self;
        awaited.retain(|(_, until)| taken_at <= *until);
        awaited.retain(|(recorded, _)| {
            let is_it = |it: &Finding| (it.kind, it.pid) == (recorded.kind, recorded.pid);
            let mut same: Vec<_> = current.values_mut().filter(|it| is_it(&it.finding)).collect();
            if let [finding] = &mut same[..]
                && recorded.since < finding.since
            {
                (finding.since, finding.is_recorded) = (recorded.since, true);
            }
            same.is_empty()
        });
    }

    /// Removes a finding that recurs from the resolved ones and returns how often it was resolved, and when last.
    fn reopen(&mut self, wanted: &FindingId) -> (u32, Option<Timestamp>) {
        let at = self.gone.iter().position(|gone| key(&gone.finding) == *wanted);
        at.and_then(|at| self.gone.remove(at)).map_or((0, None), |gone| (gone.times, Some(gone.at)))
    }
}

impl App {
    /// The findings of the database on the screen: current ones, worst first, then resolved ones, newest first.
    pub fn finding_rows(&self) -> Vec<FindingRow<'_>> {
        let mut rows = self.all_finding_rows();
        rows.retain(|row| self.passes(FilterTarget::Findings, || row.searchable()));
        rows
    }

    fn all_finding_rows(&self) -> Vec<FindingRow<'_>> {
        let (Some(look), Some(database)) = (self.sample(), self.database()) else { return Vec::new() };
        // While a pause keeps an older sample on the screen, later changes are hidden.
        let is_past = |gone: &&ResolvedFinding| {
            gone.at <= look.taken_at(self.current())
                && !database.findings.iter().any(|finding| key(finding) == key(&gone.finding))
        };
        let now = database.findings.iter().map(FindingRow::Now);
        let gone = self.states.shown().findings.gone.iter().filter(is_past).map(FindingRow::Gone);
        now.chain(gone).collect()
    }

    /// For how long the current `finding` has held at least, in ms: as long as it was observed, or as its evidence says.
    /// `None` if neither is known.
    pub fn finding_age(&self, finding: &Finding) -> Option<f64> {
        let history = &self.states.shown().findings;
        let since = history.current.get(&key(finding)).map(|it| it.since);
        // A pause still shows it after it was resolved.
        let gone = || {
            let gone = history.gone.iter().find(|gone| key(&gone.finding) == key(finding))?;
            gone.at.checked_sub(gone.held).ok()
        };
        let until = self.sample()?.taken_at(self.current());
        let since = since.or_else(gone)?;
        let held = finding.evidence.get("held_ms").and_then(serde_json::Value::as_f64);
        if self.states.shown().followed_since == Some(since) {
            return held;
        }
        let observed = until.duration_since(since).as_millis_f64().max(0.0);
        Some(observed.max(held.unwrap_or(0.0)))
    }

    /// Takes since when findings have been there, as a recorder beside the console has seen them.
    pub fn findings_were_recorded(&mut self, recorded: &[RecordedFinding]) {
        let Some(taken_at) = self.newest.as_ref().map(|sample| sample.snapshot.taken_at) else { return };
        for recorded in recorded {
            if let Some(state) = self.states.get_mut(recorded.index) {
                state.findings.was_recorded(*recorded, taken_at);
            }
        }
    }

    /// Whether a finding of the database on the screen is older than this console, as a recorder has seen.
    pub fn has_recorded_ages(&self) -> bool {
        self.states.shown().findings.current.values().any(|finding| finding.is_recorded)
    }

    /// The row of the finding `key`, if it is remembered.
    pub fn finding_row(&self, key: &FindingId) -> Option<FindingRow<'_>> {
        self.all_finding_rows().into_iter().find(|row| row.key() == *key)
    }
}

pub(super) fn key(finding: &Finding) -> FindingId {
    let named = |names: &[&str]| names.iter().find_map(|name| finding.evidence.get(*name)?.as_str());
    let shared = named(&SHARED_SUBJECTS);
    FindingId {
        kind: finding.kind,
        pid: finding.pid.filter(|_| shared.is_none()),
        subject: shared.or_else(|| named(&SUBJECTS)).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Remedy;

    const A: FindingKind = FindingKind::PinnedWal;

    fn finding(kind: FindingKind, pid: i32, message: &str) -> Finding {
        Finding {
            kind,
            severity: Severity::Warning,
            label: None,
            pid: Some(pid),
            message: message.to_owned(),
            evidence: serde_json::Map::new(),
            remedy: Remedy { action: None, command: None },
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// Kind, PID, seconds held and times of what is gone.
    fn outline(followed: &FindingHistory) -> Vec<(FindingKind, i32, u64, u32)> {
        let pid = |gone: &ResolvedFinding| gone.finding.pid.expect("the tests give one");
        followed.gone.iter().map(|it| (it.finding.kind, pid(it), it.held.as_secs(), it.times)).collect()
    }

    #[test]
    fn findings_without_a_process_are_distinguished_by_what_they_are_about() {
        let dead = |path: &str| {
            let mut finding = Finding { pid: None, ..finding(FindingKind::DeadPidfile, 0, path) };
            finding.evidence.insert("pidfile".to_owned(), path.into());
            finding
        };
        let mut followed = FindingHistory::default();
        followed.follow(&[dead("/a.pid"), dead("/b.pid")], at(0));
        followed.follow(&[dead("/b.pid")], at(10));
        let gone: Vec<_> = followed.gone.iter().map(|gone| gone.finding.message.as_str()).collect();
        assert_eq!(gone, ["/a.pid"]);
    }

    #[test]
    fn a_finding_about_a_library_stays_the_same_while_its_processes_come_and_go() {
        let of = |library: &str, pid| {
            let mut finding = Finding { pid, ..finding(FindingKind::WalResetBug, 0, library) };
            finding.evidence.insert("library".to_owned(), library.into());
            finding
        };
        let mut followed = FindingHistory::default();
        for (second, pid) in [(0, None), (10, Some(7)), (20, Some(8)), (30, None)] {
            let began = followed.follow(&[of("/a.so", pid), of("/b.so", Some(9))], at(second)).len();
            assert_eq!(began, if second == 0 { 2 } else { 0 });
        }
        followed.follow(&[of("/b.so", Some(9))], at(40));
        let gone: Vec<_> = followed.gone.iter().map(|gone| gone.finding.message.as_str()).collect();
        assert_eq!(gone, ["/a.so"]);
    }

    #[test]
    fn what_went_away_says_how_long_it_held_and_as_what() {
        let mut followed = FindingHistory::default();
        followed.follow(&[finding(A, 1, "for 1 s"), finding(A, 2, "other")], at(10));
        followed.follow(&[finding(A, 1, "for 5 s"), finding(A, 2, "other")], at(15));
        assert!(followed.gone.is_empty());
        followed.follow(&[finding(A, 2, "other")], at(20));
        assert_eq!(outline(&followed), [(A, 1, 10, 1)]);
        assert_eq!((followed.gone[0].finding.message.as_str(), followed.gone[0].at), ("for 5 s", at(20)));
    }

    #[test]
    fn what_comes_and_goes_is_one_entry_that_counts() {
        let mut followed = FindingHistory::default();
        for round in 0..5 {
            followed.follow(&[finding(A, 1, "")], at(round * 10));
            assert!(followed.gone.is_empty(), "it holds, so it is not gone");
            followed.follow(&[], at(round * 10 + round + 1));
        }
        assert_eq!(outline(&followed), [(A, 1, 5, 5)]);
    }

    #[test]
    fn the_newest_stand_first_and_the_oldest_are_forgotten() {
        let mut followed = FindingHistory::default();
        for pid in 1..=30 {
            followed.follow(&[finding(A, pid, "")], at(pid.into()));
        }
        followed.follow(&[], at(31));
        let pids: Vec<i32> = outline(&followed).into_iter().map(|(_, pid, _, _)| pid).collect();
        assert_eq!(pids, (11..=30).rev().collect::<Vec<_>>());
    }

    #[test]
    fn what_a_recorder_has_seen_is_as_old_as_there_if_it_begins_here_soon() {
        let recorded = RecordedFinding { index: 0, kind: A, pid: Some(1), since: at(1000) };
        for (began, since) in [(2000, 1000), (2032, 1000), (2120, 1000), (2121, 2121)] {
            let mut followed = FindingHistory::default();
            followed.follow(&[finding(A, 2, "")], at(2000));
            followed.was_recorded(recorded, at(2000));
            followed.follow(&[finding(A, 1, ""), finding(A, 2, "")], at(began));
            let begins: Vec<_> = followed.current.values().map(|it| (it.since, it.is_recorded)).collect();
            assert_eq!(begins, [(at(since), since == 1000), (at(2000), false)], "{began}");
            // It ends, and comes back as a new one.
            followed.follow(&[], at(began + 1));
            followed.follow(&[finding(A, 1, "")], at(began + 2));
            assert!(followed.current.values().all(|it| it.since == at(began + 2) && !it.is_recorded));
        }
    }

    #[test]
    fn what_has_ended_before_its_record_is_known_is_not_awaited() {
        let mut followed = FindingHistory::default();
        followed.follow(&[finding(A, 1, "")], at(2000));
        followed.follow(&[], at(2001));
        let recorded = RecordedFinding { index: 0, kind: A, pid: Some(1), since: at(1000) };
        followed.was_recorded(recorded, at(2001));
        followed.follow(&[finding(A, 1, "")], at(2002));
        assert_eq!(followed.current.values().map(|it| it.since).collect::<Vec<_>>(), [at(2002)]);
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_negative_time() {
        let mut followed = FindingHistory::default();
        followed.follow(&[finding(A, 1, "")], at(100));
        followed.follow(&[], at(50));
        assert_eq!(outline(&followed), [(A, 1, 0, 1)]);
    }

    #[test]
    fn two_of_one_rule_and_process_in_one_sample_are_one() {
        let mut followed = FindingHistory::default();
        let twins = [finding(A, 1, "first"), finding(A, 1, "second")];
        followed.follow(&twins, at(1));
        followed.follow(&twins, at(4));
        followed.follow(&[], at(9));
        assert_eq!(outline(&followed), [(A, 1, 8, 1)]);
    }
}
