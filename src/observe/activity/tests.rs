use super::*;
use crate::observe::proc::fake::FakeProc;

const HOLDER: ProcessId = ProcessId { pid: 70, start_ticks: 4200 };

// A process that sleeps, with one thread.
fn sleeper() -> FakeProc {
    let proc = FakeProc::new();
    let stat = format!("70 (bun) S 1 {}1 0 4200 0\n", "0 ".repeat(15));
    proc.process(70).write("70/task/70/stat", &stat).write("70/task/70/wchan", "futex_wait_queue");
    proc
}

#[test]
fn a_holder_is_sampled_until_the_sampler_ends() {
    let proc = sleeper();
    let sampler = ActivitySampler::start(proc.path()).expect("a thread");
    sampler.set_targets(ActivityTargets { holders: vec![HOLDER], ..ActivityTargets::default() });
    let deadline = Instant::now() + Duration::from_mins(1);
    while sampler.activity_of(HOLDER, Instant::now()).is_none() {
        assert!(Instant::now() < deadline, "it does not sample");
        thread::yield_now();
    }
    let reused = ProcessId { start_ticks: 4300, ..HOLDER };
    assert_eq!(sampler.activity_of(reused, Instant::now()), None);
}

#[test]
fn what_a_process_did_a_minute_ago_is_forgotten() {
    let (proc, shared, now) = (sleeper(), SamplerState::default(), Instant::now());
    assert_eq!(sample(&shared, proc.path(), HOLDER, now, &[]).counted, 1);
    let kept = || threads::lock(&shared.samples).len();
    forget_old(&shared, now + KEPT);
    assert_eq!(kept(), 1);
    forget_old(&shared, Instant::now() + KEPT + Duration::from_millis(1));
    assert_eq!(kept(), 0, "a process that is not sampled any more takes no memory");
}

#[test]
fn the_newest_samples_are_kept_as_they_were_taken_and_equal_neighbours_are_stored_once() {
    let (mut holder, now) = (HolderSamples::default(), Instant::now());
    let taken: Vec<_> = [Activity::Computing, Activity::Disk, Activity::Disk]
        .into_iter()
        .cycle()
        .take(MOST_KEPT + 2)
        .collect();
    for activity in &taken {
        holder.add(activity.clone(), now, now);
    }
    let kept: Vec<_> = holder.of_current_hold().map(|(_, activity)| Arc::clone(activity)).collect();
    assert_eq!(kept.iter().map(|it| Activity::clone(it)).collect::<Vec<_>>(), taken[2..]);
    assert!(Arc::ptr_eq(&kept[2], &kept[3]), "both write to the disk");
}

#[test]
fn who_has_held_a_lock_for_a_second_is_sampled_and_who_has_a_database_open_may_wait() {
    use crate::diagnose::fixture::{READER, WRITER, held, live, pinned, reader};
    let identity = |pid| ProcessId { pid, start_ticks: 1000 };
    let histories = vec![Arc::default(), Arc::default()];
    let mut database = live();
    database.locks.writer = Some(held(WRITER, 1_000.0));
    database.locks.readers = vec![reader(READER, 1, 812, 999.0)];
    database.processes[1].handles = Some(crate::snapshot::HandleCounts { db: 0, wal: 1, shm: 1 });
    let targets = ActivityTargets::of(&[database, pinned()], histories.clone());
    assert_eq!(targets.holders, [identity(WRITER), identity(READER)], "the second pins the log of the other");
    let openers: Vec<_> = targets.openers.iter().map(|(index, process)| (*index, process.pid)).collect();
    assert!(openers.contains(&(0, WRITER)) && !openers.contains(&(0, READER)), "{openers:?}");
    assert!(openers.contains(&(1, WRITER)) && openers.contains(&(1, READER)), "{openers:?}");
    assert_eq!(targets.files, [1, 2, 3, 1, 2, 3]);
    assert!(targets.histories.iter().zip(&histories).all(|(of, given)| Arc::ptr_eq(of, given)));
    assert_eq!(targets.histories.len(), 2);
}

#[test]
fn a_hold_goes_on_from_where_it_was_first_seen_and_waltops_own_is_not_sampled() {
    let (now, own) = (Instant::now(), std::process::id().cast_signed());
    let later = now + Duration::from_secs(1);
    let history: Arc<Mutex<LockHistory>> = Arc::default();
    let owner = |pid, start_ticks| {
        Arc::new(crate::history::LockOwner {
            pid: Some(pid),
            start_ticks,
            name: String::new(),
            ..crate::history::LockOwner::default()
        })
    };
    threads::lock(&history).open(SampledLock::Write, now, owner(71, Some(4200)));
    threads::lock(&history).open(SampledLock::Checkpoint, now, owner(own, Some(1)));
    threads::lock(&history).open(SampledLock::Recover, now, owner(72, None));
    let other = ProcessId { pid: 73, start_ticks: 1 };
    let targets = ActivityTargets {
        histories: vec![history],
        holders: vec![HOLDER, other],
        ..ActivityTargets::default()
    };
    let held = holders(&targets, &HashMap::from([(HOLDER, now)]), later);
    let sampled = ProcessId { pid: 71, start_ticks: 4200 };
    assert_eq!(held, HashMap::from([(HOLDER, now), (other, later), (sampled, now)]));
    let many = (1..40).map(|pid| ProcessId { pid: 100 + pid, start_ticks: 1 }).collect();
    let crowd = ActivityTargets { holders: many, ..ActivityTargets::default() };
    assert_eq!(holders(&crowd, &HashMap::new(), now).len(), MOST_HOLDERS);
}

#[test]
fn the_activity_is_that_of_the_current_hold_once_it_has_enough_samples() {
    let (mut holder, start) = (HolderSamples::default(), Instant::now());
    let at = |ms: u64| start + Duration::from_millis(ms);
    for number in 0..5 {
        holder.add(Activity::Disk, at(number * 200), start);
    }
    let seen = |holder: &HolderSamples, ms| holder.activity(at(ms)).map(|it| it.samples);
    assert_eq!(seen(&holder, 900), Some(5));
    holder.add(Activity::Computing, at(2_000), at(2_000));
    assert_eq!(seen(&holder, 2_000), Some(6), "one sample of this hold is not enough");
    for number in 1..10 {
        holder.add(Activity::Computing, at(2_000 + number * 200), at(2_000));
    }
    assert_eq!(seen(&holder, 4_000), Some(10), "of this hold");
    assert_eq!(holder.of_current_hold().count(), 10);
    assert_eq!(seen(&holder, 62_000), Some(10), "a minute is kept");
    assert_eq!(seen(&holder, 70_000), None);
}
