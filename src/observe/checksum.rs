//! The checksum of `-wal` and `-shm` (<https://sqlite.org/fileformat2.html#checksum_algorithm>).

/// The byte order of the words that a checksum covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordOrder {
    Little,
    Big,
}

impl WordOrder {
    /// The byte order of this machine, which the wal-index uses.
    pub const NATIVE: Self = if cfg!(target_endian = "little") { Self::Little } else { Self::Big };
}

pub type ChecksumPair = (u32, u32);

/// Continues from `sums` over `bytes`; a remainder of fewer than eight bytes is ignored.
pub fn extend(order: WordOrder, sums: ChecksumPair, bytes: &[u8]) -> ChecksumPair {
    match order {
        WordOrder::Little => run(u32::from_le_bytes, sums, bytes),
        WordOrder::Big => run(u32::from_be_bytes, sums, bytes),
    }
}

fn run(word: impl Fn([u8; 4]) -> u32, sums: ChecksumPair, bytes: &[u8]) -> ChecksumPair {
    let (pairs, _) = bytes.as_chunks::<8>();
    pairs.iter().fold(sums, |(first, second), &[a, b, c, d, e, f, g, h]| {
        let first = first.wrapping_add(word([a, b, c, d])).wrapping_add(second);
        let second = second.wrapping_add(word([e, f, g, h])).wrapping_add(first);
        (first, second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_feed_each_other_and_wrap() {
        let bytes = [1, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0];
        assert_eq!(extend(WordOrder::Little, (0, 0), &bytes[..8]), (1, 3));
        assert_eq!(extend(WordOrder::Little, (0, 0), &bytes), (3, 7));
        let halves = extend(WordOrder::Little, extend(WordOrder::Little, (0, 0), &bytes[..8]), &bytes[8..]);
        assert_eq!(halves, (3, 7));
        assert_eq!(extend(WordOrder::Big, (0, 0), &[0, 0, 0, 1, 0, 0, 0, 2]), (1, 3));
    }
}
