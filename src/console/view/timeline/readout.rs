//! In words: the values under the cursor of the timeline.

use ratatui::{style::Style, text::Line};

use super::{CHECKPOINTED, MAY_HAVE_WAITED, PINNED, READOUT, REFUSED, TimelinePanel, UNWATCHED, WAITED};
use crate::{
    console::view::header::is_only_sampled,
    history::{LockOwner, Timeline, TimelineLane, TimelineStep},
    text, units,
};

impl TimelinePanel<'_> {
    pub(super) fn readout(&self, selected: Option<usize>) -> Vec<Line<'static>> {
        #[expect(clippy::cast_precision_loss, reason = "one of sixty")]
        let share = |step: usize| step as f64 / Timeline::STEPS as f64;
        let (from, to) = (self.timeline.at(share(self.cursor)), self.timeline.at(share(self.cursor + 1)));
        let mut heading = format!("{} to {}", self.clock(from, true), self.clock(to, true));
        let room = self.width.saturating_sub(heading.chars().count() + 3);
        if let Some(legend) = self.legend(room) {
            heading.push_str(&format!("{legend:>width$}", width = room + 3));
        }
        let mut held: Vec<(&LockOwner, TimelineStep)> = self
            .timeline
            .lanes
            .iter()
            .filter_map(|lane| Some((&lane.who, lane.moments[self.cursor]?)))
            .collect();
        held.sort_by(|a, b| b.1.longest_ms.total_cmp(&a.1.longest_ms));
        // The longest hold, who waited for it, and as many of the others as there is room for.
        let all = usize::from(READOUT) - 1;
        let mut waits = self.waits(selected);
        waits.truncate(all - 1);
        let room = all - waits.len();
        let shown = if held.len() > room { room.saturating_sub(1).max(1) } else { held.len() };
        let mut sentences: Vec<(String, Style)> = held[..shown]
            .iter()
            .map(|(who, moment)| (self.sentence(who, moment), self.theme.warning))
            .collect();
        if sentences.is_empty() {
            let is_unknown = Timeline::cells(self.cursor).end <= self.timeline.unknown_cells();
            let is_unwatched = self.is_unwatched(&Timeline::cells(self.cursor));
            sentences.push(if is_unwatched {
                ("not watched then".to_owned(), self.theme.muted)
            } else if is_unknown {
                ("not known: nothing was sampled then".to_owned(), self.theme.muted)
            } else {
                ("free".to_owned(), self.theme.good)
            });
        }
        let after = sentences.len().min(1);
        sentences.splice(after..after, waits);
        if held.len() > shown && sentences.len() < all {
            let more = match held.len() - shown {
                1 => "and 1 more process, for less".to_owned(),
                more => format!("and {more} more processes, each for less"),
            };
            sentences.push((more, self.theme.muted));
        } else if !held.is_empty()
            && shown == held.len()
            && sentences.len() == held.len()
            && is_only_sampled(self.app)
        {
            sentences.push((self.no_waits(), self.theme.muted));
        }
        let lines =
            sentences.into_iter().map(|(text, style)| Line::styled(text::fit(&text, self.width), style));
        std::iter::once(Line::styled(text::fit(&heading, self.width), self.theme.title))
            .chain(lines)
            .collect()
    }

    /// What the marks in the lanes mean, in `room` columns: in words, in short, or the first ones.
    fn legend(&self, room: usize) -> Option<String> {
        let is_marked = |marks: fn(&TimelineLane) -> &[bool]| {
            self.timeline.lanes.iter().any(|lane| marks(lane).contains(&true))
        };
        let may_have_waited = is_marked(|lane| &lane.may_have_waited);
        let waited = !may_have_waited || is_marked(|lane| &lane.waited);
        let is_refused = is_marked(|lane| &lane.refused);
        let marks = [
            (waited, WAITED, "waited", "wait"),
            (may_have_waited, MAY_HAVE_WAITED, "may have waited", "may wait"),
            (is_refused, REFUSED, "did not get it", "refused"),
            (true, PINNED, "pins the log", "pin"),
            (true, CHECKPOINTED, "checkpoint", "checkpoint"),
            (!self.timeline.unwatched.is_empty(), UNWATCHED, "not watched", "not watched"),
        ];
        let marks: Vec<_> = marks.into_iter().filter(|(is_shown, ..)| *is_shown).collect();
        let long: Vec<_> = marks.iter().map(|(_, sign, words, _)| format!("{sign} {words}")).collect();
        let short: Vec<_> = marks.iter().map(|(_, sign, _, word)| format!("{sign} {word}")).collect();
        let fewer = (1..=short.len()).rev().map(|count| short[..count].join(" "));
        let mut all = std::iter::once(long.join("  ")).chain(fewer);
        all.find(|legend| legend.chars().count() <= room)
    }

    /// Who waited during the selected hold, and under the cursor: one sentence for each way in which a wait ended.
    fn waits(&self, selected: Option<usize>) -> Vec<(String, Style)> {
        let hold = selected.and_then(|at| self.timeline.holds.get(at));
        let cells = [Some(Timeline::cells(self.cursor)), hold.map(|hold| hold.cells.clone())];
        let is_marked = |marks: &[bool]| {
            cells.iter().flatten().any(|cells| marks.get(cells.clone()).is_some_and(|it| it.contains(&true)))
        };
        let ended = |lane: &TimelineLane| match (is_marked(&lane.waited), is_marked(&lane.refused)) {
            (true, true) => Some("waited for it and did not get it"),
            (true, false) => Some("waited for it"),
            (false, true) => Some("was refused it"),
            (false, false) => is_marked(&lane.may_have_waited).then_some("may have waited for it"),
        };
        let mut waits: Vec<(&str, Vec<String>)> = Vec::new();
        for lane in &self.timeline.lanes {
            // The holder may have waited before it got the lock.
            let Some(end) = ended(lane).filter(|_| hold.is_none_or(|hold| hold.who != lane.who)) else {
                continue;
            };
            match waits.iter_mut().find(|(known, _)| *known == end) {
                Some((_, names)) => names.push(name(&lane.who)),
                None => waits.push((end, vec![name(&lane.who)])),
            }
        }
        let sentence =
            |(end, names): (&str, Vec<String>)| (format!("{} {end}", names.join(", ")), self.theme.accent);
        waits.into_iter().map(sentence).collect()
    }

    fn no_waits(&self) -> String {
        match &self.app.setup.untraced {
            Some(why) => format!("no process was seen to wait; the kernel's trace would show it, but {why}"),
            None => {
                "no process was seen to wait; the kernel's trace would show it: waltop --trace on".to_owned()
            }
        }
    }

    fn sentence(&self, who: &LockOwner, moment: &TimelineStep) -> String {
        let name = name(who);
        let long = units::duration(moment.longest_ms);
        let began = moment.began.map_or_else(
            || " (when exactly is no longer known)".to_owned(),
            |began| format!(" from {}", self.clock(began, true)),
        );
        let of = match moment.count {
            0 | 1 => String::new(),
            count => format!(", the longest of {}", units::plural(count, "hold")),
        };
        let verb = if moment.goes_on { "has held it" } else { "held it" };
        let so_far = if moment.goes_on { " so far" } else { "" };
        format!("{name} {verb} for {long}{so_far}{began}{of}")
    }
}

fn name(who: &LockOwner) -> String {
    match who.pid {
        Some(pid) if who.name.is_empty() => pid.to_string(),
        Some(pid) => format!("{pid} ({})", text::fit(&who.name, 15)),
        None if who.name.is_empty() => "a process not visible from here".to_owned(),
        None => who.name.clone(),
    }
}
