//! The numbers of the processes and tracks of a trace.

use std::collections::{HashMap, HashSet};

use super::super::line::RecordedProcess;

/// The process of what is about no process: findings, gaps and counters. No PID is as large.
pub const DATABASES: u64 = 1 << 22;
/// Tracks of one name and process, at most; further slices are left out.
const MOST_TRACKS: usize = 16;

/// The number of each process.
#[derive(Debug, Default)]
pub struct ProcessNumbers {
    numbers: HashMap<RecordedProcess, u64>,
    used: HashSet<u64>,
}

impl ProcessNumbers {
    /// The number of `who`, and whether it is new: its PID, unless another process had that before.
    pub fn number(&mut self, who: &RecordedProcess) -> (u64, bool) {
        // Two sources may differ in whether they know the start.
        let key = RecordedProcess { start: None, ..who.clone() };
        if let Some(number) = self.numbers.get(&key) {
            return (*number, false);
        }
        let pid = who.pid.and_then(|pid| u64::try_from(pid).ok()).filter(|pid| (1..DATABASES).contains(pid));
        let other = DATABASES + 1 + self.numbers.len() as u64;
        let number = pid.filter(|pid| !self.used.contains(pid)).unwrap_or(other);
        self.used.insert(number);
        self.numbers.insert(key, number);
        (number, true)
    }
}

/// A track of a process. No other track has its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackNumber {
    pub process: u64,
    pub number: u64,
}

/// Where a slice belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackPlace {
    pub track: TrackNumber,
    /// Whether it is the first slice there.
    pub is_new: bool,
}

/// The tracks, by process and name.
#[derive(Debug, Default)]
pub struct TrackNumbers {
    tracks: HashMap<(u64, String), SameTracks>,
}

/// The tracks of one name and process.
#[derive(Debug)]
struct SameTracks {
    /// The number of the first one; the others follow.
    first: u64,
    /// The end of the last slice of each, in microseconds.
    ends: Vec<i64>,
}

impl TrackNumbers {
    /// A track called `name` of `process` on which nothing overlaps the time from `began` to `ended`, in microseconds;
    /// `None` if there are too many. Slices come in the order of their ends.
    pub fn place(&mut self, process: u64, name: &str, began: i64, ended: i64) -> Option<TrackPlace> {
        let first = 1 + (self.tracks.len() * MOST_TRACKS) as u64;
        let new = SameTracks { first, ends: Vec::new() };
        let tracks = self.tracks.entry((process, name.to_owned())).or_insert(new);
        let free = tracks.ends.iter().position(|end| *end <= began);
        let index = free.unwrap_or(tracks.ends.len());
        if index == MOST_TRACKS {
            return None;
        }
        match free {
            Some(index) => tracks.ends[index] = ended,
            None => tracks.ends.push(ended),
        }
        let track = TrackNumber { process, number: tracks.first + index as u64 };
        Some(TrackPlace { track, is_new: free.is_none() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_its_pid_as_its_number_unless_another_one_had_it() {
        let process = |pid, name: &str| RecordedProcess { pid, start: None, name: name.to_owned() };
        let mut numbers = ProcessNumbers::default();
        assert_eq!(numbers.number(&process(Some(70), "web")), (70, true));
        assert_eq!(numbers.number(&process(Some(70), "web")), (70, false));
        let (later, is_new) = numbers.number(&process(Some(70), "cron"));
        assert!(later > DATABASES && is_new, "the PID was used again");
        let (unseen, is_new) = numbers.number(&process(None, ""));
        assert!(unseen > DATABASES && unseen != later && is_new);
    }

    #[test]
    fn slices_that_overlap_are_on_different_tracks_and_there_are_not_too_many() {
        let mut tracks = TrackNumbers::default();
        let mut place = |began, ended| tracks.place(2, "waits", began, ended);
        let first = place(0, 10).expect("a track");
        assert_eq!(place(10, 20), Some(TrackPlace { is_new: false, ..first }), "it begins at the end");
        let second = place(15, 25).expect("a track");
        assert!(second.is_new && second.track.number == first.track.number + 1);
        let others: Vec<_> = (2..MOST_TRACKS + 3).map(|_| place(16, 30).is_some()).collect();
        assert_eq!(others.iter().filter(|is_there| **is_there).count(), MOST_TRACKS - 2);
        assert_eq!(place(25, 40), Some(TrackPlace { is_new: false, ..first }));
        let other = tracks.place(3, "waits", 0, 10).expect("a track");
        assert!(other.is_new && other.track.number > second.track.number + 13, "of another process");
    }
}
