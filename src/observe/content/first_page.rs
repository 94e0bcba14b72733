//! Page 1 of a main file: a valid header, a damaged one, or not a database in plain text.
//!
//! SQLite reports "file is not a database" for everything without a valid header. An encrypted database has no page in
//! plain text, whatever its log and index contain, so the pages decide.

use std::{fs::File, io, path::Path};

use super::frames::{FrameHeader, MainAndLog};
use crate::{
    file_format::{FRAME_HEADER, MAIN_HEADER},
    observe::{files, header, wal::LogHeader, wal_index::RawIndex},
    snapshot::{FirstPage, FirstPageState},
};

/// How many pages of the main file, and of the log, are read to find one in plain text.
const PAGES: u32 = 16;
/// The page sizes to try if neither the log nor the index states it.
const SIZES: [u32; 8] = [4096, 1024, 8192, 16384, 32768, 65536, 2048, 512];
/// How many frame headers are read to find page 1 in the log.
const FRAMES: usize = 262_144;
/// How many of the 256 byte values occur at least in the first kilobytes of an encrypted file.
const RANDOM: usize = 200;

/// Page 1 of the database whose main file is `main` and whose other files are at `log` and `index`, if they exist.
///
/// # Errors
///
/// If the operating system fails to read the main file.
pub fn examine(main: &File, log: &Path, index: &Path) -> io::Result<FirstPage> {
    let bytes = main.metadata()?.len();
    let mut start = [0; MAIN_HEADER];
    let length = files::read_at(main, &mut start, 0)?;
    let is_good =
        length == MAIN_HEADER && header::is_header(&start) && bytes >= u64::from(header::page_size(&start));
    if is_good || length == 0 {
        return Ok(plain(if is_good { FirstPageState::Good } else { FirstPageState::Empty }));
    }
    let log = files::open(log).ok();
    let begun = log.as_ref().and_then(|log| Some((log, LogHeader::read(log).ok().flatten()?)));
    let raw =
        files::open(index).ok().and_then(|index| RawIndex::read(&index).ok()).filter(RawIndex::is_whole);
    let pair = begun.map(|(log, header)| MainAndLog { main, log, header });
    let sizes = sizes(begun.map(|(_, header)| header.page_size), raw.as_ref().map(RawIndex::page_size));
    let in_log = pair.map(|pair| first_in_log(&pair, raw.as_ref())).transpose()?;
    let of_log = pair.map_or(Ok(0), |pair| plain_frames(&pair))?;
    let mut of_main = (0, None);
    for size in sizes {
        let count = plain_pages(main, size, bytes)?;
        if count > of_main.0 {
            of_main = (count, Some(size));
        }
    }
    // A header may be whole although its page is cut short.
    let is_cut = length == MAIN_HEADER && header::is_header(&start);
    let holds_plain_text = is_cut || of_main.0 + of_log > 0 || in_log == Some(Some(true));
    let is_used = raw.is_some() || pair.is_some();
    Ok(FirstPage {
        state: match (holds_plain_text, is_used || is_random(main)?) {
            (true, _) => FirstPageState::Damaged,
            (false, true) => FirstPageState::Encrypted,
            (false, false) => FirstPageState::NotADatabase,
        },
        page_size: begun.map(|(_, header)| header.page_size).or(raw.map(|it| it.page_size())).or(of_main.1),
        index_is_valid: Some(raw.is_some()),
        plain_pages: Some(of_main.0 + of_log),
        log_has_it: in_log.unwrap_or(Some(false)),
    })
}

/// Page 1 without further details.
pub fn plain(state: FirstPageState) -> FirstPage {
    FirstPage { state, page_size: None, index_is_valid: None, plain_pages: None, log_has_it: None }
}

fn sizes(of_log: Option<u32>, of_index: Option<u32>) -> Vec<u32> {
    match of_log.or(of_index) {
        Some(size) => vec![size],
        None => SIZES.to_vec(),
    }
}

/// Whether the log holds page 1 as a valid start of a database; `None` if the log was too long to read to its end.
fn first_in_log(pair: &MainAndLog<'_>, index: Option<&RawIndex>) -> io::Result<Option<bool>> {
    // Frames past the last commit of the index are leftovers, or not committed.
    let of_index = index.filter(|it| it.salts() == pair.header.salts()).map(RawIndex::frames);
    let slots = pair.header.slots(pair.log.metadata()?.len());
    let count = of_index.map_or(slots, |frames| frames.min(slots));
    let mut frames: Vec<FrameHeader> = Vec::new();
    let is_whole = pair.frames(&mut frames, count, FRAMES)?;
    // Frames after the last commit are ignored.
    frames.truncate(frames.iter().rposition(|frame| frame.commit != 0).map_or(0, |last| last + 1));
    let mut start = [0; MAIN_HEADER];
    let of_page_1 = (1_u32..).zip(&frames).filter(|(_, frame)| frame.page == 1);
    let newest_first: Vec<u32> = of_page_1.map(|(number, _)| number).collect();
    for &number in newest_first.iter().rev().take(PAGES as usize) {
        let offset = pair.header.offset_of(number) + FRAME_HEADER as u64;
        let length = files::read_at(pair.log, &mut start, offset)?;
        if length == MAIN_HEADER && header::is_header(&start) {
            return Ok(Some(true));
        }
    }
    // Without an index the frames end where their salts do.
    Ok((is_whole != Some(false)).then_some(false))
}

/// How many of the first pages are b-tree pages in plain text. The part of page 1 after the header is also one.
fn plain_pages(main: &File, size: u32, bytes: u64) -> io::Result<u32> {
    let pages = u32::try_from(bytes / u64::from(size)).unwrap_or(u32::MAX);
    let mut count = 0;
    let mut page = vec![0; size as usize];
    for number in 0..pages.min(PAGES) {
        let read = files::read_at(main, &mut page, u64::from(number) * u64::from(size))?;
        let start = if number == 0 { MAIN_HEADER } else { 0 };
        count += u32::from(read == page.len() && is_tree_page(&page, start));
    }
    Ok(count)
}

/// The same for the first frames of the log.
fn plain_frames(pair: &MainAndLog<'_>) -> io::Result<u32> {
    let mut count = 0;
    let mut page = vec![0; pair.header.page_size as usize];
    for number in 1..=PAGES {
        if pair.frame(number)?.is_none_or(|frame| frame.page == 1) {
            continue;
        }
        let offset = pair.header.offset_of(number) + FRAME_HEADER as u64;
        let read = files::read_at(pair.log, &mut page, offset)?;
        count += u32::from(read == page.len() && is_tree_page(&page, 0));
    }
    Ok(count)
}

/// Whether a page of a table or an index starts at `start` of `page`
/// (<https://sqlite.org/fileformat2.html#b_tree_pages>): its type, and cells that are all in the cell area of the page.
/// Fewer than one in a billion random pages pass.
fn is_tree_page(page: &[u8], start: usize) -> bool {
    let word = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let header = match page[start] {
        2 | 5 => 12,
        10 | 13 => 8,
        _ => return false,
    };
    let (cells, content) = (word(start + 3), word(start + 5));
    // 65536 is written as 0.
    let content = if content == 0 { 65536 } else { content };
    let array = start + header + 2 * cells;
    // A page has at most 60 bytes in fragments.
    let is_consistent = cells > 0 && page[start + 7] <= 60 && word(start + 1) < page.len();
    is_consistent
        && array <= content
        && content <= page.len()
        && (0..cells).all(|cell| (content..page.len()).contains(&word(start + header + 2 * cell)))
}

/// Whether the first bytes are distributed as in an encrypted file, and the size is a multiple of the page size.
fn is_random(main: &File) -> io::Result<bool> {
    let mut bytes = [0; 4096];
    let length = files::read_at(main, &mut bytes, 0)?;
    let size = main.metadata()?.len();
    let mut seen = [false; 256];
    bytes[..length].iter().for_each(|&byte| seen[usize::from(byte)] = true);
    Ok(size > 0 && size.is_multiple_of(512) && seen.iter().filter(|&&it| it).count() >= RANDOM)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::FileExt, path::PathBuf};

    use super::*;
    use crate::observe::content::fixture::{index, log, tree_page};

    const PAGE: usize = 4096;

    fn good_page() -> Vec<u8> {
        let mut page = tree_page(100);
        page[..20].copy_from_slice(b"SQLite format 3\0\x10\0\x02\x02");
        page
    }

    // Bytes that no pattern is in (xorshift), as encryption makes them.
    fn random(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1]
        };
        (0..length).map(|_| next()).collect()
    }

    struct Scene(tempfile::TempDir);

    impl Scene {
        fn new(main: &[u8]) -> Self {
            let folder = tempfile::TempDir::new().expect("a folder");
            fs::write(folder.path().join("a.db"), main).expect("written");
            Self(folder)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn examine(&self) -> FirstPage {
            let main = File::open(self.path("a.db")).expect("there");
            examine(&main, &self.path("a.db-wal"), &self.path("a.db-shm")).expect("readable")
        }
    }

    fn state(main: &[u8]) -> FirstPageState {
        Scene::new(main).examine().state
    }

    #[test]
    fn good_and_empty_files_need_no_more_than_their_beginning() {
        assert_eq!(state(&[]), FirstPageState::Empty);
        assert_eq!(Scene::new(&good_page()).examine(), plain(FirstPageState::Good));
    }

    #[test]
    fn three_kinds_of_damage_are_recognised_by_the_other_pages() {
        let record = [&[0x17, 3, 3, 0, 0x41, 0, 0xd1, 0xc2][..], &random(24)].concat();
        for clobber in [record, b"2026-01-01 12:00:00 INFO gateway: started".to_vec(), vec![0; PAGE]] {
            let mut bytes = [good_page(), tree_page(0), tree_page(0)].concat();
            bytes[..clobber.len()].copy_from_slice(&clobber);
            let found = Scene::new(&bytes).examine();
            assert_eq!(found.state, FirstPageState::Damaged);
            assert!(found.plain_pages >= Some(2), "{found:?}");
            assert_eq!(
                (found.page_size, found.index_is_valid, found.log_has_it),
                (Some(4096), Some(false), Some(false))
            );
        }
    }

    #[test]
    fn a_database_of_one_page_is_recognised_by_what_follows_its_header() {
        let mut bytes = good_page();
        bytes[..32].copy_from_slice(&random(32));
        assert_eq!(state(&bytes), FirstPageState::Damaged);
    }

    #[test]
    fn what_is_random_is_encrypted_and_what_is_text_is_no_database() {
        assert_eq!(state(&random(16 * PAGE)), FirstPageState::Encrypted);
        assert_eq!(state(&random(16 * PAGE + 7)), FirstPageState::NotADatabase, "no whole pages");
        assert_eq!(state(&b"All work and no play. ".repeat(2000)), FirstPageState::NotADatabase);
        assert_eq!(state(&vec![0; 4 * PAGE]), FirstPageState::NotADatabase);
    }

    #[test]
    fn a_first_page_that_is_cut_short_is_damaged() {
        assert_eq!(state(&good_page()[..300]), FirstPageState::Damaged);
    }

    #[test]
    fn a_page_whose_cells_lie_elsewhere_is_no_tree_page() {
        assert!(is_tree_page(&tree_page(0), 0));
        for (at, byte) in [(0, 7), (3, 0x80), (5, 0x1f), (7, 61), (8, 0), (1, 0xff)] {
            let mut page = tree_page(0);
            page[at] = byte;
            assert!(!is_tree_page(&page, 0), "byte {at}");
        }
        let random = random(256 * PAGE);
        assert!(!random.chunks_exact(PAGE).any(|page| is_tree_page(page, 0)));
    }

    #[test]
    fn an_unreadable_log_does_not_hide_the_damage() {
        let scene = Scene::new(&[vec![0; PAGE], tree_page(0)].concat());
        let log = File::create(scene.path("a.db-wal")).expect("a file");
        log.write_all_at(&random(5000), 0).expect("written");
        assert_eq!(scene.examine().state, FirstPageState::Damaged);
    }

    #[test]
    fn a_log_has_page_1_where_a_commit_wrote_it() {
        let (start, other) = (good_page(), tree_page(0));
        for (frames, expected) in [
            (&[(2, 2, &other[..])][..], false),
            (&[(1, 2, &start)], true),
            (&[(1, 0, &start), (2, 2, &other)], true),
            (&[(2, 2, &other), (1, 0, &start)], false),
            (&[(1, 2, &other)], false),
            (&[(1, 0, &start), (1, 2, &other)], true),
        ] {
            let scene = Scene::new(&[vec![0; PAGE], other.clone()].concat());
            fs::write(scene.path("a.db-wal"), log(4096, frames)).expect("written");
            assert_eq!(scene.examine().log_has_it, Some(expected), "{}", frames.len());
            let pages: Vec<u32> = frames.iter().map(|(page, ..)| *page).collect();
            fs::write(scene.path("a.db-shm"), index(4096, &pages, 2, 0)).expect("written");
            assert_eq!(scene.examine().log_has_it, Some(expected), "{} with an index", frames.len());
        }
    }

    #[test]
    fn frames_past_those_of_the_index_are_not_read_for_page_1() {
        let (start, other) = (good_page(), tree_page(0));
        let scene = Scene::new(&[vec![0; PAGE], other.clone()].concat());
        fs::write(scene.path("a.db-wal"), log(4096, &[(2, 2, &other), (1, 2, &start)])).expect("written");
        for (pages, expected) in [(&[2, 1][..], true), (&[2], false)] {
            fs::write(scene.path("a.db-shm"), index(4096, pages, 2, 0)).expect("written");
            assert_eq!(scene.examine().log_has_it, Some(expected), "{pages:?}");
        }
    }

    #[test]
    fn plain_text_in_the_log_alone_shows_that_the_database_is_not_encrypted() {
        let (noise, plain) = (random(PAGE), tree_page(0));
        let examined = |page: &[u8]| {
            let scene = Scene::new(&random(4 * PAGE));
            let frames = [(1, 0, &noise[..]), (2, 0, page), (3, 4, page)];
            fs::write(scene.path("a.db-wal"), log(4096, &frames)).expect("written");
            let found = scene.examine();
            (found.state, found.plain_pages, found.page_size)
        };
        assert_eq!(examined(&plain), (FirstPageState::Damaged, Some(2), Some(4096)));
        assert_eq!(examined(&noise), (FirstPageState::Encrypted, Some(0), Some(4096)));
    }

    #[test]
    fn a_page_whose_cells_would_lie_over_their_own_pointers_is_no_tree_page() {
        let mut page = vec![0; PAGE];
        page[..14].copy_from_slice(&[13, 0, 0, 0, 3, 0, 10, 0, 0, 40, 0, 30, 0, 20]);
        assert!(!is_tree_page(&page, 0));
        page[6] = 14;
        assert!(is_tree_page(&page, 0), "they may begin right behind them");
    }

    #[test]
    fn a_page_whose_free_block_would_begin_behind_it_is_no_tree_page() {
        let with_free_block = |at: u16| {
            let mut page = tree_page(0);
            page[1..3].copy_from_slice(&at.to_be_bytes());
            is_tree_page(&page, 0)
        };
        assert_eq!([0, 4095, 4096, 5000].map(with_free_block), [true, true, false, false]);
    }
}
