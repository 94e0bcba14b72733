//! Styles by role. Colour never carries a meaning alone: a word or a sign always accompanies it.

use ratatui::style::{Color, Modifier, Style};

use crate::{config::Palette, snapshot::Severity};

/// The styles of one theme.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    pub border: Style,
    /// Border and title of the panel that has the focus.
    pub focus: Style,
    pub title: Style,
    pub muted: Style,
    /// The expected state.
    pub good: Style,
    pub warning: Style,
    pub danger: Style,
    pub accent: Style,
    pub selected: Style,
    /// Whether the screen gets ASCII characters only.
    pub is_ascii: bool,
}

impl Theme {
    /// The theme of that name.
    pub const fn of(palette: Palette) -> Self {
        match palette {
            Palette::Dark => Self::dark(),
            Palette::Light => Self::light(),
            Palette::ColourBlind => Self::colour_blind(),
            Palette::None => Self::plain(),
        }
    }

    /// From the terminal's own sixteen colours.
    const fn dark() -> Self {
        Self {
            border: Style::new().fg(Color::DarkGray),
            focus: Style::new().fg(Color::Cyan),
            title: Style::new().add_modifier(Modifier::BOLD),
            muted: Style::new().fg(Color::DarkGray),
            good: Style::new().fg(Color::Green),
            warning: Style::new().fg(Color::Yellow),
            danger: Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
            accent: Style::new().fg(Color::Cyan),
            selected: Style::new().add_modifier(Modifier::REVERSED),
            is_ascii: false,
        }
    }

    /// The terminal's own yellow and cyan are unreadable on white. These colours are from the 256, each with a contrast
    /// above 4.5 to white.
    const fn light() -> Self {
        Self {
            border: Style::new().fg(Color::Indexed(243)),
            focus: Style::new().fg(Color::Indexed(25)),
            title: Style::new().add_modifier(Modifier::BOLD),
            muted: Style::new().fg(Color::Indexed(241)),
            good: Style::new().fg(Color::Indexed(22)),
            warning: Style::new().fg(Color::Indexed(94)),
            danger: Style::new().fg(Color::Indexed(124)).add_modifier(Modifier::BOLD),
            accent: Style::new().fg(Color::Indexed(25)),
            selected: Style::new().add_modifier(Modifier::REVERSED),
            is_ascii: false,
        }
    }

    /// Blue, yellow and orange-red, which also differ in brightness: the nearest of the 256 colours to those of Okabe
    /// and Ito (<https://jfly.uni-koeln.de/color/>).
    const fn colour_blind() -> Self {
        Self {
            border: Style::new().fg(Color::Indexed(244)),
            focus: Style::new().fg(Color::Indexed(74)),
            title: Style::new().add_modifier(Modifier::BOLD),
            muted: Style::new().fg(Color::Indexed(244)),
            good: Style::new().fg(Color::Indexed(74)),
            warning: Style::new().fg(Color::Indexed(221)),
            danger: Style::new().fg(Color::Indexed(166)).add_modifier(Modifier::BOLD),
            accent: Style::new().fg(Color::Indexed(74)),
            selected: Style::new().add_modifier(Modifier::REVERSED),
            is_ascii: false,
        }
    }

    /// No colours at all, as `NO_COLOR` requests (<https://no-color.org>).
    const fn plain() -> Self {
        Self {
            border: Style::new(),
            focus: Style::new().add_modifier(Modifier::BOLD),
            title: Style::new().add_modifier(Modifier::BOLD),
            muted: Style::new().add_modifier(Modifier::DIM),
            good: Style::new(),
            warning: Style::new(),
            danger: Style::new().add_modifier(Modifier::BOLD),
            accent: Style::new().add_modifier(Modifier::BOLD),
            selected: Style::new().add_modifier(Modifier::REVERSED),
            is_ascii: false,
        }
    }

    /// The style of a finding.
    pub const fn severity(&self, severity: Severity) -> Style {
        match severity {
            Severity::Info => self.muted,
            Severity::Warning => self.warning,
            Severity::Error => self.danger,
        }
    }
}

/// The sign of a finding.
pub const fn sign(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "·",
        Severity::Warning => "▲",
        Severity::Error => "✖",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colours(theme: &Theme) -> [Option<Color>; 9] {
        let Theme { border, focus, title, muted, good, warning, danger, accent, selected, is_ascii: _ } =
            theme;
        [border, focus, title, muted, good, warning, danger, accent, selected]
            .map(|style| style.fg.or(style.bg))
    }

    #[test]
    fn no_theme_shows_two_verdicts_in_one_colour() {
        for palette in [Palette::Dark, Palette::Light, Palette::ColourBlind] {
            let Theme { good, warning, danger, muted, .. } = Theme::of(palette);
            let verdicts = [good, warning, danger, muted].map(|style| style.fg);
            for (at, colour) in verdicts.iter().enumerate() {
                assert!(colour.is_some() && !verdicts[..at].contains(colour), "{palette:?}");
            }
        }
    }

    #[test]
    fn without_colours_there_are_none() {
        assert_eq!(colours(&Theme::of(Palette::None)), [None; 9]);
    }

    #[test]
    fn a_verdict_is_a_sign_too() {
        let signs = [Severity::Info, Severity::Warning, Severity::Error].map(sign);
        assert!(signs[0] != signs[1] && signs[1] != signs[2] && signs[0] != signs[2]);
    }
}
