use std::fs;

use regex::Regex;

use super::*;
use crate::observe::{files, lock_probe::tests::lock, proc::fake::FakeProc};

#[test]
fn samples_become_rarer_the_longer_nothing_happens() {
    let interval = |activity, idle| SamplingPace::WithRests.interval(activity, Duration::from_millis(idle));
    let quiet = [0, 2999, 3000, 60_000].map(|idle| interval(LockActivity::None, idle));
    assert_eq!(quiet.map(|it| it.as_millis()), [4, 4, 20, 20]);
    assert_eq!(interval(LockActivity::Held, 60_000), BUSY, "a short hold may follow at once");
    assert_eq!(interval(LockActivity::Ending, 60_000), ENDING);
}

#[test]
fn steady_sampling_never_rests() {
    let steady = |activity| SamplingPace::Steady.interval(activity, Duration::from_mins(1));
    for activity in [LockActivity::None, LockActivity::Some, LockActivity::Held] {
        assert_eq!(steady(activity), STEADY, "{activity:?}");
    }
    assert_eq!(steady(LockActivity::Ending), ENDING);
}

#[test]
fn a_database_that_stays_among_the_targets_is_sampled_on_as_before() {
    let target = |name: &str| SampledDatabase {
        main: format!("/srv/{name}.db").into(),
        index: format!("/srv/{name}.db-shm").into(),
        log: format!("/srv/{name}.db-wal").into(),
        history: Arc::default(),
    };
    let [gone, stays, new] = ["gone", "stays", "new"].map(target);
    let mut sampled = retarget(Vec::new(), vec![gone, stays.clone()]);
    for one in &mut sampled {
        one.rest(SamplingPace::Steady, LockActivity::None);
    }
    let paces = retarget(sampled, vec![new, stays]).iter().map(|one| one.interval).collect::<Vec<_>>();
    assert_eq!(paces, [Duration::ZERO, STEADY], "one begins, one goes on");
}

// A database with an index of one page and a log, and the owner of its files.
fn database() -> (tempfile::TempDir, SampledDatabase) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let [main, log, index] = files::with_sidecars(&folder.path().join("a.db"));
    for (path, bytes) in [(&main, 0), (&log, 0), (&index, 32_768)] {
        fs::write(path, vec![0; bytes]).expect("written");
    }
    (folder, SampledDatabase { main, index, log, history: Arc::default() })
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_resting_database_is_sampled_up_to_half_an_interval_early() {
    let (_folder, target) = database();
    let mut one = PacedDatabase::new(target);
    let now = one.due;
    assert!(one.is_due(now), "the first sample is due at once");
    one.interval = Duration::from_millis(20);
    for (early, expected) in [(0, true), (10, true), (11, false)] {
        one.due = now + Duration::from_millis(early);
        assert_eq!(one.is_due(now), expected, "{early} ms early");
    }
}

#[test]
fn the_next_sample_follows_after_an_interval_and_missed_ones_are_not_repeated() {
    let (_folder, target) = database();
    let mut one = PacedDatabase::new(target);
    let mut rested = |due: Instant, activity| {
        one.due = due;
        let before = Instant::now();
        one.last_activity = before.checked_sub(Duration::from_mins(1)).unwrap_or(before);
        one.rest(SamplingPace::WithRests, activity);
        let after = Instant::now();
        (before, one.due, after, one.interval)
    };
    let now = Instant::now();
    let rest = REST;
    let (_, due, after, interval) = rested(now, LockActivity::None);
    assert!(due >= now + rest && due <= after + rest && interval == rest);
    let (before, due, after, _) = rested(now + Duration::from_hours(1), LockActivity::None);
    assert!(due >= before + rest && due <= after + rest, "it was sampled early");
    let long_ago = now.checked_sub(Duration::from_secs(5)).expect("the machine is up for longer");
    let (before, due, after, _) = rested(long_ago, LockActivity::None);
    assert!(due >= before + rest / 2 && due <= after + rest / 2, "it was sampled late");
    assert_eq!(rested(now, LockActivity::Some).3, BUSY, "something happens again");
}

#[test]
fn a_commit_in_a_long_hold_makes_the_next_sample_due() {
    let (_folder, target) = database();
    let log = target.log.clone();
    let _writer = lock(&target.index, &(120..=120));
    let ear = CommitWatcher::open().expect("an ear");
    let mut names = HolderNames::from(PathBuf::from("/nowhere"));
    let mut one = PacedDatabase::new(target);
    let deadline = Instant::now() + Duration::from_mins(1);
    assert_eq!(one.sampled.sample(&mut names, Some(&ear)), LockActivity::Held);
    assert!(!one.sampled.is_listening(), "a short hold is not watched");
    while !one.sampled.is_listening() {
        assert!(Instant::now() < deadline, "a long hold is watched");
        thread::sleep(Duration::from_millis(1));
        one.sampled.sample(&mut names, Some(&ear));
    }
    let later = Instant::now() + Duration::from_hours(1);
    one.due = later;
    let mut all = [one];
    wait_for_commit(&ear, &mut all, Instant::now());
    assert_eq!(all[0].due, later, "nothing was written");
    fs::write(&log, "frames").expect("written");
    wait_for_commit(&ear, &mut all, later);
    assert!(all[0].due <= Instant::now() && !all[0].sampled.is_listening());
}

#[test]
fn holds_of_the_targets_of_now_are_sampled_until_the_sampler_ends() {
    let ((_one, first), (_two, second)) = (database(), database());
    let is_held = |target: &SampledDatabase| {
        threads::lock(&target.history).current(crate::history::SampledLock::Write).is_some()
    };
    let mut sampler = LockSampler::start(
        "/proc".as_ref(),
        vec![first.clone()],
        LabelRules::default(),
        SamplingPace::Steady,
    )
    .expect("a thread");
    let hold = lock(&first.index, &(120..=120));
    wait_until("the first is sampled", || is_held(&first));
    sampler.set_targets(vec![second.clone()]);
    let _other = lock(&second.index, &(120..=120));
    wait_until("the second is sampled", || is_held(&second));
    drop(hold);
    assert!(is_held(&first), "it is sampled no more");
    assert!(sampler.cost(Instant::now()).samples > 0);
}

#[test]
fn a_holder_is_named_by_the_rules_of_now() {
    let proc = FakeProc::new();
    proc.process(70).write("70/cmdline", "bun\0report\0");
    let rules =
        |label: &str| LabelRules::from_iter([(Regex::new("report").expect("a rule"), label.to_owned())]);
    let mut names = HolderNames::from(proc.path().to_owned());
    let now = Instant::now();
    names.set_rules(rules("nightly"));
    assert_eq!(names.of(Some(70), now).name, "nightly");
    names.set_rules(rules("daily"));
    assert_eq!(names.of(Some(70), now).name, "daily");
    assert_eq!(*names.of(None, now), crate::history::LockOwner::default());
}
