use std::fs;

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
        let mounts = MountTable::read("/proc".as_ref());
        let sights = self.paths.each_ref().map(|path| files::read_files(path, path, &mounts).expect("seen"));
        let input = ContentInput {
            paths: &self.paths,
            sights: &sights,
            journal: None,
            page_size: Some(PAGE),
            header_count: 3,
            is_used: is_vouched_for,
            is_vouched_for,
            committed,
        };
        let mut unseen = Vec::new();
        let found = ContentReader::default().read(&input, &mut unseen).contradiction;
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
