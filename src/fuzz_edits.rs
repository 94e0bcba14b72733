//! Valid input with a few edits, for [`crate::fuzz`]: it comes further into a parser than random bytes do.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

/// A change of some bytes.
#[derive(Debug, Clone)]
enum ByteEdit {
    Insert(Index, Vec<u8>),
    Overwrite(Index, Vec<u8>),
    Remove(Index, usize),
    Double(Index, usize),
    Truncate(Index),
}

impl ByteEdit {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<Index>;
        prop_oneof![
            (at(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            (at(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Self::Overwrite(at, bytes)),
            (at(), 1_usize..40).prop_map(|(at, count)| Self::Remove(at, count)),
            (at(), 1_usize..40).prop_map(|(at, count)| Self::Double(at, count)),
            at().prop_map(Self::Truncate),
        ]
    }

    fn apply(self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        let place = |at: Index| at.index(length + 1);
        let range = |at: Index, count: usize| place(at)..length.min(place(at) + count);
        match self {
            Self::Insert(at, new) => drop(bytes.splice(place(at)..place(at), new)),
            Self::Overwrite(at, new) => drop(bytes.splice(range(at, new.len()), new)),
            Self::Remove(at, count) => drop(bytes.drain(range(at, count))),
            Self::Double(at, count) => bytes.extend_from_within(range(at, count)),
            Self::Truncate(at) => bytes.truncate(place(at)),
        }
    }
}

/// One of `seeds`, which are valid, with up to eight edits.
pub(crate) fn edited<T: AsRef<[u8]>>(seeds: &[T]) -> impl Strategy<Value = Vec<u8>> + use<T> {
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_ref().to_vec()).collect();
    (select(seeds), vec(ByteEdit::any(), 0..9)).prop_map(|(mut bytes, edits)| {
        for edit in edits {
            edit.apply(&mut bytes);
        }
        bytes
    })
}

pub(crate) fn edited_text<T: AsRef<[u8]>>(seeds: &[T]) -> impl Strategy<Value = String> + use<T> {
    edited(seeds).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
