//! The panels of the screen.

/// The panels, in the order of their numbers on the screen and of Tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    /// 1
    Findings,
    /// 2: the processes, each with its lock, and the locks of processes that are not in the list.
    Processes,
    /// 3
    Files,
    /// 4
    Pragmas,
    /// 5
    Ingestion,
    /// 6
    Log,
}

impl Panel {
    pub const ALL: [Self; 6] =
        [Self::Findings, Self::Processes, Self::Files, Self::Pragmas, Self::Ingestion, Self::Log];

    /// Its name on the screen.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Findings => "Findings",
            Self::Processes => "Locks and processes",
            Self::Files => "Files",
            Self::Pragmas => "Pragmas",
            Self::Ingestion => "Ingestion",
            Self::Log => "Log",
        }
    }

    /// Whether it stands in the main column; the others are at the side.
    pub const fn is_main(self) -> bool {
        matches!(self, Self::Findings | Self::Processes)
    }
}
