//! The panels of the screen.

/// The panels, in the order of their numbers on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    /// 1
    Locks,
    /// 2
    Processes,
    /// 3
    Files,
    /// 4
    Pragmas,
    /// 5
    Ingestion,
    /// 6
    Log,
    /// 7
    Findings,
}

impl Panel {
    /// All panels in the order of Tab, which follows the screen.
    pub const ALL: [Self; 7] = [
        Self::Locks,
        Self::Processes,
        Self::Findings,
        Self::Files,
        Self::Pragmas,
        Self::Ingestion,
        Self::Log,
    ];

    /// Its name on the screen.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Locks => "Locks",
            Self::Processes => "Processes",
            Self::Files => "Files",
            Self::Pragmas => "Pragmas",
            Self::Ingestion => "Ingestion",
            Self::Log => "Log",
            Self::Findings => "Findings",
        }
    }
}
