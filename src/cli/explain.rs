//! `waltop explain`: what a finding means, why it hurts, what to do.

use std::io::{self, IsTerminal};

use crate::{
    diagnose::{RULES, Rule, pages::FindingPage, rule},
    text,
};

use super::print_line;

/// Columns of a page, and so of the list.
const WIDTH: usize = 78;
/// Indentation of a summary below its name, in columns.
const INDENT: usize = 4;

#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The finding; default: list all of them.
    finding: Option<String>,
}

/// How headings are emphasised.
#[derive(Clone, Copy)]
enum HeadingStyle {
    Marked,
    Bold,
}

pub fn run(args: &ExplainArgs) -> anyhow::Result<u8> {
    let headings = HeadingStyle::for_stdout();
    let answer = match &args.finding {
        None => list(headings),
        Some(name) => explanation(rule(name.parse()?), headings),
    };
    print_line(&answer)?;
    Ok(0)
}

fn list(headings: HeadingStyle) -> String {
    let one = |rule: &&dyn Rule| {
        let lines = text::wrap(&FindingPage::of(rule.kind()).summary(), WIDTH - INDENT);
        let summary: Vec<String> = lines.into_iter().map(|line| format!("{:INDENT$}{line}", "")).collect();
        let name = headings.name(rule.kind().as_str());
        format!("{name} ({})\n{}", rule.facts().severity, summary.join("\n"))
    };
    let rules: Vec<String> = RULES.iter().map(one).collect();
    format!("{}\n\nwaltop explain FINDING says what to do.", rules.join("\n"))
}

fn explanation(rule: &dyn Rule, headings: HeadingStyle) -> String {
    let mut lines = rule.kind().page().lines();
    let title = lines.next().map(|line| format!("{} ({})", headings.line(line), rule.facts().severity));
    let lines: Vec<String> = title.into_iter().chain(lines.map(|line| headings.line(line))).collect();
    lines.join("\n")
}

impl HeadingStyle {
    // See <https://no-color.org>: a user without colours wants no other escape sequences in a pager either.
    fn for_stdout() -> Self {
        if io::stdout().is_terminal() && !text::is_colourless() { Self::Bold } else { Self::Marked }
    }

    fn name(self, name: &str) -> String {
        match self {
            Self::Marked => name.to_owned(),
            Self::Bold => bold(name),
        }
    }

    fn line(self, line: &str) -> String {
        match (self, line.strip_prefix("## ").or_else(|| line.strip_prefix("# "))) {
            (Self::Bold, Some(heading)) => bold(heading),
            _ => line.to_owned(),
        }
    }
}

fn bold(text: &str) -> String {
    format!("\x1b[1m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::FindingKind;

    #[test]
    fn the_list_names_every_finding_with_its_severity_and_fits() {
        let list = list(HeadingStyle::Marked);
        for rule in RULES.iter() {
            assert!(
                list.contains(&format!("{} ({})\n    ", rule.kind(), rule.facts().severity)),
                "{}",
                rule.kind()
            );
        }
        assert!(list.lines().all(|line| line.chars().count() <= WIDTH), "{list}");
    }

    #[test]
    fn headings_are_bold_on_a_terminal_and_marked_elsewhere() {
        let pinned = rule(FindingKind::PinnedWal);
        let page = pinned.kind().page();
        let (_, below) = page.trim_end().split_once('\n').expect("a title");
        let marked = format!("# pinned-wal (warning or error)\n{below}");
        assert_eq!(explanation(pinned, HeadingStyle::Marked), marked);
        let bold = explanation(pinned, HeadingStyle::Bold);
        assert!(bold.starts_with("\x1b[1mpinned-wal\x1b[0m (warning or error)\n"), "{bold}");
        assert!(bold.contains("\n\x1b[1mWhat to do\x1b[0m\n") && !bold.contains("# "), "{bold}");
        assert_eq!(bold.lines().count(), page.lines().count());
    }
}
