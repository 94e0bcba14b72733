//! How much of each part of a time each process held the write lock, for drawing.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// The shares of some processes, by name.
#[derive(Debug, Clone, Default)]
pub struct HeldStrips {
    /// In microseconds since 1970.
    from: i64,
    to: i64,
    strips: BTreeMap<String, Vec<f32>>,
}

impl HeldStrips {
    /// Parts of the time.
    pub const CELLS: usize = 600;
    /// Processes that are kept; the others are left out.
    const MOST: usize = 64;

    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from: from.as_microsecond(), to: to.as_microsecond(), strips: BTreeMap::new() }
    }

    /// `name` held the lock from `began` to `ended`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "shares are drawn"
    )]
    pub fn add(&mut self, name: &str, began: Timestamp, ended: Timestamp) {
        let began = began.as_microsecond().max(self.from);
        let ended = ended.as_microsecond().min(self.to);
        let cell = (self.to - self.from) as f64 / Self::CELLS as f64;
        if began > ended || began >= self.to || cell <= 0.0 {
            return;
        }
        if !self.strips.contains_key(name) {
            if self.strips.len() == Self::MOST {
                return;
            }
            self.strips.insert(name.to_owned(), vec![0.0; Self::CELLS]);
        }
        let Some(strip) = self.strips.get_mut(name) else { return };
        let (first, last) = ((began - self.from) as f64 / cell, (ended - self.from) as f64 / cell);
        let cells = first.max(0.0) as usize..(last as usize + 1).min(Self::CELLS);
        for (index, share) in cells.clone().zip(&mut strip[cells]) {
            let (start, end) = (index as f64, index as f64 + 1.0);
            let part = (last.min(end) - first.max(start)).max(0.0);
            *share = (*share + part as f32).min(1.0);
        }
    }

    /// Each process with its shares, the one that held the lock longest first.
    pub fn by_time(&self) -> Vec<(&str, &[f32])> {
        let mut strips: Vec<_> =
            self.strips.iter().map(|(name, strip)| (name.as_str(), strip.as_slice())).collect();
        let total = |strip: &[f32]| strip.iter().sum::<f32>();
        strips.sort_by(|(_, a), (_, b)| total(b).total_cmp(&total(a)));
        strips
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_fills_its_part_of_the_time() {
        let at = |second: i64| Timestamp::from_second(second).expect("a time");
        let mut strips = HeldStrips::new(at(0), at(600));
        strips.add("short", at(10), at(11));
        strips.add("long", at(100), at(350));
        strips.add("long", at(590), at(900));
        strips.add("before", at(-5), at(-1));
        let strips = strips.by_time();
        assert_eq!(strips.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["long", "short"]);
        let full = |strip: &[f32]| strip.iter().filter(|share| **share > 0.99).count();
        assert_eq!((full(strips[0].1), full(strips[1].1)), (260, 1));
        assert!(strips[0].1[99] < 0.01 && strips[0].1[350] < 0.01);
    }
}
