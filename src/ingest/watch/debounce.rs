//! When events cause a run: not at each event, and never too late. Pure: the caller passes the times.

use std::time::{Duration, Instant};

/// Quiet time that ends a group of events: an editor's write, rename and chmod are one change.
pub const QUIET: Duration = Duration::from_millis(250);

/// The longest time before a group causes a run, even if events continue.
pub const AT_MOST: Duration = Duration::from_secs(2);

/// The meaning of an event; a later variant includes the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchEvent {
    /// A document was added, changed or removed.
    Document,
    /// Folders were added or removed, or ignore rules changed: the set of watched folders changes.
    Folders,
    /// The kernel's queue overflowed: anything may have changed.
    Lost,
}

/// Events that cause one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventGroup {
    /// The most significant of them.
    pub heard: WatchEvent,
    pub events: u64,
}

/// Groups events, in the same few bytes for any number of them.
#[derive(Debug)]
pub struct EventDebouncer {
    quiet: Duration,
    at_most: Duration,
    gathered: Option<GatheredEvents>,
}

#[derive(Debug)]
struct GatheredEvents {
    wave: EventGroup,
    first: Instant,
    last: Instant,
}

impl Default for EventDebouncer {
    fn default() -> Self {
        Self::new(QUIET, AT_MOST)
    }
}

impl EventDebouncer {
    /// A group ends after `quiet` without an event, and is due `at_most` after its first one.
    pub fn new(quiet: Duration, at_most: Duration) -> Self {
        Self { quiet, at_most, gathered: None }
    }

    pub fn add(&mut self, heard: WatchEvent, now: Instant) {
        match &mut self.gathered {
            Some(gathered) => {
                gathered.wave.events += 1;
                gathered.wave.heard = gathered.wave.heard.max(heard);
                gathered.last = gathered.last.max(now);
            }
            None => {
                self.gathered =
                    Some(GatheredEvents { wave: EventGroup { heard, events: 1 }, first: now, last: now });
            }
        }
    }

    /// When the group is due; `None` without events.
    pub fn due(&self) -> Option<Instant> {
        let GatheredEvents { first, last, .. } = self.gathered.as_ref()?;
        Some((*last + self.quiet).min(*first + self.at_most))
    }

    /// The group, once it is due.
    pub fn take_if_due(&mut self, now: Instant) -> Option<EventGroup> {
        self.due().filter(|due| *due <= now).and_then(|_| self.take())
    }

    /// The group, due or not: a run that starts now covers it.
    pub fn take(&mut self) -> Option<EventGroup> {
        self.gathered.take().map(|gathered| gathered.wave)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Numbers that look random and are the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % bound
        }
    }

    #[test]
    fn one_event_is_acted_on_when_it_has_been_quiet() {
        let (mut debounce, start) = (EventDebouncer::default(), Instant::now());
        assert_eq!((debounce.due(), debounce.take_if_due(start)), (None, None));
        debounce.add(WatchEvent::Document, start);
        let early = (start + QUIET).checked_sub(MS).expect("it is late enough");
        assert_eq!(debounce.take_if_due(early), None);
        let wave = EventGroup { heard: WatchEvent::Document, events: 1 };
        assert_eq!(debounce.take_if_due(start + QUIET), Some(wave));
        assert_eq!(debounce.due(), None, "once");
    }

    #[test]
    fn ten_thousand_events_are_one_wave() {
        let (mut debounce, start) = (EventDebouncer::default(), Instant::now());
        for number in 0..10_000_u32 {
            debounce.add(WatchEvent::Document, start + Duration::from_micros(20) * number);
        }
        let wave = EventGroup { heard: WatchEvent::Document, events: 10_000 };
        assert_eq!(debounce.take_if_due(start + Duration::from_millis(200) + QUIET), Some(wave));
    }

    #[test]
    fn a_stream_without_end_is_acted_on_all_the_same() {
        let (mut debounce, start) = (EventDebouncer::default(), Instant::now());
        let mut taken = Vec::new();
        for ms in 0..60_000 {
            let now = start + MS * ms;
            debounce.add(WatchEvent::Document, now);
            taken.extend(debounce.take_if_due(now).map(|wave| (ms, wave.events)));
        }
        assert_eq!(taken.len(), 29, "every two seconds");
        assert!(taken.iter().all(|(_, events)| *events == 2_001), "{taken:?}");
    }

    #[test]
    fn what_says_most_stays_and_an_overflow_is_never_forgotten() {
        let (mut debounce, start) = (EventDebouncer::default(), Instant::now());
        for heard in [WatchEvent::Folders, WatchEvent::Lost, WatchEvent::Document] {
            debounce.add(heard, start);
        }
        assert_eq!(debounce.take(), Some(EventGroup { heard: WatchEvent::Lost, events: 3 }));
        assert_eq!(debounce.take(), None);
    }

    // For any sequence of events: none is lost, none waits too long, and groups do not overlap.
    #[test]
    fn whatever_comes_is_acted_on_in_time() {
        for seed in 0..200 {
            let (mut dice, mut debounce) = (Dice(seed), EventDebouncer::default());
            let mut now = Instant::now();
            let (mut heard, mut acted, mut oldest, mut loudest) = (0, 0, None, None);
            for _ in 0..500 {
                let pace = [1, 30, 400, 3_000][usize::try_from(dice.below(4)).expect("it is small")];
                let next = now + MS * u32::try_from(dice.below(pace)).expect("it is small");
                // The watch wakes when the group is due, and not before.
                if let Some(due) = debounce.due().filter(|due| *due <= next) {
                    assert_eq!(debounce.take_if_due(due.checked_sub(MS).expect("it is late enough")), None);
                    let wave = debounce.take_if_due(due).expect("it is due");
                    let first: Instant = oldest.take().expect("there was an event");
                    assert!(due - first <= AT_MOST && due - first >= QUIET, "seed {seed}");
                    assert_eq!(Some(wave.heard), loudest.take(), "seed {seed}");
                    acted += wave.events;
                }
                now = next;
                let what = [WatchEvent::Document, WatchEvent::Folders, WatchEvent::Lost];
                let what = what[usize::try_from(dice.below(3)).expect("it is small")];
                debounce.add(what, now);
                heard += 1;
                oldest.get_or_insert(now);
                loudest = loudest.max(Some(what));
            }
            acted += debounce.take().map_or(0, |wave| wave.events);
            assert_eq!(acted, heard, "seed {seed}");
        }
    }
}
