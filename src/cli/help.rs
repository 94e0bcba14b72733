//! The end of a command's `--help`: its exit codes, and examples.

/// The end of a command's help.
#[derive(Debug, Clone, Copy)]
pub struct CommandHelp {
    pub command: &'static str,
    /// What each exit code means.
    pub exit_codes: &'static str,
    pub examples: &'static [&'static str],
}

impl CommandHelp {
    /// The text, in lines that fit the help.
    pub fn text(&self) -> String {
        let lines = self.examples.iter().map(|example| format!("  {example}"));
        let examples = lines.collect::<Vec<_>>().join("\n");
        format!("Exit codes: {}\n\nExamples:\n{examples}", self.exit_codes)
    }
}

const OK_OR_ERROR: &str = "0; 2 error.";
const DONE_DECLINED_ERROR: &str = "0; 1 you answered no; 2 error.";

/// The end of the manual page of the console.
pub const CONSOLE: CommandHelp = CommandHelp {
    command: "waltop",
    exit_codes: "0 after `q`; 128 plus the signal number after a signal; 2 error.",
    examples: &["waltop notes.db", "waltop -r /srv", "waltop --readonly notes.db"],
};

/// The end of the help of each visible command.
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
        command: "discover",
        exit_codes: "0 at least one database is open, 1 none that waltop can see, 2 error.",
        examples: &["waltop discover", "waltop discover --json"],
    },
    CommandHelp {
        command: "check",
        exit_codes: "0 no finding of that severity, 1 at least one, 2 a database cannot be read.",
        examples: &["waltop check notes.db --for 30s", "waltop check notes.db --fail-on error --json"],
    },
    CommandHelp {
        command: "explain",
        exit_codes: "0; 2 for an unknown finding or error, or a database that cannot be read.",
        examples: &[
            "waltop explain",
            "waltop explain pinned-wal",
            "waltop explain 'database is locked'",
            "waltop explain 517 --db notes.db",
        ],
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
        command: "links",
        exit_codes: "0 no list has an entry, 1 one has, 2 error.",
        examples: &["waltop links notes.db", "waltop links notes.db --broken --json"],
    },
    CommandHelp {
        command: "read",
        exit_codes: OK_OR_ERROR,
        examples: &["waltop read --db notes.db notes/lock.md", "waltop read --db notes.db --list"],
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
        command: "stop",
        exit_codes: "0 it has ended, or was resumed; 1 it is still there, or you answered no; 2 refused or error.",
        examples: &["waltop stop notes.db --pid 4821", "waltop stop notes.db --pid 4821 --signal CONT --yes"],
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
    CommandHelp {
        command: "safe",
        exit_codes: "0 no process has it open, 1 at least one has, or a left file forbids it, 2 unknown or error. A \
                     copy ends with 0, a command with its own code; instead of 0 with 1 if others came meanwhile, with \
                     2 if that is not known.",
        examples: &[
            "waltop safe notes.db --for restore --json",
            "waltop safe notes.db --for copy --to notes-copy.db",
            "waltop safe notes.db --for vacuum -- sqlite3 notes.db VACUUM",
        ],
    },
    CommandHelp {
        command: "wait",
        exit_codes: "0 reached, 1 the time is over, 2 unknown or error, 130 stopped, 129 after SIGHUP.",
        examples: &[
            "waltop wait notes.db --until free",
            "waltop wait notes.db --until checkpointed --timeout 5m",
        ],
    },
    CommandHelp {
        command: "record",
        exit_codes: "0 after SIGTERM, 130 after SIGINT, 2 if it cannot start. SIGHUP reads the settings again.",
        examples: &["waltop record notes.db", "waltop record notes.db --keep 30d --max-size 5GiB"],
    },
    CommandHelp {
        command: "metrics",
        exit_codes: "0 printed, or after SIGTERM; 130 after SIGINT; 2 error. With `--textfile` or `--listen`, SIGHUP reads \
                     the settings again.",
        examples: &[
            "waltop metrics notes.db",
            "waltop metrics --listen 127.0.0.1:9464",
            "waltop metrics --textfile /var/lib/node_exporter/waltop.prom",
        ],
    },
    CommandHelp {
        command: "stream",
        exit_codes: "0 when its reader has gone or after SIGTERM, 130 after SIGINT, 129 after SIGHUP, 2 if it cannot start. \
                     With `--since`: 0 written, 1 nothing was recorded then, 2 error.",
        examples: &[
            "waltop stream notes.db --json",
            "waltop stream -r /srv --json --every 250ms",
            "waltop stream notes.db --json --since 10m --until now",
        ],
    },
    CommandHelp {
        command: "mcp",
        exit_codes: "0 when its client has gone or after SIGTERM, 130 after SIGINT, 129 after SIGHUP, 2 if it cannot start.",
        examples: &["waltop mcp notes.db", "waltop mcp -r /srv"],
    },
    CommandHelp {
        command: "who",
        exit_codes: "0 answered; 2 if that moment was not watched, or error.",
        examples: &["waltop who notes.db --at 03:12:07", "waltop who --at '10 min ago' --around 1m --json"],
    },
    CommandHelp {
        command: "replay",
        exit_codes: "0 after `q`; 2 if there is no recording; 128 plus the signal number after a signal.",
        examples: &["waltop replay --at 03:12:07", "waltop replay recordings --at '10 min ago' --speed 4"],
    },
    CommandHelp {
        command: "report",
        exit_codes: "0; 2 if nothing was recorded then, or error.",
        examples: &["waltop report notes.db --since 24h", "waltop report --since 7d --html report.html"],
    },
    CommandHelp {
        command: "export",
        exit_codes: OK_OR_ERROR,
        examples: &["waltop export --perfetto trace.json --since 1h"],
    },
    CommandHelp {
        command: "doctor",
        exit_codes: "0 nothing is hidden, 1 facts are missing, 2 it cannot be found out, or error.",
        examples: &["waltop doctor", "waltop doctor notes.db --json"],
    },
    CommandHelp {
        command: "completions",
        exit_codes: OK_OR_ERROR,
        examples: &["waltop completions bash", "waltop completions zsh"],
    },
    CommandHelp {
        command: "man",
        exit_codes: OK_OR_ERROR,
        examples: &["waltop man status", "waltop man --dir man1"],
    },
];
