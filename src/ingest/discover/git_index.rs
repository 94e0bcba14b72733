//! The paths in the index of a git repository: versions 2 to 4 of <https://git-scm.com/docs/index-format>.
//!
//! The crate `gix-index` needs some 30 other crates, for what is a list of names here. `git` itself is not started: the
//! settings of a repository can name programs that it runs.

/// The longest path in an index, in bytes: Linux opens none that is longer.
const LONGEST_PATH: usize = 4096;

/// Before the object's hash: times, device, inode, mode, owner and size.
const BEFORE_HASH: usize = 40;
const MODE_AT: usize = 24;

/// Of `mode`: the kind, and that of a regular file.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// The flags of an entry: further flags follow; the length of the path, or this if it is longer.
const IS_EXTENDED: u16 = 0x4000;
const LENGTH: u16 = 0x0fff;

/// Bytes of a hash: SHA-1 and SHA-256.
const HASHES: [usize; 2] = [20, 32];

/// Calls `take` with each path of a regular file in `index`, sorted, with `/` between its parts. Returns the result of
/// `new` after all of them; `None` if it is no index that can be read whole, such as the rest of a split one. Its checksum
/// is not compared: git leaves it out on request.
pub fn fold<T>(index: &[u8], new: impl Fn() -> T, mut take: impl FnMut(&mut T, &[u8])) -> Option<T> {
    // Only the settings of the repository name the kind of its hashes; with the wrong one no entry fits.
    HASHES.into_iter().find_map(|hash| {
        let mut result = new();
        each_file(index, hash, &mut |path| take(&mut result, path)).map(|()| result)
    })
}

fn each_file(index: &[u8], hash: usize, take: &mut impl FnMut(&[u8])) -> Option<()> {
    let mut rest = Rest(index);
    let b"DIRC" = rest.take(4)? else { return None };
    let version = rest.number()?;
    if !(2..=4).contains(&version) {
        return None;
    }
    let (mut path, mut previous) = (Vec::new(), Vec::new());
    for _ in 0..rest.number()? {
        let mode = entry(&mut rest, version, hash, &mut path)?;
        // A path in conflict is in the index several times.
        if path < previous {
            return None;
        }
        if path != previous && mode & KIND == REGULAR {
            take(&path);
        }
        previous.clone_from(&path);
    }
    while rest.0.len() > hash {
        let name = rest.take(4)?;
        let length = rest.number()?;
        rest.take(usize::try_from(length).ok()?)?;
        // Extensions in small letters change what the entries mean; those of `sdir` are folders that are not checked out.
        if !name[0].is_ascii_uppercase() && name != b"sdir" {
            return None;
        }
    }
    (rest.0.len() == hash).then_some(())
}

/// Reads an entry; `path` is that of the one before, and then its own. Returns its mode.
fn entry(rest: &mut Rest<'_>, version: u32, hash: usize, path: &mut Vec<u8>) -> Option<u32> {
    let before = rest.0.len();
    let fields = rest.take(BEFORE_HASH)?;
    let mode = Rest(&fields[MODE_AT..]).number()?;
    rest.take(hash)?;
    let flags = rest.short()?;
    if flags & IS_EXTENDED != 0 {
        if version == 2 {
            return None;
        }
        rest.short()?;
    }
    let kept = if version == 4 { path.len().checked_sub(rest.distance()?)? } else { 0 };
    path.truncate(kept);
    path.extend(rest.until_nul()?);
    if version < 4 {
        // Up to 8 NULs fill the entry to a multiple of 8, and one is read.
        let padding = (before - rest.0.len()).next_multiple_of(8) - (before - rest.0.len());
        rest.take(padding)?;
    }
    let is_sound = path.len() <= LONGEST_PATH && path.len().min(LENGTH.into()) == usize::from(flags & LENGTH);
    is_sound.then_some(mode)
}

/// What is still unread.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn short(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// How many bytes of the path before an entry of version 4 does not have: seven bits a byte, the highest first, and
    /// each further byte adds one.
    fn distance(&mut self) -> Option<usize> {
        let mut distance = 0_usize;
        loop {
            let byte = self.take(1)?[0];
            distance |= usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Some(distance);
            }
            distance = distance.checked_add(1)?.checked_mul(0x80)?;
        }
    }

    /// The bytes before the next NUL, which is read too.
    fn until_nul(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(0, self.0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fuzz::for_a_while, fuzz_edits::edited};

    /// Indexes of the same files, as `git update-index` wrote them. Those of versions 3 and 4 have extended flags.
    const INDEXES: [(&str, &[u8]); 4] = [
        ("v2", include_bytes!("../../../tests/all/indexes/v2")),
        ("v3", include_bytes!("../../../tests/all/indexes/v3")),
        ("v4", include_bytes!("../../../tests/all/indexes/v4")),
        ("SHA-256", include_bytes!("../../../tests/all/indexes/sha256")),
    ];

    /// The rest of one that is split, as `git update-index --split-index` wrote it.
    const SPLIT: &[u8] = include_bytes!("../../../tests/all/indexes/split");

    fn paths(index: &[u8]) -> Option<Vec<String>> {
        fold(index, Vec::new, |paths, path| paths.push(String::from_utf8_lossy(path).into_owned()))
    }

    #[test]
    fn the_regular_files_of_every_version_are_read() {
        let expected = [
            ".hidden/h.md",
            "big.md",
            "code.rs",
            "drafts/a.md",
            "drafts/b.md",
            "drafts/gone.md",
            "drafts/ü.md",
            "kept.md",
        ];
        for (name, index) in INDEXES {
            assert_eq!(paths(index).as_deref(), Some(&expected.map(str::to_owned)[..]), "{name}");
        }
    }

    #[test]
    fn an_index_that_is_split_cut_or_of_another_version_is_refused() {
        assert_eq!(paths(SPLIT), None);
        for (name, index) in INDEXES {
            assert!((0..index.len()).all(|end| paths(&index[..end]).is_none()), "{name}");
            let mut other = index.to_vec();
            other[7] = 5;
            assert_eq!(paths(&other), None, "{name}");
        }
    }

    #[test]
    fn a_path_in_conflict_is_one_path_and_paths_out_of_order_are_none() {
        let entry = |path: &str, stage: u16| {
            let mut bytes = vec![0; BEFORE_HASH + HASHES[0]];
            bytes[MODE_AT..MODE_AT + 4].copy_from_slice(&REGULAR.to_be_bytes());
            let length = u16::try_from(path.len()).map_or(LENGTH, |length| length.min(LENGTH));
            bytes.extend((stage << 12 | length).to_be_bytes());
            bytes.extend(path.as_bytes());
            bytes.resize((bytes.len() + 1).next_multiple_of(8), 0);
            bytes
        };
        let index = |entries: &[Vec<u8>]| {
            let count = u8::try_from(entries.len()).expect("few");
            let header = [b"DIRC".as_slice(), &[0, 0, 0, 2, 0, 0, 0, count]].concat();
            [header, entries.concat(), vec![0; HASHES[0]]].concat()
        };
        let conflict = index(&[entry("a.md", 1), entry("a.md", 2), entry("a.md", 3), entry("b.md", 0)]);
        assert_eq!(paths(&conflict), Some(vec!["a.md".to_owned(), "b.md".to_owned()]));
        assert_eq!(paths(&index(&[entry("b.md", 0), entry("a.md", 0)])), None);
        assert!(paths(&index(&[entry(&"d/".repeat(2_046), 0)])).is_some());
        assert_eq!(paths(&index(&[entry(&"d/".repeat(2_049), 0)])), None, "longer than Linux opens");
    }

    #[test]
    fn fuzz_an_index_never_panics() {
        let valid = INDEXES.map(|(_, index)| index);
        for_a_while("git index", |runner| {
            runner.run(&edited(&valid), |index| {
                // A byte that is no UTF-8 becomes three.
                let longest = paths(&index).into_iter().flatten().map(|path| path.len()).max();
                proptest::prop_assert!(longest.unwrap_or(0) <= 3 * LONGEST_PATH);
                Ok(())
            })
        });
    }
}
