//! The committed frames of a log, counted only while no process vouches for the wal-index. The count is kept and
//! continues from the last commit, so that a log is read once for all samples.

use std::{fs::File, io, time::SystemTime};

use super::{LogHeader, word};
use crate::{
    file_format::{FRAME_HEADER, LOG_HEADER},
    observe::{checksum::ChecksumPair, files},
    paths::FileId,
};

// The maximum that one sample reads of a log, so that a huge one cannot delay the others.
const BYTES_PER_LOOK: u64 = 256 << 20;
const CHUNK: usize = 1 << 20;

/// The committed frames of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedFrames {
    pub frames: u32,
    /// Database size in pages as of the last of them; `None` if there are none.
    pub page_count: Option<u32>,
    /// Whether the log was read to its end: a huge one takes several samples.
    pub is_complete: bool,
}

/// Counts the committed frames of one log, and keeps its position.
#[derive(Debug, Default)]
pub struct FrameCounter(Option<FrameCount>);

#[derive(Debug)]
struct FrameCount {
    of: (FileId, LogHeader),
    seen: (u64, Option<SystemTime>),
    committed: FramePosition,
    pages: Option<u32>,
    reached: FramePosition,
    is_complete: bool,
}

#[derive(Debug, Clone, Copy)]
struct FramePosition {
    frames: u32,
    sums: ChecksumPair,
}

impl FrameCounter {
    /// The committed frames of the log `file`, which starts with `header`.
    ///
    /// # Errors
    ///
    /// If the operating system fails to read.
    pub fn count(&mut self, file: &File, header: LogHeader) -> io::Result<CommittedFrames> {
        self.count_some(file, header, BYTES_PER_LOOK)
    }

    fn count_some(&mut self, file: &File, header: LogHeader, budget: u64) -> io::Result<CommittedFrames> {
        let metadata = file.metadata()?;
        let of = (FileId::of(&metadata), header);
        let seen = (metadata.len(), metadata.modified().ok());
        let start = FramePosition { frames: 0, sums: header.sums };
        let new =
            || FrameCount { of, seen, committed: start, pages: None, reached: start, is_complete: false };
        let count = match self.0.take().filter(|count| count.of == of) {
            Some(count) if count.is_complete && count.seen == seen => count,
            Some(mut count) => {
                // The frames after the last commit may have been rewritten since.
                if count.is_complete {
                    count.reached = count.committed;
                }
                let count = if count.is_still_there(file, metadata.len())? { count } else { new() };
                FrameCount { seen, ..count }.advance(file, budget)?
            }
            None => new().advance(file, budget)?,
        };
        let count = self.0.insert(count);
        let (frames, page_count) = (count.committed.frames, count.pages);
        Ok(CommittedFrames { frames, page_count, is_complete: count.is_complete })
    }
}

impl FrameCount {
    // Whether the last counted frame is still in the file of `length` bytes, unchanged. A log that was truncated below
    // its header, and perhaps extended again, has no frame or another one there: the checksum of the frame covers all
    // frames before it.
    fn is_still_there(&self, file: &File, length: u64) -> io::Result<bool> {
        let Some(before) = self.reached.frames.checked_sub(1) else { return Ok(true) };
        let header = self.of.1;
        let size = header.frame_size() as u64;
        let mut frame = [0; FRAME_HEADER];
        let offset = LOG_HEADER as u64 + u64::from(before) * size;
        let is_whole = offset + size <= length && files::read_at(file, &mut frame, offset)? == FRAME_HEADER;
        let sums = (word(&frame, 16), word(&frame, 20));
        Ok(is_whole && frame[8..16] == header.salts && sums == self.reached.sums)
    }

    fn advance(mut self, file: &File, budget: u64) -> io::Result<Self> {
        let header = self.of.1;
        let frame_size = header.frame_size();
        let mut buffer = vec![0; CHUNK.div_ceil(frame_size) * frame_size];
        let mut read = 0;
        self.is_complete = false;
        while read < budget {
            let offset = LOG_HEADER as u64 + u64::from(self.reached.frames) * frame_size as u64;
            let length = files::read_at(file, &mut buffer, offset)?;
            read += length as u64;
            for frame in buffer[..length].chunks_exact(frame_size) {
                let Some(sums) = header.accept(self.reached.sums, frame) else {
                    self.is_complete = true;
                    return Ok(self);
                };
                self.reached = FramePosition { frames: self.reached.frames + 1, sums };
                if word(frame, 4) != 0 {
                    self.committed = self.reached;
                    self.pages = Some(word(frame, 4));
                }
            }
            if length < buffer.len() {
                self.is_complete = true;
                return Ok(self);
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::FileExt,
        time::{Duration, SystemTime},
    };

    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        file_format::LOG_VERSION,
        fuzz::for_a_while,
        fuzz_edits::edited,
        observe::checksum::{self, WordOrder},
    };

    const PAGE: usize = 512;

    // A log in the making, written by the rules of the file format and not by the code under test.
    struct Log {
        file: File,
        sums: ChecksumPair,
        frames: u64,
    }

    impl Log {
        fn new() -> Self {
            let mut bytes = Vec::new();
            for value in [0x377f_0683, LOG_VERSION, 512, 7, 0xdead_beef, 0x0bad_cafe] {
                bytes.extend(u32::to_be_bytes(value));
            }
            let sums = checksum::extend(WordOrder::Big, (0, 0), &bytes);
            bytes.extend([sums.0.to_be_bytes(), sums.1.to_be_bytes()].concat());
            let file = tempfile::tempfile().expect("a file");
            file.write_all_at(&bytes, 0).expect("written");
            Self { file, sums, frames: 0 }
        }

        fn frame(&mut self, page: u32, commit: u32) -> &mut Self {
            let data = [u8::try_from(page).expect("small"); PAGE];
            let start = [page.to_be_bytes(), commit.to_be_bytes()].concat();
            self.sums = checksum::extend(WordOrder::Big, self.sums, &start);
            self.sums = checksum::extend(WordOrder::Big, self.sums, &data);
            let mut bytes = start;
            bytes.extend([0xde, 0xad, 0xbe, 0xef, 0x0b, 0xad, 0xca, 0xfe]);
            bytes.extend([self.sums.0.to_be_bytes(), self.sums.1.to_be_bytes()].concat());
            bytes.extend(data);
            self.file.write_all_at(&bytes, 32 + self.frames * 536).expect("written");
            self.frames += 1;
            self
        }

        fn header(&self) -> LogHeader {
            LogHeader::read(&self.file).expect("readable").expect("a header")
        }

        fn count(&self, counter: &mut FrameCounter, budget: u64) -> (u32, Option<u32>, bool) {
            let committed = counter.count_some(&self.file, self.header(), budget).expect("readable");
            (committed.frames, committed.page_count, committed.is_complete)
        }
    }

    #[test]
    fn only_committed_frames_count() {
        let mut log = Log::new();
        let mut counter = FrameCounter::default();
        assert_eq!(log.header().checkpoint_sequence, 7);
        assert_eq!(log.count(&mut counter, 1), (0, None, true));
        log.frame(1, 0).frame(2, 2).frame(3, 0);
        assert_eq!(log.count(&mut counter, 1), (2, Some(2), true));
        log.frame(4, 4);
        assert_eq!(log.count(&mut counter, 1), (4, Some(4), true));
        assert_eq!(log.header().slots(32 + 4 * 536 + 100), 4);
    }

    #[test]
    fn leftovers_of_an_older_generation_do_not_count() {
        let mut log = Log::new();
        log.frame(1, 1).frame(2, 2);
        log.file.write_all_at(&[0], 32 + 536 + 8).expect("written");
        assert_eq!(log.count(&mut FrameCounter::default(), 1), (1, Some(1), true));
    }

    #[test]
    fn a_spoilt_page_ends_the_log() {
        let mut log = Log::new();
        log.frame(1, 1).frame(2, 2).frame(3, 3);
        log.file.write_all_at(&[9], 32 + 536 + 24 + 100).expect("written");
        assert_eq!(log.count(&mut FrameCounter::default(), 1), (1, Some(1), true));
    }

    #[test]
    fn a_log_that_shrinks_under_its_header_is_counted_again() {
        let mut log = Log::new();
        let mut counter = FrameCounter::default();
        let start = log.sums;
        for page in 1..=3 {
            log.frame(page, page);
        }
        assert_eq!(log.count(&mut counter, 1), (3, Some(3), true));
        log.file.set_len(32 + 536).expect("cut off after a frame");
        assert_eq!(log.count(&mut counter, 1), (1, Some(1), true));
        log.file.set_len(32 + 500).expect("cut off in a frame");
        assert_eq!(log.count(&mut counter, 1), (0, None, true));
        // Cut off and written on with other frames, up to the same size.
        log.file.set_len(32).expect("cut off");
        (log.sums, log.frames) = (start, 0);
        log.frame(1, 1).frame(2, 2).frame(3, 3);
        assert_eq!(log.count(&mut counter, 1), (3, Some(3), true));
        log.file.set_len(32).expect("cut off");
        (log.sums, log.frames) = (start, 0);
        log.frame(9, 1).frame(9, 0).frame(9, 0).frame(9, 0);
        assert_eq!(log.count(&mut counter, 1), (1, Some(1), true));
        log.file.set_len(32).expect("cut off");
        assert_eq!(log.count(&mut counter, 1), (0, None, true));
    }

    #[test]
    fn a_huge_log_takes_several_samples() {
        let mut log = Log::new();
        for page in 1..=250 {
            (0..16).for_each(|_| {
                log.frame(page, page);
            });
        }
        let mut counter = FrameCounter::default();
        let (frames, _, is_complete) = log.count(&mut counter, 1);
        assert!(frames > 0 && frames < 4000 && !is_complete, "{frames}");
        assert!(!log.count(&mut counter, 1).2);
        assert_eq!(log.count(&mut counter, BYTES_PER_LOOK), (4000, Some(250), true));
    }

    #[test]
    fn a_huge_log_is_counted_to_its_end_though_each_sample_reads_only_a_part() {
        let mut log = Log::new();
        for page in (1..=250).cycle().take(4500) {
            log.frame(page, page);
        }
        let mut counter = FrameCounter::default();
        let samples = [(); 3].map(|()| log.count(&mut counter, 1));
        let frames = samples.map(|(frames, ..)| frames);
        assert!(frames.is_sorted_by(|before, after| before < after), "{frames:?}");
        assert_eq!(samples[2], (4500, Some(250), true));
    }

    // What happens to a log between two looks.
    #[derive(Debug, Clone)]
    enum Change {
        Frames(Vec<(u32, u32)>),
        CutTo(u64),
        Bytes(Vec<u8>),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            vec((1_u32..200, 0_u32..3), 1..5).prop_map(Change::Frames),
            (0_u64..6 * 536).prop_map(Change::CutTo),
            vec(any::<u8>(), 1..600).prop_map(Change::Bytes),
        ]
    }

    impl Log {
        // A writer carries on behind the frames that it finds, as recovery does.
        fn change(&mut self, change: Change) {
            let end = || self.file.metadata().expect("its size").len();
            match change {
                Change::CutTo(length) => self.file.set_len(32 + length.min(end() - 32)).expect("cut off"),
                Change::Bytes(bytes) => self.file.write_all_at(&bytes, end()).expect("written"),
                Change::Frames(frames) => {
                    let fresh = FrameCounter::default().count_some(&self.file, self.header(), u64::MAX);
                    self.frames = fresh.expect("readable").frames.into();
                    self.sums = self.sums_at(self.frames);
                    for (page, commit) in frames {
                        self.frame(page, commit);
                    }
                }
            }
        }

        fn sums_at(&self, frames: u64) -> ChecksumPair {
            let mut bytes = [0; 8];
            let at = if frames == 0 { 24 } else { 32 + (frames - 1) * 536 + 16 };
            self.file.read_exact_at(&mut bytes, at).expect("written");
            (word(&bytes, 0), word(&bytes, 4))
        }
    }

    #[test]
    fn fuzz_log() {
        for_a_while("log", |runner| {
            runner.run(&vec(change(), 0..8), |changes| {
                let (mut log, mut counter) = (Log::new(), FrameCounter::default());
                for (number, change) in (1..).zip(changes) {
                    log.change(change);
                    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(number);
                    log.file.set_modified(at).expect("it is ours");
                    // The count that goes on is that of a first look.
                    let (known, fresh) =
                        (log.count(&mut counter, 1 << 20), log.count(&mut FrameCounter::default(), 1 << 20));
                    prop_assert_eq!(known, fresh);
                    prop_assert!(known.0 <= log.header().slots(log.file.metadata().expect("its size").len()));
                }
                Ok(())
            })
        });
    }

    #[test]
    fn fuzz_log_header() {
        let mut valid = [0; LOG_HEADER];
        Log::new().file.read_exact_at(&mut valid, 0).expect("a header");
        for_a_while("log header", |runner| {
            runner.run(&edited(&[valid]), |bytes| {
                let Some(Ok(bytes)) = bytes.get(..LOG_HEADER).map(<[u8; LOG_HEADER]>::try_from) else {
                    return Ok(());
                };
                prop_assert!(LogHeader::parse(&bytes).is_none() || bytes == valid);
                Ok(())
            })
        });
    }

    #[test]
    fn an_invalid_header_is_none() {
        for at in [0, 5, 9, 13, 24] {
            let log = Log::new();
            log.file.write_all_at(&[0x55], at).expect("written");
            assert_eq!(LogHeader::read(&log.file).expect("readable"), None, "byte {at}");
        }
        assert_eq!(LogHeader::read(&tempfile::tempfile().expect("a file")).expect("readable"), None);
    }
}
