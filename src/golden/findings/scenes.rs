//! A database for each sentence of a rule.

use crate::{diagnose::fixture::*, snapshot::*};

pub fn changed(mut database: Database, change: impl FnOnce(&mut Database)) -> Database {
    change(&mut database);
    database
}

pub fn split() -> Vec<Database> {
    let replaced = |files: &[&str]| files.iter().map(|&file| file.to_owned()).collect::<Vec<_>>();
    vec![
        changed(live(), |it| it.processes[1].replaced = replaced(&["notes.db-wal", "notes.db-shm"])),
        changed(live(), |it| {
            it.processes[1].replaced = replaced(&["/srv/notes.db", "/srv/notes.db-shm"]);
            it.processes[1].deleted = replaced(&["/srv/notes.db"]);
        }),
        changed(live(), |it| {
            it.processes[1].replaced = replaced(&["/srv/notes.db-wal"]);
            it.processes[1].deleted = replaced(&["/srv/notes.db-wal"]);
            it.processes[1].handles = Some(HandleCounts { db: 1, wal: 1, shm: 0 });
        }),
        changed(live(), |it| {
            it.processes[0].replaced = replaced(&["/srv/notes.db"]);
            it.processes[0].moved_to = replaced(&["/srv/old/notes.db"]);
        }),
        changed(quiet(), |it| {
            it.files = DatabaseFiles::default();
            it.processes.truncate(1);
        }),
        changed(quiet(), |it| {
            it.processes[0].handles = Some(HandleCounts { db: 0, wal: 1, shm: 1 });
            it.processes[0].pairing.holds_main = false;
        }),
    ]
}

pub fn lost() -> Vec<Database> {
    vec![
        changed(live(), |it| it.processes[0].holds_index = false),
        changed(live(), |it| {
            it.processes[0].holds_index = false;
            it.processes[0].holds = vec![LockHold::Write];
        }),
        changed(live(), |it| it.processes[0].pairing.holds_main = false),
        with_two_libraries(|it| it.holds_index = false),
        with_two_libraries(|it| {
            it.holds_index = false;
            it.handles = Some(HandleCounts { db: 2, wal: 2, shm: 2 });
        }),
        with_two_libraries(|it| it.pairing.holds_main = false),
    ]
}

fn with_two_libraries(change: impl FnOnce(&mut Process)) -> Database {
    let library = |version: &str, library: &str| SqliteLibrary {
        version: version.to_owned(),
        source_id: String::new(),
        library: library.to_owned(),
        replaced: false,
        in_other_namespace: false,
    };
    changed(live(), |it| {
        let process = &mut it.processes[0];
        process.sqlite = Some(library("3.53.1", "/usr/lib/libsqlite3.so.0"));
        process.other_sqlite = vec![library("3.54.0", "/v/site-packages/apsw/a.so")];
        change(process);
    })
}

pub fn other_log() -> Vec<Database> {
    vec![
        changed(live(), |it| it.processes[0].pairing.other_log = vec!["/srv/alias.db-wal".to_owned()]),
        changed(quiet(), |it| {
            let process = &mut it.processes[0];
            (process.handles, process.maps_index, process.pairing.only_reads_files) = (None, None, None);
            process.holds_index = false;
        }),
        changed(quiet(), |it| it.locks.main_held_unseen = true),
    ]
}

pub fn mismatched() -> Vec<Database> {
    use ContradictionKind::{MissingPage, OtherContent, PageCount};
    let cases = [(MissingPage, Some(1286)), (OtherContent, Some(1)), (PageCount, None)];
    let of = |(kind, page), by_index| {
        let contradiction = Contradiction {
            kind,
            page,
            pages_promised: 1286,
            pages_in_file: 6,
            pages_by_header: Some(6),
            by_index,
        };
        changed(quiet(), |it| it.content.contradiction = Some(contradiction))
    };
    vec![of(cases[0], true), of(cases[0], false), of(cases[1], true), of(cases[2], true)]
}

pub fn damaged() -> Vec<Database> {
    let page = |log_has_it| FirstPage {
        state: FirstPageState::Damaged,
        page_size: Some(4096),
        index_is_valid: Some(true),
        plain_pages: Some(3),
        log_has_it,
    };
    let of = |log_has_it| changed(quiet(), |it| it.content.first_page = Some(page(log_has_it)));
    vec![of(Some(true)), of(Some(false)), changed(of(None), |it| it.processes.clear())]
}

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
                p50_ms: 900.0,
                p99_ms: 3_000.0,
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
                p50_ms: 44.0,
                p99_ms: 89.0,
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

pub fn on(kind: &str) -> Database {
    changed(live(), |it| {
        let filesystem = it.filesystem.as_mut().expect("it is known");
        kind.clone_into(&mut filesystem.kind);
        filesystem.locks_match = Some(false);
    })
}

pub fn doubtful() -> Vec<Database> {
    let of = |written, log| {
        changed(quiet(), |it| {
            it.content.log_belongs = Some(LogBelongs {
                verdict: LogVerdict::Doubtful,
                frames: 199,
                main_written_at: Some(at(written)),
                main_born_at: Some(at(60)),
                log_written_at: Some(at(log)),
            });
        })
    };
    vec![of(60, 10), of(5, 10)]
}

pub fn foreign() -> Vec<Database> {
    vec![
        changed(live(), |it| it.files.wal.as_mut().expect("a log").uid = 0),
        changed(live(), |it| {
            it.path = "/srv/my notes.db".into();
            it.files.wal.as_mut().expect("a log").uid = 0;
            it.files.shm.as_mut().expect("an index").uid = 0;
        }),
        changed(live(), |it| {
            let folder = it.folder.as_mut().expect("it is known");
            (folder.uid, folder.owner_may_write) = (0, Some(false));
        }),
    ]
}

pub fn many_handles() -> Vec<Database> {
    vec![
        changed(live(), |it| it.processes[0].handles = Some(HandleCounts { db: 9, wal: 9, shm: 1 })),
        changed(live(), |it| {
            it.processes[0].handles = Some(HandleCounts { db: 7, wal: 7, shm: 1 });
            it.handle_growth =
                vec![HandleGrowth { pid: WRITER, from: 2, to: 7, rises: 5, span_ms: 40_000.0 }];
        }),
        changed(live(), |it| it.processes = (1..=21).map(|pid| process(pid, "worker")).collect()),
    ]
}

pub fn near_limits() -> Vec<Database> {
    let with = |soft: Option<u64>, bytes: Option<u64>| {
        changed(live(), |it| {
            it.processes[0].read_only = Some(false);
            it.processes[0].limits = Some(ProcessLimits {
                descriptors: Some(1020),
                open_files: ProcessLimit { soft, hard: Some(4096) },
                file_bytes: ProcessLimit { soft: bytes, hard: bytes },
            });
        })
    };
    let full = |temp_files: Option<u32>| {
        changed(live(), |it| {
            let (path, bytes, free_bytes) = ("/tmp".into(), 8 << 20, 4_096);
            it.processes[0].temp_folder = Some(TemporaryFolder { path, bytes, free_bytes });
            it.processes[0].temp_files = temp_files;
            it.processes[0].temp_bytes = temp_files.map(|count| u64::from(count) * 8_380_000);
        })
    };
    vec![with(Some(1024), None), with(None, Some(1_000)), full(None), full(Some(1))]
}

pub fn readonly() -> Vec<Database> {
    let reader = |index_read_only, uid| {
        changed(live(), |it| {
            it.processes[1].read_only = Some(true);
            it.processes[1].index_read_only = Some(index_read_only);
            it.processes[1].uid = Some(uid);
        })
    };
    vec![reader(false, 1000), reader(true, 1000), reader(false, 1001)]
}

pub fn ingestions(kind: FindingKind) -> Vec<Database> {
    let with = |change: &dyn Fn(&mut Ingestion)| {
        changed(live(), |it| {
            let mut run = ingestion("20260101-1");
            change(&mut run);
            it.ingestions = vec![run];
        })
    };
    let failed = |run: &mut Ingestion, count: u64| {
        run.files_failed = count;
        let (path, reason) = ("/srv/notes/a.md".to_owned(), "not valid UTF-8".to_owned());
        run.failures = vec![FailedFile { path, reason }];
    };
    let silent = |run: &mut Ingestion| {
        (run.state, run.finished_at) = (IngestionState::Running, None);
        (run.files_done, run.silent_ms) = (312, Some(130_000.0));
    };
    match kind {
        FindingKind::CrashedIngestion => vec![
            with(&|run| {
                (run.state, run.finished_at, run.files_done) = (IngestionState::Crashed, None, 312);
            }),
            with(&|run| {
                (run.state, run.finished_at, run.files_total) = (IngestionState::Crashed, None, None);
            }),
        ],
        FindingKind::StalledIngestion => {
            let stalled = with(&silent);
            let embedding = |run: &mut Ingestion| {
                silent(run);
                run.embedding = Some(EmbeddingProgress {
                    model: "mini".to_owned(),
                    wanted: 556,
                    embedded: 312,
                    started_at: at(0),
                    error: None,
                });
            };
            let idle = changed(stalled.clone(), |it| it.locks.writer = None);
            let halted = changed(idle.clone(), |it| {
                let process = Process { state: ProcessState::Stopped, ..process(INGESTER, "waltop") };
                it.processes.push(process);
            });
            vec![stalled, idle, halted, changed(with(&embedding), |it| it.locks.writer = None)]
        }
        FindingKind::SlowBatch => {
            let slow = |ms| with(&move |run| run.slowest_batch = Some(batch(30, 10, ms)));
            vec![slow(1_500.0), slow(60_000.0)]
        }
        _ => vec![
            with(&|run| failed(run, 1)),
            with(&|run| {
                failed(run, 3);
                run.files_total = None;
            }),
        ],
    }
}
