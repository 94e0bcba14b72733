//! The write-ahead log, `-wal` (<https://sqlite.org/fileformat2.html#the_write_ahead_log>).

use std::{collections::BTreeSet, fs::File, io};

use crate::{
    file_format::{FRAME_HEADER, LOG_HEADER, LOG_VERSION},
    observe::{
        checksum::{self, ChecksumPair, WordOrder},
        files,
    },
    snapshot::CommittedFrames,
};

mod frame_counter;

pub use frame_counter::FrameCounter;

/// The 32 bytes at the start of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHeader {
    pub page_size: u32,
    /// Checkpoint sequence: not a counter that can be compared between samples.
    pub checkpoint_sequence: u32,
    order: WordOrder,
    salts: [u8; 8],
    sums: ChecksumPair,
}

impl LogHeader {
    /// How many frames [`Self::newest_frames`] reads.
    const NEWEST: u32 = 64;

    /// Reads the header; `None` if the file has no valid one.
    ///
    /// # Errors
    ///
    /// If the operating system fails to read.
    pub fn read(file: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; LOG_HEADER];
        Ok(if files::read_at(file, &mut bytes, 0)? == LOG_HEADER { Self::parse(&bytes) } else { None })
    }

    /// The number of frames that fit into a log of `bytes` bytes.
    pub fn slots(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.saturating_sub(LOG_HEADER as u64) / self.frame_size() as u64).unwrap_or(u32::MAX)
    }

    /// The salts, which every frame of this generation repeats.
    pub fn salts(&self) -> [u8; 8] {
        self.salts
    }

    /// How many frames of this generation follow the frame `newest` in a log of `bytes` bytes: those of a transaction that
    /// is not committed. What follows them is from an earlier generation, so that the last one is found by halving.
    ///
    /// # Errors
    ///
    /// If the operating system fails to read.
    pub fn frames_after(&self, file: &File, newest: u32, bytes: u64) -> io::Result<u32> {
        let is_of_this_log = |frame: u32| {
            let mut salts = [0; 8];
            let length = files::read_at(file, &mut salts, self.offset_of(frame) + 8)?;
            // Once a transaction has written a page again, its next frames get their salts at the commit
            // (`walEncodeFrame` in SQLite's `wal.c`).
            Ok::<_, io::Error>(length == salts.len() && (salts == self.salts || salts == [0; 8]))
        };
        let (mut last, mut end) = (newest, self.slots(bytes).saturating_add(1));
        while end.saturating_sub(last) > 1 {
            let frame = last + (end - last) / 2;
            // Mostly the first one is none of them.
            let frame = if last == newest { newest + 1 } else { frame };
            if is_of_this_log(frame)? {
                last = frame;
            } else {
                end = frame;
            }
        }
        Ok(last - newest)
    }

    /// The transactions among [`Self::NEWEST`] frames that end at the committed frame `last`. If the log has just
    /// restarted, the frames of the generation before follow, which it has not yet overwritten.
    ///
    /// # Errors
    ///
    /// If the operating system fails to read.
    pub fn newest_frames(&self, file: &File, last: u32) -> io::Result<CommittedFrames> {
        let first = last.saturating_sub(Self::NEWEST) + 1;
        let mut salt = word(&self.salts, 0);
        let (mut found, mut pages) = (CommittedFrames::default(), BTreeSet::new());
        // Of a transaction whose first frames are not read, only the end is known.
        let mut is_whole = first == 1;
        let mut open = Vec::new();
        for frame in first..first.saturating_add(Self::NEWEST) {
            let mut bytes = [0; FRAME_HEADER];
            if files::read_at(file, &mut bytes, self.offset_of(frame))? < bytes.len() {
                break;
            }
            if word(&bytes, 8) != salt {
                salt = salt.wrapping_sub(1);
                is_whole = false;
                open.clear();
                if word(&bytes, 8) != salt || salt != word(&self.salts, 0).wrapping_sub(1) {
                    break;
                }
            }
            open.push(word(&bytes, 0));
            // The last frame of a transaction states the size of the database.
            if word(&bytes, 4) > 0 {
                if is_whole {
                    found.frames += u32::try_from(open.len()).unwrap_or(u32::MAX);
                    found.commits += 1;
                    pages.extend(open.iter().copied());
                }
                is_whole = true;
                open.clear();
            }
        }
        found.pages = u32::try_from(pages.len()).unwrap_or(u32::MAX);
        Ok(found)
    }

    fn parse(bytes: &[u8; LOG_HEADER]) -> Option<Self> {
        let order = match word(bytes, 0) {
            0x377f_0682 => WordOrder::Little,
            0x377f_0683 => WordOrder::Big,
            _ => return None,
        };
        let page_size = word(bytes, 8);
        let sums = checksum::extend(order, (0, 0), &bytes[..24]);
        let is_valid = word(bytes, 4) == LOG_VERSION
            && page_size.is_power_of_two()
            && (512..=65536).contains(&page_size)
            && sums == (word(bytes, 24), word(bytes, 28));
        let mut salts = [0; 8];
        salts.copy_from_slice(&bytes[16..24]);
        is_valid.then_some(Self { page_size, checkpoint_sequence: word(bytes, 12), order, salts, sums })
    }

    /// Bytes per frame: its header and one page.
    pub fn frame_size(&self) -> usize {
        FRAME_HEADER + self.page_size as usize
    }

    /// The offset of the frame with this number, counted from 1.
    pub fn offset_of(&self, frame: u32) -> u64 {
        LOG_HEADER as u64 + u64::from(frame.saturating_sub(1)) * self.frame_size() as u64
    }

    // The sums after `frame`, if it is valid after a frame with `sums`.
    fn accept(&self, sums: ChecksumPair, frame: &[u8]) -> Option<ChecksumPair> {
        if word(frame, 0) == 0 || frame[8..16] != self.salts {
            return None;
        }
        let sums = checksum::extend(self.order, sums, &frame[..8]);
        let sums = checksum::extend(self.order, sums, &frame[FRAME_HEADER..]);
        (sums == (word(frame, 16), word(frame, 20))).then_some(sums)
    }
}

/// The bytes of a log with `frames` frames.
pub fn bytes_of(frames: u32, page_size: u32) -> u64 {
    LOG_HEADER as u64 + u64::from(frames) * (FRAME_HEADER as u64 + u64::from(page_size))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::{super::content::fixture, *};

    #[test]
    fn a_log_has_its_header_and_its_frames() {
        for frames in 0..4 {
            let log = fixture::log(4096, &vec![(1, 0, &b"x"[..]); frames as usize]);
            assert_eq!(bytes_of(frames, 4096), log.len() as u64, "{frames} frames");
        }
    }

    #[test]
    fn the_newest_transactions_are_counted_also_across_a_restart() {
        let file = tempfile::tempfile().expect("a file");
        let header = LogHeader {
            page_size: 512,
            checkpoint_sequence: 1,
            order: WordOrder::Little,
            salts: [0, 0, 0, 9, 1, 2, 3, 4],
            sums: (0, 0),
        };
        let write = |frame: u32, page: u32, size: u32, salt: u32| {
            let words = [page, size, salt].map(u32::to_be_bytes).concat();
            file.write_all_at(&words, header.offset_of(frame)).expect("written");
            file.write_all_at(&[0; 512], header.offset_of(frame) + FRAME_HEADER as u64).expect("written");
        };
        let counted = |last| {
            let found = header.newest_frames(&file, last).expect("readable");
            (found.frames, found.commits, found.pages)
        };
        assert_eq!(counted(0), (0, 0, 0), "an empty log");
        // Two commits of this generation, the rest of one that they overwrote, and two of the one before.
        for (frame, page, size, salt) in
            [(1, 3, 0, 9), (2, 4, 8, 9), (3, 3, 8, 9), (4, 5, 8, 8), (5, 6, 0, 8), (6, 7, 8, 8), (7, 6, 8, 8)]
        {
            write(frame, page, size, salt);
        }
        assert_eq!(counted(3), (6, 4, 4));
        write(8, 9, 8, 7);
        assert_eq!(counted(3), (6, 4, 4), "an older one");
        // One transaction that is longer than what is read says nothing of itself.
        for frame in 1..=100 {
            write(frame, frame, u32::from(frame == 100), 9);
        }
        assert_eq!(counted(100), (0, 0, 0));
        write(60, 1, 8, 9);
        assert_eq!(counted(100), (40, 1, 40));
    }
}
