//! Held time as a strip of blocks.

use ratatui::text::Span;

use super::{level, timeline::UNWATCHED};
use crate::console::widgets::theme::Theme;

/// A cell in which nothing was held.
const NOTHING: char = '·';

/// `shares`, each 0 to 1, in `width` columns. A column that covers several shows their mean, and a hold in any of them
/// is visible. A column of which no cell was watched, as in `unwatched`, is not shown as free.
pub fn strip(shares: &[f32], unwatched: &[bool], width: usize, theme: &Theme) -> Vec<Span<'static>> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    for column in 0..width {
        let (from, to) = (column * shares.len() / width, (column + 1) * shares.len() / width);
        let cells = &shares[from..to];
        let held = cells.iter().copied().map(f64::from).sum::<f64>() / count(cells.len().max(1));
        let (from, to) = (column * unwatched.len() / width, (column + 1) * unwatched.len() / width);
        let is_unwatched = from < to && unwatched[from..to].iter().all(|is| *is);
        let (sign, style) = match (held > 0.0, is_unwatched) {
            (true, _) => (level(held), theme.warning),
            (false, true) => (UNWATCHED, theme.muted),
            (false, false) => (NOTHING, theme.muted),
        };
        match spans.last_mut().filter(|last| last.style == style) {
            Some(last) => last.content.to_mut().push(sign),
            None => spans.push(Span::styled(sign.to_string(), style)),
        }
    }
    spans
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred cells")]
fn count(cells: usize) -> f64 {
    cells as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Palette;

    fn drawn(shares: &[f32], width: usize) -> String {
        drawn_with(shares, &[], width)
    }

    fn drawn_with(shares: &[f32], unwatched: &[bool], width: usize) -> String {
        let spans = strip(shares, unwatched, width, &Theme::of(Palette::None));
        spans.iter().map(|span| span.content.as_ref()).collect()
    }

    #[test]
    fn a_brief_hold_is_visible_at_every_width() {
        let mut shares = vec![0.0; 60];
        shares[17] = 0.01;
        for width in [1, 7, 12, 60] {
            let drawn = drawn(&shares, width);
            assert_eq!((drawn.chars().count(), drawn.matches('▂').count()), (width, 1), "{drawn}");
        }
        assert_eq!(drawn(&[1.0, 0.0], 2), "█·");
        assert_eq!(drawn(&[], 3), "···");
        assert_eq!(drawn(&shares, 0), "");
    }

    #[test]
    fn what_was_not_watched_is_not_free() {
        let unwatched = [true, true, true, false];
        assert_eq!(drawn_with(&[0.0, 1.0, 0.0, 0.0], &unwatched, 4), "░█░·");
        assert_eq!(drawn_with(&[0.0; 4], &unwatched, 2), "░·", "a part of it was watched");
        assert_eq!(drawn_with(&[], &unwatched, 4), "░░░·", "a process without holds");
    }
}
