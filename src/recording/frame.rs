//! The frames of a segment. Each is one zstd frame of whole lines, behind a skippable frame of fixed size that says how
//! long it is and which times it covers: a reader finds a time without decompressing anything, and `zstdcat` ignores it
//! (RFC 8878, 3.1.2).

use std::io;

use jiff::Timestamp;

/// What stands before a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameIndex {
    /// Bytes of the compressed frame that follows.
    pub length: u32,
    /// Bytes of its lines.
    pub content: u32,
    /// Number of its first line, and of its last.
    pub first_seq: u64,
    pub last_seq: u64,
    /// The earliest and the latest time of its lines, in microseconds since 1970.
    pub first_at: i64,
    pub last_at: i64,
}

/// The magic number of a skippable frame.
const MAGIC: [u8; 4] = 0x184D_2A5A_u32.to_le_bytes();
/// Marks the skippable frames of recordings.
const MARK: [u8; 8] = *b"waltop-1";
/// Bytes behind the magic number and the length.
const PAYLOAD: usize = MARK.len() + 2 * size_of::<u32>() + 4 * size_of::<u64>();

/// The most bytes of lines in one frame.
pub const MOST_CONTENT: u32 = 64 << 20;

impl FrameIndex {
    /// Bytes of the skippable frame.
    pub const BYTES: usize = MAGIC.len() + size_of::<u32>() + PAYLOAD;

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend(MAGIC);
        bytes.extend(u32::try_from(PAYLOAD).unwrap_or(0).to_le_bytes());
        bytes.extend(MARK);
        bytes.extend(self.length.to_le_bytes());
        bytes.extend(self.content.to_le_bytes());
        bytes.extend(self.first_seq.to_le_bytes());
        bytes.extend(self.last_seq.to_le_bytes());
        bytes.extend(self.first_at.to_le_bytes());
        bytes.extend(self.last_at.to_le_bytes());
        bytes
    }

    /// `None` if `bytes` are no such frame.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let (head, payload) = bytes.split_at(MAGIC.len() + size_of::<u32>());
        let is_ours = head.starts_with(&MAGIC) && payload.starts_with(&MARK);
        let mut rest = &payload[MARK.len()..];
        let index = Self {
            length: u32::from_le_bytes(take(&mut rest)?),
            content: u32::from_le_bytes(take(&mut rest)?),
            first_seq: u64::from_le_bytes(take(&mut rest)?),
            last_seq: u64::from_le_bytes(take(&mut rest)?),
            first_at: i64::from_le_bytes(take(&mut rest)?),
            last_at: i64::from_le_bytes(take(&mut rest)?),
        };
        (is_ours && index.content <= MOST_CONTENT).then_some(index)
    }

    /// Whether it has a line between the two times.
    pub fn overlaps(&self, from: Timestamp, to: Timestamp) -> bool {
        self.first_at <= to.as_microsecond() && self.last_at >= from.as_microsecond()
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// How much the compressor tries: 3 is zstd's default, and 9 takes four times as long for a sixth less.
const LEVEL: i32 = 3;

/// `lines` as a frame.
///
/// # Errors
///
/// They are too long, or memory is short.
pub fn compress(lines: &[u8]) -> io::Result<Vec<u8>> {
    if u32::try_from(lines.len()).is_ok_and(|length| length <= MOST_CONTENT) {
        zstd::bulk::compress(lines, LEVEL)
    } else {
        Err(io::ErrorKind::FileTooLarge.into())
    }
}

/// The lines of the frame `bytes`, of which `index` says how many bytes they are.
///
/// # Errors
///
/// It is damaged.
pub fn decompress(bytes: &[u8], index: &FrameIndex) -> io::Result<Vec<u8>> {
    let content = usize::try_from(index.content).unwrap_or(0);
    let lines = zstd::bulk::decompress(bytes, content)?;
    if lines.len() == content { Ok(lines) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_and_what_stands_before_it_come_back_as_they_were() {
        let lines = b"{\"seq\":1}\n".repeat(1000);
        let frame = compress(&lines).expect("compressed");
        let index = FrameIndex {
            length: u32::try_from(frame.len()).expect("short"),
            content: u32::try_from(lines.len()).expect("short"),
            first_seq: 1,
            last_seq: u64::MAX,
            first_at: i64::MIN,
            last_at: 7,
        };
        let bytes: [u8; FrameIndex::BYTES] = index.encode().try_into().expect("its length");
        assert_eq!(FrameIndex::decode(&bytes), Some(index));
        assert_eq!(decompress(&frame, &index).expect("whole"), lines);
        decompress(&frame[..frame.len() - 1], &index).expect_err("cut");
        decompress(&frame, &FrameIndex { content: index.content - 1, ..index })
            .expect_err("longer than its index says");
        let mut other = bytes;
        other[8] ^= 1;
        assert_eq!(FrameIndex::decode(&other), None);
    }

    #[test]
    fn another_program_reads_the_frames_as_one_stream() {
        let (one, two) = (compress(b"1\n").expect("compressed"), compress(b"2\n").expect("compressed"));
        let index = FrameIndex { length: 0, content: 2, first_seq: 0, last_seq: 0, first_at: 0, last_at: 0 };
        let stream = [index.encode(), one, index.encode(), two].concat();
        assert_eq!(zstd::stream::decode_all(stream.as_slice()).expect("zstd"), b"1\n2\n");
    }
}
