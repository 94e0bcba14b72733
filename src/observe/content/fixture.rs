//! Main files, logs and indexes for tests, written by the rules of the file formats and not by the code under test.

use crate::{
    file_format::{INDEX_HEADER, LOG_VERSION, MAIN_HEADER},
    observe::checksum::{self, WordOrder},
};

pub const SALTS: [u8; 8] = *b"saltsalt";

/// A frame: its page, the pages of the database where it ends a commit, and the first bytes of the page.
pub type Frame<'a> = (u32, u32, &'a [u8]);

/// A log with pages of `page_size` bytes.
pub fn log(page_size: u32, frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in [0x377f_0683, LOG_VERSION, page_size, 7] {
        bytes.extend(u32::to_be_bytes(value));
    }
    bytes.extend(SALTS);
    let sums = checksum::extend(WordOrder::Big, (0, 0), &bytes);
    bytes.extend([sums.0.to_be_bytes(), sums.1.to_be_bytes()].concat());
    for (page, commit, data) in frames {
        bytes.extend([page.to_be_bytes(), commit.to_be_bytes()].concat());
        // The sums of a frame are not read where frames are compared.
        bytes.extend([&SALTS[..], &[0; 8]].concat());
        bytes.extend(page_of(page_size, data));
    }
    bytes
}

/// An index of the log with frames of `pages`, of which the first `backfilled` were moved.
pub fn index(page_size: u16, pages: &[u32], page_count: u32, backfilled: u32) -> Vec<u8> {
    let mut bytes = vec![0; INDEX_HEADER];
    let frames = u32::try_from(pages.len()).expect("few");
    for (at, value) in [(0, LOG_VERSION), (8, 1), (16, frames), (20, page_count)] {
        bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    bytes[12] = 1;
    bytes[14..16].copy_from_slice(&page_size.to_ne_bytes());
    bytes[32..40].copy_from_slice(&SALTS);
    let (first, second) = checksum::extend(WordOrder::NATIVE, (0, 0), &bytes[..40]);
    bytes[40..44].copy_from_slice(&first.to_ne_bytes());
    bytes[44..48].copy_from_slice(&second.to_ne_bytes());
    bytes.copy_within(..48, 48);
    bytes[96..100].copy_from_slice(&backfilled.to_ne_bytes());
    bytes.extend(pages.iter().flat_map(|page| page.to_ne_bytes()));
    bytes
}

/// The header of a main file of `pages` pages of 4096 bytes.
pub fn main_header(pages: u32) -> [u8; MAIN_HEADER] {
    let mut bytes = [0; MAIN_HEADER];
    bytes[..20].copy_from_slice(b"SQLite format 3\0\x10\0\x02\x02");
    bytes[28..32].copy_from_slice(&pages.to_be_bytes());
    bytes
}

/// A page that begins with `data` and is zero from there on.
pub fn page_of(page_size: u32, data: &[u8]) -> Vec<u8> {
    let mut page = data.to_vec();
    page.resize(page_size as usize, 0);
    page
}

/// A page of 4096 bytes of a table with three rows at its end; its b-tree header is at `start`.
pub fn tree_page(start: usize) -> Vec<u8> {
    let mut page = vec![0; 4096];
    page[start] = 13;
    page[start + 3..start + 7].copy_from_slice(&[0, 3, 0x0f, 0x00]);
    for (cell, at) in [0x0fc0_u16, 0x0f80, 0x0f00].into_iter().enumerate() {
        page[start + 8 + 2 * cell..][..2].copy_from_slice(&at.to_be_bytes());
    }
    page
}
