//! A main file that its index, its log or its own header contradicts: a copy was put over it, or a part was cut off.
//!
//! Only facts that are true at every moment of a healthy database count. Header and index differ while page 1 waits in
//! the log. A file is larger than its database after a VACUUM. A page with a later frame may never have been moved as
//! of an earlier one. The counts are therefore compared only while everything is moved, a larger file is never wrong,
//! and pages are compared only with their last frame.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
};

use super::frames::{MainAndLog, PageComparison, indexed_pages};
use crate::{
    file_format::{MAIN_HEADER, PENDING_BYTE},
    observe::{files, header, wal_index::RawIndex},
    snapshot::{Contradiction, ContradictionKind},
};

/// How many pages are compared in addition to page 1.
const SAMPLE: usize = 16;
/// How many of the last frames are searched for pages to compare: 64 KiB of the index.
const WINDOW: u32 = 16_384;
/// The maximum number of frames searched for pages beyond the end of the file: 16 MiB of the index.
const LONGEST: u32 = 4 << 20;

/// The main file at the time it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MainFileState {
    /// Bytes per page, from the index or from the header.
    pub page_size: u32,
    /// Its size in bytes.
    pub bytes: u64,
    /// The page count in its header; `None` if that is not valid.
    pub header_count: Option<u32>,
}

impl MainFileState {
    /// Reads the size and the page count of `file`, whose pages have `page_size` bytes; if `None`, the header's page
    /// size is used.
    ///
    /// # Errors
    ///
    /// If the operating system fails to read.
    pub fn read(file: &File, page_size: Option<u32>) -> io::Result<Option<Self>> {
        let mut start = [0; MAIN_HEADER];
        let length = files::read_at(file, &mut start, 0)?;
        let is_header = length == MAIN_HEADER && header::is_header(&start);
        let by_header = is_header.then(|| header::page_size(&start));
        let Some(page_size) = page_size.or(by_header) else { return Ok(None) };
        let header_count = header::valid_page_count(&start).filter(|_| by_header == Some(page_size));
        Ok(Some(Self { page_size, bytes: file.metadata()?.len(), header_count }))
    }

    fn pages(&self) -> u32 {
        u32::try_from(self.bytes / u64::from(self.page_size)).unwrap_or(u32::MAX)
    }

    fn is_lock_page(&self, page: u32) -> bool {
        u64::from(page) == PENDING_BYTE / u64::from(self.page_size) + 1
    }

    fn contradicts(
        &self,
        kind: ContradictionKind,
        page: Option<u32>,
        promised: u32,
        by_index: bool,
    ) -> Contradiction {
        Contradiction {
            kind,
            page,
            pages_promised: promised,
            pages_in_file: self.pages(),
            pages_by_header: self.header_count,
            by_index,
        }
    }

    /// The first page up to `promised` that is beyond the end of the file and not among `logged`.
    fn missing(&self, promised: u32, logged: &BTreeSet<u32>) -> Option<u32> {
        (self.pages().saturating_add(1)..=promised)
            .find(|page| !logged.contains(page) && !self.is_lock_page(*page))
    }
}

/// The contradiction between the main file and its own header. It is valid only while no process has the index open,
/// none writes, and no journal is hot. `logged` has the pages that the log holds.
pub fn by_header(main: &MainFileState, logged: &BTreeSet<u32>) -> Option<Contradiction> {
    let promised = main.header_count?;
    let page = main.missing(promised, logged)?;
    Some(main.contradicts(ContradictionKind::MissingPage, Some(page), promised, false))
}

/// The contradiction between the main file and the index `raw`. `is_copying` states whether a process holds byte 121 or
/// 123 exclusively, as a checkpoint does.
///
/// The caller reads `raw` again afterwards; the answer counts only if no byte has changed.
///
/// # Errors
///
/// If the operating system fails to read.
pub fn by_index(
    main: &MainFileState,
    raw: &RawIndex,
    index: &File,
    pair: Option<&MainAndLog<'_>>,
    is_copying: bool,
) -> io::Result<Option<Contradiction>> {
    let promised = raw.page_count();
    // An index without a commit has no page count.
    if promised == 0 {
        return Ok(None);
    }
    if main.pages() < promised && raw.frames() <= LONGEST {
        let Some(pages) = indexed_pages(index, 1, raw.frames())? else { return Ok(None) };
        let logged: BTreeSet<u32> = pages.into_iter().filter(|&page| page > main.pages()).collect();
        if let Some(page) = main.missing(promised, &logged) {
            let kind = ContradictionKind::MissingPage;
            return Ok(Some(main.contradicts(kind, Some(page), promised, true)));
        }
    }
    let is_all_moved = raw.backfilled() == raw.frames() && !is_copying;
    if is_all_moved && main.header_count.is_some_and(|count| count != promised) {
        return Ok(Some(main.contradicts(ContradictionKind::PageCount, None, promised, true)));
    }
    let Some(pair) = pair.filter(|pair| pair.header.salts() == raw.salts()) else { return Ok(None) };
    Ok(other_content(raw, index, pair)?
        .map(|page| main.contradicts(ContradictionKind::OtherContent, Some(page), promised, true)))
}

/// The first page, of page 1 and some others, that was moved from the log and differs in the main file.
fn other_content(raw: &RawIndex, index: &File, pair: &MainAndLog<'_>) -> io::Result<Option<u32>> {
    let (frames, moved) = (raw.frames(), raw.backfilled());
    let from = frames.saturating_sub(WINDOW) + 1;
    if moved < from || moved > frames {
        return Ok(None);
    }
    let Some(pages) = indexed_pages(index, from, frames)? else { return Ok(None) };
    let last: BTreeMap<u32, u32> = pages.into_iter().zip(from..).collect();
    for (page, number) in sample(&last, moved, raw.page_count()) {
        match pair.compare(page, number)? {
            Some(PageComparison::Equal | PageComparison::Zeros) => {}
            Some(PageComparison::Different) => return Ok(Some(page)),
            // The index is about another log, or the log is cut short.
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// Page 1 and up to [`SAMPLE`] others, evenly spread, of the pages up to `count` whose last frame was `moved`.
fn sample(last: &BTreeMap<u32, u32>, moved: u32, count: u32) -> Vec<(u32, u32)> {
    let settled: Vec<(u32, u32)> = last
        .iter()
        .map(|(&page, &number)| (page, number))
        .filter(|&(page, number)| number <= moved && page <= count)
        .collect();
    let (first, others): (Vec<_>, Vec<_>) = settled.into_iter().partition(|&(page, _)| page == 1);
    let step = others.len().div_ceil(SAMPLE).max(1);
    first.into_iter().chain(others.into_iter().step_by(step)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn main(pages: u64, header_count: Option<u32>) -> MainFileState {
        MainFileState { page_size: 4096, bytes: pages * 4096, header_count }
    }

    #[test]
    fn a_file_that_is_shorter_than_its_header_says_is_cut() {
        let none = BTreeSet::new();
        assert_eq!(by_header(&main(10, Some(10)), &none), None);
        assert_eq!(by_header(&main(11, Some(10)), &none), None, "a larger file is never a contradiction");
        assert_eq!(by_header(&main(9, None), &none), None, "an old writer does not keep the count");
        let found = by_header(&main(7, Some(10)), &none).expect("cut");
        assert_eq!((found.kind, found.page), (ContradictionKind::MissingPage, Some(8)));
        assert_eq!((found.pages_promised, found.pages_in_file, found.by_index), (10, 7, false));
        assert_eq!(by_header(&main(7, Some(10)), &BTreeSet::from([8, 9, 10])), None, "the log holds them");
        assert_eq!(by_header(&main(7, Some(10)), &BTreeSet::from([8, 10])).and_then(|it| it.page), Some(9));
        let part = MainFileState { bytes: 10 * 4096 - 1, ..main(10, Some(10)) };
        assert_eq!(by_header(&part, &none).and_then(|it| it.page), Some(10), "half a page is none");
    }

    #[test]
    fn the_page_of_the_lock_byte_is_never_written() {
        let lock_page = u32::try_from(PENDING_BYTE / 4096 + 1).expect("small");
        let file = main(u64::from(lock_page) - 1, Some(lock_page));
        assert_eq!(by_header(&file, &BTreeSet::new()), None);
        let more = MainFileState { header_count: Some(lock_page + 1), ..file };
        assert_eq!(by_header(&more, &BTreeSet::new()).and_then(|it| it.page), Some(lock_page + 1));
    }

    #[test]
    fn only_pages_whose_last_frame_was_moved_are_compared() {
        let last = BTreeMap::from([(1, 9), (2, 3), (3, 12), (40, 5), (7, 10)]);
        assert_eq!(sample(&last, 10, 30), [(1, 9), (2, 3), (7, 10)]);
        assert_eq!(sample(&last, 8, 30), [(2, 3)]);
        assert_eq!(sample(&last, 0, 30), []);
    }

    #[test]
    fn of_many_pages_some_are_compared_from_end_to_end() {
        let last: BTreeMap<u32, u32> = (1..=1000).map(|page| (page, page)).collect();
        let sampled = sample(&last, 1000, 1000);
        assert_eq!(sampled.len(), SAMPLE + 1);
        assert!(sampled[0].0 == 1 && sampled.last().is_some_and(|it| it.0 > 900), "{sampled:?}");
    }

    #[test]
    fn the_page_count_of_a_header_counts_only_with_its_own_page_size() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("a.db");
        let read = |bytes: &[u8], page_size| {
            std::fs::write(&path, bytes).expect("written");
            MainFileState::read(&File::open(&path).expect("it opens"), page_size).expect("readable")
        };
        let mut bytes = crate::observe::content::fixture::main_header(3).to_vec();
        bytes.resize(4096, 0);
        let state = |page_size, header_count| Some(MainFileState { page_size, bytes: 4096, header_count });
        let by_header = read(&bytes, None).expect("it has a header");
        assert_eq!((by_header.page_size, by_header.bytes), (4096, 4096));
        assert_eq!(read(&bytes, Some(512)), state(512, None), "it is another size");
        assert_eq!(read(&bytes, Some(4096)).map(|it| it.header_count), Some(by_header.header_count));
        bytes[0] = b'x';
        assert_eq!((read(&bytes, None), read(&bytes, Some(512))), (None, state(512, None)));
        assert_eq!(read(&bytes[..50], None), None, "half a header");
    }
}
