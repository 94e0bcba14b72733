//! `waltop explain`: what a finding means, why it hurts, what to do.

use std::io::{self, IsTerminal};

use anyhow::anyhow;

use crate::{
    diagnose::pages::{self, FindingPage, PAGES},
    text,
};

use super::print_line;

/// Columns of a page, and so of the list.
const WIDTH: usize = 78;
/// Columns that a summary is moved in by, below its name.
const INDENT: usize = 4;

#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The finding; without it, all of them are listed.
    finding: Option<String>,
}

/// How headings stand out.
#[derive(Clone, Copy)]
enum HeadingStyle {
    /// By their marks.
    Marked,
    /// In bold, on a terminal.
    Bold,
}

pub fn run(args: &ExplainArgs) -> anyhow::Result<u8> {
    let headings = HeadingStyle::for_stdout();
    let answer = match &args.finding {
        None => list(headings),
        Some(name) => explanation(named(name)?, headings),
    };
    print_line(&answer)?;
    Ok(0)
}

fn named(name: &str) -> anyhow::Result<&'static FindingPage> {
    pages::page(&name.to_lowercase()).ok_or_else(|| {
        let nearest = text::nearest(name, PAGES.iter().map(|page| page.name)).unwrap_or_default();
        anyhow!("there is no finding {name}; the nearest is {nearest}, and waltop explain lists them all")
    })
}

fn list(headings: HeadingStyle) -> String {
    let one = |page: &FindingPage| {
        let name = headings.name(page.name);
        let lines = text::wrap(&page.summary(), WIDTH - INDENT);
        let summary: Vec<String> = lines.into_iter().map(|line| format!("{:INDENT$}{line}", "")).collect();
        format!("{name} ({})\n{}", page.severity, summary.join("\n"))
    };
    let pages: Vec<String> = PAGES.iter().map(one).collect();
    format!("{}\n\nwaltop explain FINDING says what to do.", pages.join("\n"))
}

fn explanation(page: &FindingPage, headings: HeadingStyle) -> String {
    let lines: Vec<String> = page.text.lines().map(|line| headings.line(line)).collect();
    lines.join("\n")
}

impl HeadingStyle {
    // See <https://no-color.org>: who wants no colours wants no other escape sequences in a pager either.
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

    #[test]
    fn the_list_names_every_finding_with_its_severity_and_fits() {
        let list = list(HeadingStyle::Marked);
        for page in PAGES {
            assert!(list.contains(&format!("{} ({})\n    ", page.name, page.severity)), "{}", page.name);
        }
        assert!(list.lines().all(|line| line.chars().count() <= WIDTH), "{list}");
    }

    #[test]
    fn headings_are_bold_on_a_terminal_and_marked_elsewhere() {
        let page = pages::page("pinned-wal").expect("a page");
        assert_eq!(explanation(page, HeadingStyle::Marked), page.text.trim_end());
        let bold = explanation(page, HeadingStyle::Bold);
        assert!(bold.starts_with("\x1b[1mpinned-wal\x1b[0m\n"), "{bold}");
        assert!(bold.contains("\n\x1b[1mWhat to do\x1b[0m\n") && !bold.contains("# "), "{bold}");
        assert_eq!(bold.lines().count(), page.text.lines().count());
    }

    #[test]
    fn a_name_that_is_nearly_right_is_put_right() {
        assert_eq!(named("Pinned-WAL").map(|page| page.name).ok(), Some("pinned-wal"));
        for (wrong, right) in
            [("pined-wal", "pinned-wal"), ("stale", "stale-daemon"), ("lostlocks", "lost-locks")]
        {
            let error = named(wrong).expect_err("no such finding").to_string();
            assert!(error.contains(&format!("the nearest is {right},")), "{error}");
        }
    }
}
