//! How long recordings are kept, and how much room they take.

use std::{fs, io, path::Path, time::Duration};

use jiff::Timestamp;

use super::segment::{self, SegmentName};

/// The limits of a folder of recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionLimits {
    /// A segment is removed when its day has been over for this long.
    pub keep: Duration,
    /// Bytes of all segments; the oldest are removed first.
    pub max_size: u64,
    /// Bytes that stay free on the file system: with less, the recorder removes the oldest segments, and then pauses.
    pub min_free: u64,
}

impl Default for RetentionLimits {
    fn default() -> Self {
        Self { keep: Duration::from_hours(24 * 7), max_size: 1 << 30, min_free: 512 << 20 }
    }
}

impl RetentionLimits {
    /// A segment that is longer is followed by another of the same day, so that a part of a day can be removed.
    pub fn segment_size(&self) -> u64 {
        (self.max_size / 8).max(1 << 20)
    }
}

/// Removes the segments in `folder` that are too old, and the oldest until the others fit. The newest one stays.
///
/// # Errors
///
/// One cannot be removed.
pub fn enforce(folder: &Path, limits: &RetentionLimits, now: Timestamp) -> io::Result<()> {
    let mut kept = Vec::new();
    for name in segment::segments(folder)? {
        kept.push((name, fs::metadata(name.in_folder(folder))?.len()));
    }
    let mut total: u64 = kept.iter().map(|(_, bytes)| bytes).sum();
    let removable = kept.len().saturating_sub(1);
    for (name, bytes) in kept.into_iter().take(removable) {
        let is_short = free(folder)? < limits.min_free;
        if is_over(name, limits.keep, now) || total > limits.max_size || is_short {
            fs::remove_file(name.in_folder(folder))?;
            total -= bytes;
        }
    }
    Ok(())
}

/// Bytes that the file system of `folder` has free for this user.
///
/// # Errors
///
/// It cannot be asked.
pub fn free(folder: &Path) -> io::Result<u64> {
    let facts = rustix::fs::statvfs(folder)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

fn is_over(name: SegmentName, keep: Duration, now: Timestamp) -> bool {
    let end = name.day.tomorrow().and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC));
    let limit = end.ok().and_then(|end| end.timestamp().checked_add(keep).ok());
    limit.is_some_and(|limit| limit < now)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const ALL: [&str; 4] =
        ["2026-11-27.jsonl.zst", "2026-11-28.jsonl.zst", "2026-11-28.1.jsonl.zst", "2026-11-29.jsonl.zst"];

    fn left(limits: RetentionLimits, now: &str) -> Vec<String> {
        let dir = TempDir::new().expect("a folder");
        for name in ALL {
            fs::write(dir.path().join(name), [0; 1000]).expect("written");
        }
        fs::write(dir.path().join("mine.txt"), "x").expect("written");
        enforce(dir.path(), &limits, now.parse().expect("a time")).expect("enforced");
        assert!(dir.path().join("mine.txt").exists());
        segment::segments(dir.path()).expect("listed").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn old_segments_go_then_the_oldest_until_the_others_fit_and_the_newest_stays() {
        let day = Duration::from_hours(24);
        let limits = RetentionLimits { keep: day, max_size: u64::MAX, min_free: 0 };
        assert_eq!(left(limits, "2026-11-28T23:59:59Z"), ALL);
        assert_eq!(left(limits, "2026-11-29T00:00:01Z"), ALL[1..]);
        assert_eq!(left(limits, "2027-11-29T00:00:01Z"), ALL[3..]);
        assert_eq!(left(RetentionLimits { max_size: 2500, ..limits }, "2026-11-28T00:00:00Z"), ALL[2..]);
        assert_eq!(left(RetentionLimits { min_free: u64::MAX, ..limits }, "2026-11-28T00:00:00Z"), ALL[3..]);
    }
}
