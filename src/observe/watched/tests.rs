use std::fs;

use super::*;
use crate::{
    observe::{
        content::fixture,
        lock_table::LockRow,
        proc::fake::lock_row,
        tests::{Scene, USER},
    },
    snapshot::{HandleCounts, LogVerdict},
};

#[test]
fn the_log_is_counted_once_its_unreadable_index_is_found_to_be_unused() {
    let mut scene = Scene::new();
    let [_, log, index] = scene.paths.clone();
    fs::write(log, fixture::log(4096, &[(1, 1, b"x")])).expect("written");
    scene.proc.write("locks", &lock_row("READ", USER, &index, "128 128"));
    let mut view = scene.view();
    let counted = |view: &DatabaseView| view.wal.as_ref().map(|wal| (wal.source, wal.frames));
    assert_eq!((view.index, counted(&view)), (None, Some((WalSource::Index, None))));
    // The row was about another file with the same numbers.
    view.index_rows.clear();
    scene.observer.watched[0].assign_locks(&mut view, &BTreeMap::new(), &mut Vec::new());
    assert_eq!(counted(&view), Some((WalSource::Log, Some(0))), "it has no valid frame");
}

#[test]
fn whose_log_it_is_is_judged_only_while_no_process_uses_the_database() {
    let mut scene = Scene::new();
    fs::write(&scene.paths[1], fixture::log(4096, &[(1, 1, b"x")])).expect("written");
    let row = LockRow {
        pid: Some(USER),
        is_ofd: false,
        is_write: false,
        device: (8, 1),
        inode: 1,
        bytes: 123..=123,
    };
    let opener = |handles| BTreeMap::from([(USER, DatabaseOpener { handles, ..DatabaseOpener::default() })]);
    let open = |db| Some(HandleCounts { db, wal: 0, shm: 0 });
    for (main_rows, index_rows, openers, is_used) in [
        (vec![], vec![], BTreeMap::new(), false),
        (vec![row.clone()], vec![], BTreeMap::new(), true),
        (vec![], vec![row], BTreeMap::new(), true),
        (vec![], vec![], opener(open(1)), true),
        (vec![], vec![], opener(open(0)), false),
        // What it has open is not visible.
        (vec![], vec![], opener(None), true),
    ] {
        let mut view = scene.view();
        // As if the frame were valid.
        view.wal.as_mut().expect("there is a log").frames = Some(1);
        let case = format!("{main_rows:?} {index_rows:?} {openers:?}");
        (view.main_rows, view.index_rows) = (main_rows, index_rows);
        let found = scene.observer.watched[0].content(&view, &openers, &mut Vec::new());
        let verdict = found.log_belongs.map(|it| it.verdict);
        assert_eq!(verdict, (!is_used).then_some(LogVerdict::MainIsOlder), "{case}");
    }
}
