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
