//! A database for each sentence of a rule about locks.

use super::scenes::changed;
use crate::{diagnose::fixture::*, snapshot::*};

pub fn stopped() -> Vec<Database> {
    use LockHold::{Checkpoint, Exclusive, Pending, Read, Recover, Write};
    let of = |state: ProcessState, holds: &[LockHold]| {
        changed(live(), |it| {
            it.processes[0].state = state;
            it.processes[0].holds = holds.to_vec();
        })
    };
    vec![
        of(ProcessState::Stopped, &[Write, Read(1)]),
        of(ProcessState::Stopped, &[Checkpoint, Recover, Pending, Exclusive]),
        of(ProcessState::Traced, &[Write]),
        of(ProcessState::Frozen, &[Write]),
        changed(rollback(), |it| {
            it.processes[0].state = ProcessState::Stopped;
            it.processes[0].holds = vec![LockHold::Shared];
        }),
    ]
}

pub fn long_holds() -> Vec<Database> {
    let now = |pid, held_ms| {
        changed(live(), |it| it.locks.writer = Some(LockHolder { pid, label: None, held_ms: Some(held_ms) }))
    };
    let past = |window_ms| {
        changed(live(), |it| {
            let hold = holds(WRITER, 55, 3_000.0, 22_000.0);
            it.locks.window_ms = window_ms;
            it.locks.write_holds = Some(WriteHolds {
                count: 55,
                p50_ms: Some(900.0),
                p99_ms: Some(3_000.0),
                max_ms: 3_000.0,
                held_ratio: 0.37,
                by_process: vec![hold],
            });
        })
    };
    let waiting =
        |wait: Option<HolderWait>| changed(now(Some(WRITER), 6_000.0), |it| it.locks.holder_wait = wait);
    let at = |pid| reader(pid, 1, 812, 9_000.0);
    vec![
        waiting(HolderWait::of_checkpoint(&[at(READER)], None, None)),
        waiting(HolderWait::of_commit(&[at(READER), at(4_242)])),
        waiting(HolderWait::of_checkpoint(&[at(WRITER)], None, None)),
        changed(past(Some(60_000.0)), |it| {
            let holds = it.locks.write_holds.iter_mut().flat_map(|holds| &mut holds.by_process);
            holds.for_each(|hold| hold.max_is_checkpoint = true);
        }),
        now(Some(WRITER), 3_000.0),
        now(Some(WRITER), 6_000.0),
        now(None, 9_000.0),
        past(Some(60_000.0)),
        past(None),
        changed(past(Some(60_000.0)), |it| {
            let holds = it.locks.write_holds.iter_mut().flat_map(|holds| &mut holds.by_process);
            for hold in holds {
                (hold.pid, hold.label) = (Some(4_242), Some("report.py".to_owned()));
            }
        }),
    ]
}

pub fn busy_lock() -> Vec<Database> {
    let holds = |pid, total_ms| holds(pid, 500, 125.0, total_ms);
    let busy = |held_ratio, by_process| {
        changed(live(), |it| {
            it.locks.window_ms = Some(60_000.0);
            it.locks.write_holds = Some(WriteHolds {
                count: 1_000,
                p50_ms: Some(44.0),
                p99_ms: Some(89.0),
                max_ms: 125.0,
                held_ratio,
                by_process,
            });
        })
    };
    let refused = |database: Database| {
        changed(database, |it| {
            it.locks.refusals = refused_writers()[0].locks.refusals.clone();
            it.locks.refusals.iter_mut().flat_map(|it| &mut it.victims).for_each(|victim| victim.pid = 4_242);
        })
    };
    vec![
        busy(0.995, vec![holds(WRITER, 31_000.0), holds(READER, 28_700.0)]),
        busy(0.85, vec![holds(WRITER, 51_000.0)]),
        refused(busy(0.85, vec![holds(WRITER, 51_000.0)])),
    ]
}

pub fn long_checkpoint() -> Vec<Database> {
    let long = |held_ms| changed(live(), |it| it.locks.checkpointer = Some(held(READER, held_ms)));
    vec![
        long(9_000.0),
        long(45_000.0),
        changed(long(45_000.0), |it| it.locks.writer = Some(held(WRITER, 10_000.0))),
    ]
}

pub fn contended_pool() -> Vec<Database> {
    let waiting = |threads| {
        changed(live(), |it| {
            it.processes[0].handles = Some(HandleCounts { db: 6, wal: 6, shm: 1 });
            let (samples, asleep, span_ms) = (22, 21, 2_000.0);
            it.locks.own_waiters = vec![OwnWaiters { pid: WRITER, threads, samples, asleep, span_ms }];
        })
    };
    vec![waiting(5), waiting(1)]
}

pub fn crossed_locks() -> Vec<Database> {
    let wait = |pid, label: &str, waits_for, database: &str, evidence, threads| CycleWait {
        pid,
        label: Some(label.to_owned()),
        threads,
        waits_for,
        database: database.to_owned(),
        evidence,
        for_ms: 900.0,
    };
    let of = |(evidence, threads)| {
        changed(live(), |it| {
            it.locks.cycles = vec![LockCycle {
                waits: vec![
                    wait(WRITER, "bun", READER, "/srv/queue.db", evidence, threads),
                    wait(READER, "python3", WRITER, "/srv/notes.db", WaitBasis::Traced, Some(1)),
                ],
            }];
        })
    };
    let cases = [
        (WaitBasis::Traced, Some(1)),
        (WaitBasis::MayWait, Some(1)),
        (WaitBasis::Readers, Some(1)),
        (WaitBasis::Traced, Some(14)),
        (WaitBasis::Traced, None),
    ];
    cases.map(of).into()
}

pub fn slow_disks() -> Vec<Database> {
    let waiting = |machine: Option<f64>, group: Option<f64>, processes| {
        changed(live(), |it| {
            it.locks.writer = Some(held(WRITER, 6_500.0));
            let pressure = |some: f64| DiskPressure { some, full: None };
            let (machine, group) = (machine.map(pressure), group.map(pressure));
            it.locks.disk_wait = Some(DiskWait { pid: WRITER, machine, group, processes });
        })
    };
    let checkpoint = changed(waiting(Some(0.6), None, 1), |it| {
        it.locks.checkpointer = it.locks.writer.take();
    });
    let two = waiting(Some(0.6), None, 2);
    vec![
        waiting(Some(0.6), None, 1),
        waiting(Some(0.6), Some(0.8), 1),
        two,
        waiting(None, None, 3),
        checkpoint,
    ]
}

pub fn exclusive_mode() -> Vec<Database> {
    let held = |pid| Some(LockHolder { pid, label: None, held_ms: Some(9_000.0) });
    [Some(WRITER), None].map(|pid| changed(live(), |it| it.locks.exclusive = held(pid))).into()
}

pub fn locks_beside() -> Vec<Database> {
    let party = |pid, label: &str| LockParty { pid, label: Some(label.to_owned()) };
    let locked = |holder, waiters| {
        changed(live(), |it| {
            it.locks_beside = vec![LockBeside {
                file: ".program.lock".to_owned(),
                kind: FileLockKind::Posix,
                is_exclusive: true,
                holder,
                waiters,
            }];
        })
    };
    vec![
        locked(Some(party(WRITER, "bun")), vec![party(4_711, "dnf")]),
        locked(None, vec![party(4_711, "dnf"), party(4_712, "dnf")]),
    ]
}

pub fn refused_writers() -> Vec<Database> {
    use RefusalReason::{DeferredUpgrade, NoTimeout, OldSnapshot, Waited};
    let victim = |reason, holder, gave_up, longest_ms| RefusedWriter {
        pid: READER,
        thread: READER,
        holder,
        reason,
        waits: 2,
        tries: 13,
        gave_up,
        longest_ms,
        total_ms: longest_ms,
        waiting_ms: None,
    };
    let of = |victim| {
        changed(live(), |it| {
            it.locks.refusals = Some(WriterRefusals { window_ms: 60_000.0, victims: vec![victim] });
        })
    };
    vec![
        of(victim(Waited, Some(WRITER), 0, 300.0)),
        of(victim(Waited, Some(WRITER), 2, 5_000.0)),
        of(victim(NoTimeout, Some(WRITER), 2, 0.0)),
        of(victim(DeferredUpgrade, Some(WRITER), 2, 0.0)),
        of(victim(OldSnapshot, None, 2, 0.0)),
    ]
}
