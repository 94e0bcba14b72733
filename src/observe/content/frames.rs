//! Pages of the log and of the main file, read without a lock and compared.
//!
//! Every read is a `pread`: a file can shrink or be replaced while it is read.

use std::{fs::File, io};

use crate::file_format::{FRAME_HEADER, INDEX_HEADER};
use crate::observe::{files, wal::LogHeader};

/// Index entries of the first segment, and of each later one.
const FIRST_SEGMENT: u32 = 4062;
const SEGMENT: u32 = 4096;
const SEGMENT_BYTES: u64 = 32768;
/// The bytes of a page that are read at once.
const PART: usize = 4096;

/// The header of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The page in the frame.
    pub page: u32,
    /// Pages of the database after the commit that this frame ends; 0 if it ends none.
    pub commit: u32,
}

/// How a page of the main file compares with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageComparison {
    /// The bytes differ, or the main file ends before them.
    Different,
    /// They are equal and all zero.
    Zeros,
    Equal,
}

/// A main file and the log beside it.
#[derive(Debug, Clone, Copy)]
pub struct MainAndLog<'a> {
    pub main: &'a File,
    pub log: &'a File,
    pub header: LogHeader,
}

impl MainAndLog<'_> {
    /// The header of the frame with this number, counted from 1; `None` if the log has no such frame of its current
    /// generation.
    ///
    /// # Errors
    ///
    /// If the operating system fails to read.
    pub fn frame(&self, number: u32) -> io::Result<Option<FrameHeader>> {
        let mut bytes = [0; FRAME_HEADER];
        let length = files::read_at(self.log, &mut bytes, self.header.offset_of(number))?;
        let is_of_this_log = length == FRAME_HEADER && bytes[8..16] == self.header.salts();
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Ok(is_of_this_log.then(|| FrameHeader { page: word(0), commit: word(4) }))
    }

    /// Compares the page `page` of the main file with the content of the frame `number`; `None` if that frame no longer
    /// belongs to the page.
    ///
    /// # Errors
    ///
    /// If the operating system fails to read.
    pub fn compare(&self, page: u32, number: u32) -> io::Result<Option<PageComparison>> {
        if page == 0 || self.frame(number)?.is_none_or(|frame| frame.page != page) {
            return Ok(None);
        }
        let size = self.header.page_size as usize;
        let in_main = u64::from(page - 1) * size as u64;
        let in_log = self.header.offset_of(number) + FRAME_HEADER as u64;
        let (mut ours, mut theirs, mut is_zero) = ([0; PART], [0; PART], true);
        for from in (0..size).step_by(PART) {
            let length = PART.min(size - from);
            let read = files::read_at(self.main, &mut ours[..length], in_main + from as u64)?;
            if files::read_at(self.log, &mut theirs[..length], in_log + from as u64)? < length {
                return Ok(None);
            }
            if read < length || ours[..length] != theirs[..length] {
                return Ok(Some(PageComparison::Different));
            }
            is_zero &= ours[..length].iter().all(|&byte| byte == 0);
        }
        Ok(Some(if is_zero { PageComparison::Zeros } else { PageComparison::Equal }))
    }

    /// Continues reading frame headers into `known` until there are `count`, at most `limit` in this call; returns
    /// whether all are there. `None` if the log has other frames by now.
    ///
    /// # Errors
    ///
    /// If the operating system fails to read.
    pub fn frames(&self, known: &mut Vec<FrameHeader>, count: u32, limit: usize) -> io::Result<Option<bool>> {
        for _ in 0..limit {
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX).saturating_add(1);
            if next > count {
                return Ok(Some(true));
            }
            let Some(frame) = self.frame(next)? else { return Ok(None) };
            known.push(frame);
        }
        Ok(Some(known.len() >= count as usize))
    }
}

/// The pages of the frames `from..=to`, counted from 1, as the index lists them; `None` if it ends before them.
///
/// # Errors
///
/// If the operating system fails to read.
pub fn indexed_pages(index: &File, from: u32, to: u32) -> io::Result<Option<Vec<u32>>> {
    let mut pages = Vec::with_capacity(to.saturating_sub(from) as usize + 1);
    let mut next = from.max(1);
    while next <= to {
        let (offset, left) = place(next);
        let count = left.min(to - next + 1);
        let mut bytes = vec![0; count as usize * 4];
        if files::read_at(index, &mut bytes, offset)? < bytes.len() {
            return Ok(None);
        }
        let (words, _) = bytes.as_chunks::<4>();
        pages.extend(words.iter().map(|&word| u32::from_ne_bytes(word)));
        next += count;
    }
    Ok(Some(pages))
}

/// The offset of the entry of the frame `number`, and the number of entries from it to the end of its segment.
fn place(number: u32) -> (u64, u32) {
    if number <= FIRST_SEGMENT {
        return (INDEX_HEADER as u64 + u64::from(number - 1) * 4, FIRST_SEGMENT - number + 1);
    }
    let after = number - FIRST_SEGMENT - 1;
    let (segment, entry) = (after / SEGMENT + 1, after % SEGMENT);
    (u64::from(segment) * SEGMENT_BYTES + u64::from(entry) * 4, SEGMENT - entry)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::observe::content::fixture::{Frame, log};

    #[test]
    fn entries_of_the_index_are_found_across_segments() {
        let file = tempfile::tempfile().expect("a file");
        for (number, offset) in [(1, 136), (4062, 136 + 4061 * 4), (4063, 32768), (8158, 32768 + 4095 * 4)] {
            file.write_all_at(&u32::to_ne_bytes(number * 10), offset).expect("written");
        }
        file.write_all_at(&81_590_u32.to_ne_bytes(), 65536).expect("written");
        let pages = indexed_pages(&file, 1, 8159).expect("readable").expect("there");
        assert_eq!(pages.len(), 8159);
        for number in [1_u32, 4062, 4063, 8158, 8159] {
            assert_eq!(pages[number as usize - 1], number * 10);
        }
        assert_eq!(indexed_pages(&file, 8159, 8159).expect("readable"), Some(vec![81_590]));
        assert_eq!(indexed_pages(&file, 8159, 8160).expect("readable"), None, "it ends before that entry");
    }

    fn file(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(bytes, 0).expect("written");
        file
    }

    #[test]
    fn a_page_is_compared_with_its_frame_from_end_to_end() {
        // A page has two parts.
        let size = 2 * PART;
        let half_zero = [vec![0; PART], vec![9; PART]].concat();
        let (sevens, mut other) = (vec![7; size], vec![7; size]);
        other[size - 1] = 8;
        let main = file(&[vec![0; size], sevens.clone(), half_zero.clone(), vec![5; size - 1]].concat());
        let frames: [Frame<'_>; 5] =
            [(1, 0, &[]), (2, 0, &sevens), (3, 0, &half_zero), (2, 0, &other), (4, 4, &[5].repeat(size))];
        let bytes = log(8192, &frames);
        let of_log = |log: &File, page, number| {
            let header = LogHeader::read(log).expect("readable").expect("a header");
            MainAndLog { main: &main, log, header }.compare(page, number).expect("readable")
        };
        let log = file(&bytes);
        for (page, number, expected) in [
            (1, 1, Some(PageComparison::Zeros)),
            (2, 2, Some(PageComparison::Equal)),
            (3, 3, Some(PageComparison::Equal)),
            (2, 4, Some(PageComparison::Different)),
            (4, 5, Some(PageComparison::Different)),
            (1, 2, None),
            (0, 1, None),
            (4, 6, None),
        ] {
            assert_eq!(of_log(&log, page, number), expected, "page {page}, frame {number}");
        }
        let cut = file(&bytes[..32 + 2 * (FRAME_HEADER + size) - 1]);
        assert_eq!(of_log(&cut, 2, 2), None, "the log was cut short meanwhile");
    }

    #[test]
    fn frame_headers_of_a_long_log_are_read_over_several_samples() {
        let frames: Vec<Frame<'_>> = (1..=5).map(|page| (page, u32::from(page == 5) * 5, &[][..])).collect();
        let log = file(&log(512, &frames));
        let header = LogHeader::read(&log).expect("readable").expect("a header");
        let pair = MainAndLog { main: &log, log: &log, header };
        let mut known = Vec::new();
        for (expected, count) in [(Some(false), 2), (Some(false), 4), (Some(true), 5), (Some(true), 5)] {
            assert_eq!(pair.frames(&mut known, 5, 2).expect("readable"), expected);
            assert_eq!(known.len(), count);
        }
        assert_eq!(known[3..], [FrameHeader { page: 4, commit: 0 }, FrameHeader { page: 5, commit: 5 }]);
        assert_eq!(pair.frames(&mut known, 6, 2).expect("readable"), None, "there is no sixth");
    }
}
