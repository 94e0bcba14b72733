use super::{super::fixture::*, *};
use crate::snapshot::{DatabaseLocks, HotJournal, LogBelongs, LogVerdict, WalState};

fn nobody() -> Database {
    let mut database = quiet();
    database.processes.clear();
    database.locks = DatabaseLocks::default();
    database.wal = None;
    (database.files.wal, database.files.shm) = (None, None);
    database
}

fn report(purpose: SafePurpose, [first, last]: [&Database; 2]) -> SafeReport {
    SafeReport::new(purpose, [first, last], Vec::new())
}

fn outline(report: &SafeReport) -> (SafeVerdict, u8, Vec<(Option<i32>, bool)>) {
    let processes = report.processes.iter().map(|it| (it.pid, it.has_left)).collect();
    (report.verdict, report.exit(), processes)
}

#[test]
fn a_process_of_either_sample_counts() {
    let (used, unused) = (live(), nobody());
    let of = |samples| outline(&report(SafePurpose::Vacuum, samples));
    assert_eq!(of([&unused, &unused]), (SafeVerdict::Safe, 0, Vec::new()));
    let both = |has_left| vec![(Some(READER), has_left), (Some(WRITER), has_left)];
    assert_eq!(of([&used, &used]), (SafeVerdict::InUse, 1, both(false)));
    assert_eq!(of([&unused, &used]), (SafeVerdict::InUse, 1, both(false)));
    assert_eq!(of([&used, &unused]), (SafeVerdict::InUse, 1, both(true)), "they come again");
}

#[test]
fn a_lock_of_a_process_that_is_not_visible_counts() {
    let mut database = nobody();
    database.locks.main_held_unseen = true;
    let report = report(SafePurpose::Copy, [&database, &database]);
    assert_eq!(outline(&report), (SafeVerdict::InUse, 1, vec![(None, false)]));
}

#[test]
fn without_a_whole_view_the_absence_of_processes_proves_nothing() {
    let unseen = || vec![Unseen { what: "open files of 3 processes".to_owned(), why: "denied".to_owned() }];
    let verdict = |database: &Database, unseen| {
        outline(&SafeReport::new(SafePurpose::Copy, [database, database], unseen)).0
    };
    assert_eq!(verdict(&nobody(), unseen()), SafeVerdict::Unknown);
    assert_eq!(verdict(&live(), unseen()), SafeVerdict::InUse);
    let mut shared = nobody();
    shared.filesystem.as_mut().expect("it is known").kind = "nfs4".to_owned();
    assert_eq!(verdict(&shared, Vec::new()), SafeVerdict::Unknown, "other machines may have it open");
    let unsteady = Database { is_complete: false, ..nobody() };
    assert_eq!(verdict(&unsteady, Vec::new()), SafeVerdict::Unknown);
}

#[test]
fn what_was_left_is_named_where_no_process_uses_it() {
    let kinds = |database: &Database| -> Vec<LeftKind> {
        let left = report(SafePurpose::Copy, [database, database]).left;
        left.into_iter().map(|left| left.kind).collect()
    };
    let mut database = nobody();
    assert_eq!(kinds(&database), []);
    database.files.wal = live().files.wal;
    assert_eq!(kinds(&database), [LeftKind::Log], "it cannot be read");
    database.wal = Some(WalState { source: WalSource::Log, ..wal(12, 0) });
    assert_eq!(kinds(&database), [LeftKind::Log]);
    database.content.log_belongs = Some(LogBelongs {
        verdict: LogVerdict::Doubtful,
        frames: 12,
        main_written_at: None,
        main_born_at: None,
        log_written_at: None,
    });
    assert_eq!(kinds(&database), [LeftKind::DoubtfulLog]);
    database.wal = Some(WalState { source: WalSource::Log, ..wal(0, 0) });
    let path = "/srv/notes.db-journal".into();
    database.content.hot_journal =
        Some(HotJournal { path, bytes: 512, modified_at: None, super_journal: None });
    assert_eq!(kinds(&database), [LeftKind::HotJournal]);
    let verdict = |purpose| report(purpose, [&database, &database]).verdict;
    assert_eq!([SafePurpose::Vacuum, SafePurpose::Convert].map(verdict), [SafeVerdict::LeftFiles; 2]);
    assert_eq!([SafePurpose::Copy, SafePurpose::Restore].map(verdict), [SafeVerdict::Safe; 2]);
    database.processes = live().processes;
    assert_eq!(kinds(&database), []);
}

#[test]
fn a_command_that_was_not_watched_in_full_did_not_run_alone() {
    let ran = |adapt: fn(&mut Database), unseen: Vec<Unseen>| {
        let mut ran = WatchedCommand { exit_code: Some(0), ..WatchedCommand::new(vec!["true".to_owned()]) };
        let mut database = nobody();
        adapt(&mut database);
        ran.sampled(&database, unseen, |process| process.pid == WRITER);
        (ran.exit(), ran.came.iter().map(|it| it.pid).collect::<Vec<_>>())
    };
    assert_eq!(ran(|_| {}, Vec::new()), (0, vec![]));
    assert_eq!(ran(|it| it.processes = live().processes, Vec::new()), (1, vec![Some(READER)]));
    assert_eq!(ran(|it| it.locks.index_held_unseen = true, Vec::new()), (1, vec![None]));
    let unseen = Unseen { what: "open files of 3 processes".to_owned(), why: "denied".to_owned() };
    assert_eq!(ran(|_| {}, vec![unseen]), (2, vec![]));
    let never = WatchedCommand { exit_code: Some(0), ..WatchedCommand::new(Vec::new()) };
    assert_eq!(never.exit(), 2, "no sample was taken");
    assert_eq!(WatchedCommand { exit_code: Some(7), ..never }.exit(), 7);
}

#[test]
fn a_restore_lists_the_files_that_exist_with_the_main_file_first() {
    let names = ["/srv/notes.db", "/srv/notes.db-wal", "/srv/notes.db-shm"].map(str::to_owned);
    assert_eq!(report(SafePurpose::Restore, [&live(), &live()]).files, names);
    assert_eq!(report(SafePurpose::Restore, [&nobody(), &nobody()]).files, names[..1]);
    assert_eq!(report(SafePurpose::Copy, [&live(), &live()]).files, Vec::<String>::new());
}
