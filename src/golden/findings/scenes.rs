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

/// A reader with `immutable=1`: before a checkpoint, and after one has moved the whole log.
pub fn unread_logs() -> Vec<Database> {
    let beside = |moved: u32| {
        changed(live(), |it| {
            it.wal = Some(wal(19_031, moved));
            it.locks.readers.clear();
            let reader = &mut it.processes[1];
            reader.handles = Some(HandleCounts { db: 1, wal: 0, shm: 0 });
            (reader.maps_index, reader.index_read_only, reader.holds_index) = (Some(false), None, false);
            reader.pairing = PairingFacts::default();
        })
    };
    vec![beside(19_000), beside(19_031)]
}

/// A worker that a supervisor, and one that a shell script starts again and again.
pub fn restart_loops() -> Vec<Database> {
    let started_by = |parent: &[&str]| {
        changed(live(), |it| {
            it.restarts = vec![RestartedProcess {
                pid: READER,
                label: "worker.py".to_owned(),
                program: "/usr/bin/python3".to_owned(),
                command: ["python3", "worker.py"].map(str::to_owned).to_vec(),
                parent: 500,
                parent_command: Some(parent.iter().map(|&word| word.to_owned()).collect()),
                manager: None,
                starts: vec![at(50), at(58), at(66)],
                gap_ms: 300.0,
            }];
        })
    };
    vec![started_by(&["python3", "supervisor.py"]), started_by(&["bash", "loop.sh"]), started_by(&[])]
}

/// A session whose terminal is gone, idle and in a read transaction.
pub fn outlived_sessions() -> Vec<Database> {
    let with = |holds: Vec<LockHold>| {
        changed(live(), |it| {
            let process = &mut it.processes[0];
            process.origin.has_lost_parent = Some(true);
            process.origin.lost_input = Some(LostInput::Terminal);
            process.holds = holds;
        })
    };
    vec![with(Vec::new()), with(vec![LockHold::Read(1)])]
}
