//! The end of a command's `--help`: its exit codes, and examples.

/// The end of a command's help.
#[derive(Debug, Clone, Copy)]
pub struct CommandHelp {
    pub command: &'static str,
    /// What each exit code means.
    pub exit_codes: &'static str,
    pub examples: &'static [&'static str],
}

const OK_OR_ERROR: &str = "0; 2 error.";
const DONE_DECLINED_ERROR: &str = "0; 1 you answered no; 2 error.";

/// One for each visible command.
pub const COMMANDS: &[CommandHelp] = &[
    CommandHelp {
        command: "demo",
        exit_codes: "0 after `q`; 128 plus the signal number after a signal.",
        examples: &["waltop demo"],
    },
    CommandHelp {
        command: "status",
        exit_codes: "0; 2 if a database cannot be read. The other databases are printed all the same.",
        examples: &["waltop status notes.db", "waltop status notes.db --for 2s --json"],
    },
    CommandHelp {
        command: "check",
        exit_codes: "0 no finding of that severity, 1 at least one, 2 a database cannot be read.",
        examples: &["waltop check notes.db --for 30s", "waltop check notes.db --fail-on error --json"],
    },
    CommandHelp {
        command: "explain",
        exit_codes: "0; 2 for an unknown finding.",
        examples: &["waltop explain", "waltop explain pinned-wal"],
    },
    CommandHelp {
        command: "checkpoint",
        exit_codes: "0 complete, 1 incomplete, 2 error.",
        examples: &["waltop checkpoint notes.db", "waltop checkpoint notes.db --mode truncate"],
    },
    CommandHelp {
        command: "ingest",
        exit_codes: "0 all files ingested, 1 some files failed or have no vector, 2 error, 130 stopped, 129 after SIGHUP.",
        examples: &["waltop ingest notes --db notes.db", "waltop ingest notes --db notes.db --hold 10ms"],
    },
    CommandHelp {
        command: "watch",
        exit_codes: "0 after SIGTERM, 130 after SIGINT, 129 after SIGHUP, 2 if it cannot start.",
        examples: &["waltop watch notes --db notes.db"],
    },
    CommandHelp {
        command: "runs",
        exit_codes: OK_OR_ERROR,
        examples: &["waltop runs notes.db", "waltop runs notes.db --failed"],
    },
    CommandHelp {
        command: "search",
        exit_codes: "0 found, 1 nothing found, 2 error.",
        examples: &[
            "waltop search --db notes.db write lock",
            "waltop search --db notes.db '\"busy timeout\"'",
        ],
    },
    CommandHelp {
        command: "health",
        exit_codes: "0 healthy, 1 unhealthy, 2 cannot be checked, 130 stopped, 129 after SIGHUP.",
        examples: &["waltop health notes.db", "waltop health notes.db --quick-check"],
    },
    CommandHelp {
        command: "fix",
        exit_codes: DONE_DECLINED_ERROR,
        examples: &["waltop fix notes.db --dry-run", "waltop fix notes.db"],
    },
    CommandHelp { command: "stats", exit_codes: OK_OR_ERROR, examples: &["waltop stats notes.db"] },
    CommandHelp {
        command: "optimize",
        exit_codes: DONE_DECLINED_ERROR,
        examples: &["waltop optimize notes.db --dry-run", "waltop optimize notes.db --analyze"],
    },
    CommandHelp {
        command: "reap",
        exit_codes: "0; 1 if a process did not exit or you answered no; 2 error.",
        examples: &["waltop reap notes.db --dry-run", "waltop reap notes.db --for 30s"],
    },
    CommandHelp {
        command: "rescue",
        exit_codes: "0; 1 a copy is damaged; 2 error; 130 stopped.",
        examples: &[
            "waltop rescue notes.db --to copies",
            "waltop rescue notes.db --pid 4821 --to notes-copy.db",
        ],
    },
];

impl CommandHelp {
    /// The text, in lines that fit the help.
    pub fn text(&self) -> String {
        let lines = self.examples.iter().map(|example| format!("  {example}"));
        let examples = lines.collect::<Vec<_>>().join("\n");
        format!("Exit codes: {}\n\nExamples:\n{examples}", self.exit_codes)
    }
}
