//! Whether a log belongs to the main file beside it, judged by what a checkpoint would have written there.
//!
//! A checkpoint writes the pages of the log in ascending order, each from its last frame. After a checkpoint that was
//! killed, the lowest pages of the log are therefore in the main file as of some commit.

use std::{collections::BTreeMap, io};

use super::frames::{FrameHeader, PageComparison};

/// How many pages above an empty one are checked: each requires another pass over the log.
const DEEPER: u32 = 8;

/// The remaining comparisons, newest commit first, so that a long log can be judged in parts.
#[derive(Debug, Default)]
pub struct CommitSearch {
    // For each commit whose lowest page differs from the previous commit: the frames up to it, and the frame of that
    // page.
    candidates: Vec<(usize, u32)>,
    // The frames moved by a checkpoint that ended before the last frame, according to the index.
    partial: Vec<u32>,
    deeper: u32,
}

impl CommitSearch {
    /// A search through the committed `frames`. `partial` has the frames up to which a checkpoint went, according to an
    /// index left with this log.
    pub fn new(frames: &[FrameHeader], partial: &[u32]) -> Self {
        let mut candidates: Vec<(usize, u32)> = Vec::new();
        let mut lowest: Option<(u32, u32)> = None;
        for (number, frame) in (1_u32..).zip(frames) {
            if lowest.is_none_or(|(page, _)| frame.page <= page) {
                lowest = Some((frame.page, number));
            }
            if let (true, Some((_, of_lowest))) = (frame.commit != 0, lowest) {
                candidates.pop_if(|(_, known)| *known == of_lowest);
                candidates.push((number as usize, of_lowest));
            }
        }
        let partial = partial.iter().copied().filter(|&it| it > 0 && it as usize <= frames.len()).collect();
        Self { candidates, partial, deeper: 0 }
    }

    /// Makes up to `limit` comparisons and returns whether the main file holds pages of the log; `None` if comparisons
    /// remain.
    ///
    /// # Errors
    ///
    /// If `compare` fails.
    pub fn continue_search(
        &mut self,
        frames: &[FrameHeader],
        limit: &mut usize,
        mut compare: impl FnMut(u32, u32) -> io::Result<PageComparison>,
    ) -> io::Result<Option<bool>> {
        while let Some(moved) = self.partial.pop() {
            if prefix(&left_by_partial(frames, moved), limit, &mut compare)? {
                return Ok(Some(true));
            }
        }
        while let Some((count, number)) = self.candidates.pop() {
            if *limit == 0 {
                self.candidates.push((count, number));
                return Ok(None);
            }
            *limit -= 1;
            match compare(frames[number as usize - 1].page, number)? {
                PageComparison::Equal => return Ok(Some(true)),
                PageComparison::Zeros if self.deeper < DEEPER => {
                    self.deeper += 1;
                    if prefix(&last_frames(&frames[..count]), limit, &mut compare)? {
                        return Ok(Some(true));
                    }
                }
                PageComparison::Zeros | PageComparison::Different => {}
            }
        }
        Ok(Some(false))
    }
}

/// Whether the main file holds the lowest of `pages` that is not all zero, and every page below it.
fn prefix(
    pages: &BTreeMap<u32, u32>,
    limit: &mut usize,
    compare: &mut impl FnMut(u32, u32) -> io::Result<PageComparison>,
) -> io::Result<bool> {
    for (&page, &number) in pages {
        if *limit == 0 {
            return Ok(false);
        }
        *limit -= 1;
        match compare(page, number)? {
            PageComparison::Equal => return Ok(true),
            PageComparison::Zeros => {}
            PageComparison::Different => return Ok(false),
        }
    }
    Ok(false)
}

/// The last frame of each page of the database as of the last of `frames`.
fn last_frames(frames: &[FrameHeader]) -> BTreeMap<u32, u32> {
    let mut last: BTreeMap<u32, u32> = (1_u32..).zip(frames).map(|(number, it)| (it.page, number)).collect();
    let size = frames.iter().rev().map(|it| it.commit).find(|&commit| commit != 0).unwrap_or(u32::MAX);
    last.retain(|&page, _| page <= size);
    last
}

/// The pages that a checkpoint up to the frame `moved` has written. It skips pages that have a later frame.
fn left_by_partial(frames: &[FrameHeader], moved: u32) -> BTreeMap<u32, u32> {
    let mut last = last_frames(frames);
    last.retain(|_, &mut number| number <= moved);
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    // A log of commits: each writes pages, and the database then has 9 pages.
    fn log(commits: &[&[u32]]) -> Vec<FrameHeader> {
        let frames = commits.iter().flat_map(|pages| {
            pages
                .iter()
                .enumerate()
                .map(|(at, &page)| FrameHeader { page, commit: if at + 1 == pages.len() { 9 } else { 0 } })
        });
        frames.collect()
    }

    // What the main file holds: of some pages the content of a frame, of the others something else.
    fn judge(frames: &[FrameHeader], main: &[(u32, u32)], partial: &[u32]) -> bool {
        let mut search = CommitSearch::new(frames, partial);
        let mut limit = 1000;
        let compare = |page, number| {
            Ok(if main.contains(&(page, number)) { PageComparison::Equal } else { PageComparison::Different })
        };
        search.continue_search(frames, &mut limit, compare).expect("compared").expect("judged")
    }

    #[test]
    fn a_checkpoint_that_was_killed_anywhere_has_written_the_lowest_pages() {
        let frames = log(&[&[3, 5], &[1, 3, 7], &[5, 8]]);
        // As of the last commit: page 1 in frame 3, 3 in 4, 5 in 6, 7 in 5, 8 in 7.
        let order = [(1, 3), (3, 4), (5, 6), (7, 5), (8, 7)];
        assert!(!judge(&frames, &order[..0], &[]), "none was written");
        for written in 1..=order.len() {
            assert!(judge(&frames, &order[..written], &[]), "{written} pages");
        }
    }

    #[test]
    fn a_checkpoint_as_of_an_earlier_commit_counts() {
        let frames = log(&[&[3, 5], &[1, 3, 7], &[5, 8]]);
        assert!(judge(&frames, &[(3, 1)], &[]), "as of the first commit");
        assert!(judge(&frames, &[(3, 1), (5, 2)], &[]));
        assert!(!judge(&frames, &[(5, 2)], &[]), "page 3 comes before page 5");
        assert!(!judge(&frames, &[(7, 5)], &[]), "page 1 comes before page 7");
    }

    #[test]
    fn a_partial_checkpoint_leaves_pages_alone_that_have_a_later_frame() {
        // A reader at frame 3 kept the frames after it from being moved; pages 1 and 2 have later ones.
        let frames = log(&[&[1, 2, 5], &[1], &[2]]);
        assert!(!judge(&frames, &[(5, 3)], &[]), "nothing tells how far it went");
        assert!(judge(&frames, &[(5, 3)], &[3]));
        assert!(judge(&frames, &[(5, 3)], &[5, 3]));
        assert!(!judge(&frames, &[], &[3]));
        assert!(!judge(&frames, &[(5, 3)], &[9]), "an index of another log");
    }

    #[test]
    fn pages_that_were_cut_off_are_left_out() {
        let mut frames = log(&[&[2, 9]]);
        frames[1].commit = 3;
        assert_eq!(last_frames(&frames), BTreeMap::from([(2, 1)]));
    }

    #[test]
    fn an_empty_page_proves_nothing_by_itself() {
        let frames = log(&[&[2, 4, 6]]);
        let with = |fourth| {
            let mut limit = 1000;
            let compare = |page, _| {
                Ok(match page {
                    2 => PageComparison::Zeros,
                    4 => fourth,
                    _ => PageComparison::Different,
                })
            };
            CommitSearch::new(&frames, &[]).continue_search(&frames, &mut limit, compare).expect("compared")
        };
        assert_eq!(with(PageComparison::Equal), Some(true));
        assert_eq!(with(PageComparison::Zeros), Some(false));
        assert_eq!(with(PageComparison::Different), Some(false));
    }

    #[test]
    fn a_long_log_is_judged_in_parts() {
        let frames = log(&[&[1], &[1], &[1], &[1], &[1]]);
        let mut search = CommitSearch::new(&frames, &[]);
        let mut go_on = |limit: usize| {
            let mut limit = limit;
            let compare =
                |_, number| Ok(if number == 2 { PageComparison::Equal } else { PageComparison::Different });
            search.continue_search(&frames, &mut limit, compare).expect("compared")
        };
        assert_eq!((go_on(2), go_on(1), go_on(1)), (None, None, Some(true)));
    }
}
