//! The names of processes that metrics tell apart: a bounded number, each for the life of the meter.

/// How many names have a label of their own.
pub const MOST_NAMES: usize = 20;

/// The sum of all names beyond these.
const OTHER: &str = "other";
/// A process that is not visible.
const UNKNOWN: &str = "unknown";

/// The names, each with a slot that is never given to another one.
#[derive(Debug)]
pub struct ProcessSlots(Vec<Box<str>>);

impl Default for ProcessSlots {
    fn default() -> Self {
        Self(vec![OTHER.into(), UNKNOWN.into()])
    }
}

impl ProcessSlots {
    /// The slot of `name`, which is empty for an unknown process.
    pub fn of(&mut self, name: &str) -> usize {
        let name = if name.is_empty() { UNKNOWN } else { name };
        if let Some(slot) = self.0.iter().position(|known| **known == *name) {
            return slot;
        }
        if self.0.len() == MOST_NAMES + 2 {
            return 0;
        }
        self.0.push(name.into());
        self.0.len() - 1
    }

    pub fn name(&self, slot: usize) -> &str {
        self.0.get(slot).map_or(OTHER, |name| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_keep_their_slot_and_the_rest_share_one() {
        let mut slots = ProcessSlots::default();
        let first: Vec<usize> = (0..MOST_NAMES).map(|number| slots.of(&format!("p{number}"))).collect();
        assert_eq!(slots.of("late"), slots.of(OTHER));
        assert_eq!(slots.of("later"), slots.of("late"));
        let again: Vec<usize> = (0..MOST_NAMES).map(|number| slots.of(&format!("p{number}"))).collect();
        assert_eq!(first, again);
        assert_eq!(slots.name(first[3]), "p3");
        let late = slots.of("late");
        let unknown = slots.of("");
        assert_eq!((slots.name(late), slots.name(unknown)), (OTHER, UNKNOWN));
    }
}
