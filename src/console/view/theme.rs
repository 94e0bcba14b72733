//! Styles by role. Colour never carries a meaning alone: a word or a sign always stands beside it.

use ratatui::style::{Color, Modifier, Style};

use crate::snapshot::Severity;

/// The styles of one theme.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// Borders of panels.
    pub border: Style,
    /// Border and title of the panel that has the focus.
    pub focus: Style,
    /// Titles and labels.
    pub title: Style,
    /// What matters less.
    pub muted: Style,
    /// What is as it should be.
    pub good: Style,
    /// What will hurt.
    pub warning: Style,
    /// What hurts.
    pub danger: Style,
    /// Keys, and what moves.
    pub accent: Style,
    /// The selected row.
    pub selected: Style,
}

impl Theme {
    /// The terminal's own sixteen colours, so that it suits light and dark ones.
    #[must_use]
    pub const fn colourful() -> Self {
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
        }
    }

    /// No colours at all, as `NO_COLOR` asks (<https://no-color.org>).
    #[must_use]
    pub const fn plain() -> Self {
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
        }
    }

    /// The style of a finding.
    #[must_use]
    pub const fn severity(&self, severity: Severity) -> Style {
        match severity {
            Severity::Info => self.muted,
            Severity::Warning => self.warning,
            Severity::Error => self.danger,
        }
    }
}

/// The sign of a finding.
#[must_use]
pub const fn sign(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "·",
        Severity::Warning => "▲",
        Severity::Error => "✖",
    }
}
