//! What the holder of a lock did meanwhile, added to the findings about the hold.

use crate::snapshot::{Activity, Database, Finding, FindingKind, HolderActivity};

/// `finding` with the activity of its process, if it is about a hold and samples name an activity.
pub fn with_activity(mut finding: Finding, database: &Database) -> Finding {
    let is_about_a_hold = matches!(
        finding.kind,
        FindingKind::LongWriteLock
            | FindingKind::LongCheckpoint
            | FindingKind::PinnedWal
            | FindingKind::OldSnapshot
            | FindingKind::SlowBatch
    );
    let process = finding.pid.filter(|_| is_about_a_hold).and_then(|pid| database.process(pid));
    let Some(activity) = process.and_then(|process| process.activity.as_ref()) else { return finding };
    // A checkpoint has no sleep of its own: it waits in the busy handler.
    let is_handler = finding.kind == FindingKind::LongCheckpoint
        && activity.named().is_some_and(|named| named.activity == Activity::Asleep);
    // The sleep between two tries for another lock is none of its own.
    let mut waits = database.locks.cycles.iter().flat_map(|cycle| &cycle.waits);
    let is_handler = is_handler || waits.any(|wait| finding.pid == Some(wait.pid));
    if says_something(activity) && !is_handler {
        finding.message = format!("{}; it was {activity}", finding.message);
    }
    let counts = serde_json::to_value(activity).unwrap_or_default();
    finding.evidence.insert("activity".to_owned(), counts);
    finding
}

fn says_something(activity: &HolderActivity) -> bool {
    activity.named().is_some_and(|named| {
        !matches!(
            named.activity,
            Activity::SeveralThreads | Activity::Hidden | Activity::Stopped | Activity::Frozen
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::{Activity, ActivityVerdict, Database, HolderActivity, WaitSource};

    fn holding(activity: &Activity, samples: usize, span_ms: f64) -> Database {
        let mut database = live();
        database.locks.writer = Some(held(WRITER, 6_500.0));
        let samples = std::iter::repeat_n(activity, samples);
        let writer = database.processes.iter_mut().find(|process| process.pid == WRITER).expect("the writer");
        writer.activity = HolderActivity::of(samples, span_ms);
        database
    }

    fn recv() -> Activity {
        let remote = "10.0.0.5:443".to_owned();
        let (local, state) = ("10.0.0.1:50000".to_owned(), "established".to_owned());
        Activity::Reading { from: WaitSource::Tcp { local, remote, state, peer: None } }
    }

    #[test]
    fn a_long_hold_names_what_its_holder_does() {
        let found = findings_of(&holding(&recv(), 30, 5_000.0));
        assert_eq!(found[0].kind, FindingKind::LongWriteLock);
        assert_eq!(found[0].evidence["activity"]["counts"][0]["class"], "reading");
        assert_eq!(found[0].evidence["activity"]["counts"][0]["from"]["remote"], "10.0.0.5:443");
        assert!(found[0].message.contains("10.0.0.5:443"), "{}", found[0].message);
    }

    #[test]
    fn a_checkpoint_that_sleeps_is_not_said_to_have_a_transaction_open() {
        let is_told = |activity: &Activity| {
            let mut database = holding(activity, 30, 5_000.0);
            database.locks.writer = None;
            database.locks.checkpointer = Some(held(WRITER, 9_000.0));
            let found = findings_of(&database);
            assert_eq!((found[0].kind, found.len()), (FindingKind::LongCheckpoint, 1));
            found[0].message.contains("; it was")
        };
        assert_eq!([Activity::Asleep, Activity::Disk].each_ref().map(is_told), [false, true]);
    }

    #[test]
    fn few_samples_are_evidence_and_no_sentence() {
        for (samples, span_ms) in [(9, 5_000.0), (30, 900.0)] {
            let found = findings_of(&holding(&recv(), samples, span_ms));
            assert_eq!(found[0].evidence["activity"]["verdict"], "too-few");
            assert!(!found[0].message.contains("10.0.0.5"), "{}", found[0].message);
        }
    }

    #[test]
    fn four_of_five_samples_name_an_activity_and_fewer_do_not() {
        let (recv, computing) = (recv(), Activity::Computing);
        let verdict = |of_ten: usize| {
            let samples =
                std::iter::repeat_n(&recv, of_ten).chain(std::iter::repeat_n(&computing, 10 - of_ten));
            HolderActivity::of(samples, 2_000.0).expect("samples").verdict
        };
        assert_eq!([8, 7].map(verdict), [ActivityVerdict::Named, ActivityVerdict::Mixed]);
    }

    #[test]
    fn what_cannot_be_told_apart_is_not_said() {
        for activity in [Activity::SeveralThreads, Activity::Hidden] {
            let found = findings_of(&holding(&activity, 30, 5_000.0));
            assert!(!found[0].message.contains("; it was"), "{}", found[0].message);
        }
    }
}
