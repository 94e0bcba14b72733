use std::{fs, time::Duration};

use tempfile::TempDir;

use super::{fixture::*, *};
use crate::{observe::proc::mounts::MountTable, snapshot::ContradictionKind};

const PAGE: u32 = 4096;

// A database of three pages by its header, whose files are `main`, `log` and `index`; none where empty.
struct Scene {
    _folder: TempDir,
    paths: [PathBuf; 3],
}

impl Scene {
    fn new(files: [&[u8]; 3]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let paths = files::with_sidecars(&folder.path().join("a.db"));
        for (path, bytes) in paths.iter().zip(files).filter(|(_, bytes)| !bytes.is_empty()) {
            fs::write(path, bytes).expect("written");
        }
        Self { _folder: folder, paths }
    }

    fn contradiction(&self, is_vouched_for: bool, committed: Option<u32>) -> Option<Contradiction> {
        self.content(None, is_vouched_for, committed).contradiction
    }

    fn content(
        &self,
        journal: Option<PathBuf>,
        is_vouched_for: bool,
        committed: Option<u32>,
    ) -> ContentEvidence {
        let mounts = MountTable::read("/proc".as_ref());
        let sights = self.paths.each_ref().map(|path| files::read_files(path, path, &mounts).expect("seen"));
        let input = ContentInput {
            paths: &self.paths,
            sights: &sights,
            journal,
            page_size: Some(PAGE),
            header_count: 3,
            is_used: is_vouched_for,
            is_vouched_for,
            committed,
        };
        let mut unseen = Vec::new();
        let found = ContentReader::default().read(&input, &mut unseen);
        assert_eq!(unseen, [], "all can be read");
        found
    }
}

fn main_file(pages: usize) -> Vec<u8> {
    let mut bytes = main_header(3).to_vec();
    bytes.resize(pages * PAGE as usize, 0);
    bytes
}

fn outline(found: Option<Contradiction>) -> Option<(ContradictionKind, Option<u32>, bool)> {
    found.map(|it| (it.kind, it.page, it.by_index))
}

#[test]
fn a_database_that_no_process_uses_is_cut_where_file_and_log_lack_a_page_of_its_header() {
    let judged = |pages, log: &[u8], committed| {
        outline(Scene::new([&main_file(pages), log, &[]]).contradiction(false, committed))
    };
    let lacks = |page| Some((ContradictionKind::MissingPage, Some(page), false));
    assert_eq!(judged(3, &[], None), None, "it is whole");
    assert_eq!(judged(2, &[], None), lacks(3));
    let log = log(PAGE, &[(1, 0, b"x"), (3, 3, b"x")]);
    assert_eq!(judged(2, &log, Some(2)), None, "the log has page 3");
    assert_eq!(judged(1, &log, Some(2)), lacks(2), "but not page 2");
    assert_eq!(judged(2, &log, Some(1)), lacks(3), "nor is it there before it is committed");
    assert_eq!(judged(2, &log, None), None, "nothing is said of a log that is not counted yet");
}

#[test]
fn a_database_in_use_is_checked_against_its_index() {
    let header = main_header(3);
    let log = log(PAGE, &[(1, 3, &header), (2, 3, b"two")]);
    let judged = |main: &[u8], pages: &[u32], count| {
        let index = index(4096, pages, count, 2);
        outline(Scene::new([main, &log, &index]).contradiction(true, None))
    };
    let mut main = main_file(3);
    main[PAGE as usize..][..3].copy_from_slice(b"two");
    assert_eq!(judged(&main, &[1, 2], 3), None, "all agree");
    let cut = &main[..2 * PAGE as usize];
    assert_eq!(judged(cut, &[1, 2], 3), Some((ContradictionKind::MissingPage, Some(3), true)));
    assert_eq!(judged(&main, &[1, 2], 2), Some((ContradictionKind::PageCount, None, true)));
    main[PAGE as usize] = b'T';
    assert_eq!(judged(&main, &[1, 2], 3), Some((ContradictionKind::OtherContent, Some(2), true)));
}

#[cfg(target_os = "linux")]
#[test]
fn while_a_checkpoint_copies_a_page_may_differ_and_none_may_be_missing() {
    use crate::observe::lock_probe::tests::lock;

    let log = log(PAGE, &[(1, 3, &main_header(3)), (2, 3, b"two")]);
    for (pages, kind) in [(3, ContradictionKind::OtherContent), (2, ContradictionKind::MissingPage)] {
        let scene = Scene::new([&main_file(pages), &log, &index(4096, &[1, 2], 3, 2)]);
        let found = || scene.contradiction(true, None).map(|it| it.kind);
        assert_eq!(found(), Some(kind));
        for byte in COPYING {
            let _checkpoint = lock(&scene.paths[2], &(byte..=byte));
            let expected = (kind == ContradictionKind::MissingPage).then_some(kind);
            assert_eq!(found(), expected, "byte {byte}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_journal_is_left_over_unless_a_process_writes_or_the_database_is_empty() {
    use crate::{file_format::RESERVED_BYTE, observe::lock_probe::tests::lock};

    let hot = |scene: &Scene| {
        let journal = files::sidecar(&scene.paths[0], "-journal");
        fs::write(&journal, [&crate::file_format::JOURNAL_MAGIC[..], &[7; 1024]].concat()).expect("written");
        let found = scene.content(Some(journal.clone()), false, None).hot_journal;
        found.map(|it| it.path == journal)
    };
    let scene = Scene::new([&main_file(3), &[], &[]]);
    assert_eq!(hot(&scene), Some(true));
    let writer = lock(&scene.paths[0], &(RESERVED_BYTE..=RESERVED_BYTE));
    assert_eq!(hot(&scene), None, "a process writes");
    drop(writer);
    assert_eq!(hot(&scene), Some(true));
    fs::write(&scene.paths[0], "").expect("written");
    assert_eq!(hot(&scene), None, "SQLite removes it");
}

#[cfg(target_os = "linux")]
#[test]
fn the_pages_of_a_database_that_is_being_written_are_not_checked() {
    use crate::observe::lock_probe::tests::lock;

    let scene = Scene::new([&main_file(2), &[], &[]]);
    let writer = lock(&scene.paths[0], &MAIN_LOCKS);
    assert_eq!(scene.contradiction(false, None), None);
    drop(writer);
    assert!(scene.contradiction(false, None).is_some(), "page 3 is missing");
}

#[test]
fn a_log_left_behind_is_compared_only_with_a_main_file_that_is_newer() {
    let frames = log(PAGE, &[(2, 0, b"two"), (3, 3, b"three")]);
    let mut moved = main_file(3);
    moved[PAGE as usize..][..3].copy_from_slice(b"two");
    let scene = Scene::new([&moved, &frames, &[]]);
    let main = &scene.paths[0];
    let written = |path: &Path| path.metadata().and_then(|it| it.modified()).expect("a time");
    let set_written = |at: SystemTime| {
        let file = fs::File::options().write(true).open(main).expect("it is there");
        file.set_modified(at).expect("a time");
    };
    let verdict = || scene.content(None, false, Some(2)).log_belongs.map(|it| it.verdict);
    let of_log = written(&scene.paths[1]);
    let second = Duration::from_secs(1);
    set_written(of_log - second);
    assert_eq!(verdict(), Some(LogVerdict::MainIsOlder));
    set_written(of_log + second);
    assert_eq!(verdict(), Some(LogVerdict::Belongs), "a checkpoint has moved page 2");
    fs::write(main, main_file(3)).expect("written");
    set_written(of_log + second);
    assert_eq!(verdict(), Some(LogVerdict::Doubtful), "it has none of the pages");
    // A copy that keeps the time, as `cp -p` makes it.
    let copy = main.with_extension("copy");
    fs::write(&copy, main_file(3)).expect("written");
    let log_file = fs::File::options().write(true).open(&scene.paths[1]).expect("it is there");
    log_file.set_modified(of_log - 2 * second).expect("a time");
    fs::rename(&copy, main).expect("moved");
    set_written(of_log - 3 * second);
    if main.metadata().is_ok_and(|it| it.created().is_ok()) {
        assert_eq!(verdict(), Some(LogVerdict::Doubtful), "it was created after the log was written");
    }
}

#[test]
fn a_file_that_is_shorter_than_its_first_page_is_examined() {
    let first_page = |main: &[u8]| Scene::new([main, &[], &[]]).content(None, false, None).first_page;
    let good = |main: &[u8]| first_page(main).map(|page| page.state == crate::snapshot::FirstPageState::Good);
    assert_eq!(good(&main_file(1)), Some(true));
    assert_eq!(good(&main_file(1)[..4095]), Some(false));
    assert_eq!(good(&main_file(3)), Some(true));
}

#[test]
fn a_first_page_that_was_examined_is_examined_again_once_the_file_changes() {
    let scene = Scene::new([&main_file(1)[..200], &[], &[]]);
    let mounts = MountTable::read("/proc".as_ref());
    let mut reader = ContentReader::default();
    let mut state = |page_size| {
        let sights = scene.paths.each_ref().map(|path| files::read_files(path, path, &mounts).expect("seen"));
        let input = ContentInput {
            paths: &scene.paths,
            sights: &sights,
            journal: None,
            page_size,
            header_count: 3,
            is_used: false,
            is_vouched_for: false,
            committed: None,
        };
        reader.read(&input, &mut Vec::new()).first_page.map(|page| page.state)
    };
    let short = state(Some(PAGE));
    assert_eq!(state(Some(PAGE)), short);
    fs::write(&scene.paths[0], main_file(1)).expect("written");
    assert_ne!(state(Some(PAGE)), short);
    fs::write(&scene.paths[0], "").expect("written");
    assert_eq!(state(None), Some(crate::snapshot::FirstPageState::Empty));
}

#[test]
fn only_a_file_that_has_rested_for_a_while_is_remembered() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let stamp = |at: SystemTime| {
        file.as_file().set_modified(at).expect("set");
        ContentStamp::of(&file.as_file().metadata().expect("it is there")).is_finished()
    };
    assert!(stamp(SystemTime::UNIX_EPOCH));
    assert!(!stamp(SystemTime::now() + Duration::from_hours(1)), "it may be written to within a tick");
}
