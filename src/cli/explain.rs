//! `waltop explain`: what a finding or an error of SQLite means, why it hurts, what to do.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::bail;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    config::{Config, duration_of},
    diagnose::{RULES, Rule, error_pages::ErrorPage, pages::FindingPage, rule},
    snapshot::{FindingKind, UnknownFinding},
    text, units,
};

use super::{
    databases::{self, print_notes, refuse_unfit},
    print_json, print_line,
    sample_args::SampleArgs,
};

/// Columns of a page, and so of the list.
const WIDTH: usize = 78;
/// Indentation of a summary below its name, in columns.
const INDENT: usize = 4;

#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// A finding, or an error of SQLite as a code, a name or a message; default: list all findings.
    #[arg(value_name = "FINDING or ERROR", num_args = 0..)]
    subject: Vec<String>,
    /// Also report which of the findings this database has now.
    #[arg(long, value_name = "DB", requires = "subject")]
    db: Option<PathBuf>,
    /// Sample the locks of that database for this long first, as in 20s.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_of, requires = "db")]
    sample: Option<Duration>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct ExplainReport {
    /// What it means and what to do, as Markdown in lines of at most 78 columns; without a subject, the list of all
    /// findings.
    text: String,
    /// The finding, or those that show the cause of the error; without a subject, all of them.
    findings: Vec<FindingKind>,
}

/// How headings are emphasised.
#[derive(Clone, Copy)]
enum HeadingStyle {
    Marked,
    Bold,
}

/// `config` is read only if a database is named.
pub fn run(args: &ExplainArgs, config: impl FnOnce() -> anyhow::Result<Config>) -> anyhow::Result<u8> {
    let headings = if args.json { HeadingStyle::Marked } else { HeadingStyle::for_stdout() };
    let subject = args.subject.join(" ");
    let (mut answer, kinds) = match find(&subject) {
        _ if args.subject.is_empty() => (list(headings), RULES.iter().map(|rule| rule.kind()).collect()),
        Ok(Subject::Finding(kind)) => (explanation(rule(kind), headings), vec![kind]),
        Ok(Subject::Error(page)) => {
            if let Some((subject, file)) = database_as_word(args) {
                print_notes(&[format!("waltop explain '{subject}' --db {file} also checks that database")]);
            }
            (headings.page(page.text), page.findings().collect())
        }
        Err(unknown) => {
            if let Some((subject, file)) = database_as_word(args) {
                bail!("{file} is a file; name a database with --db: waltop explain {subject} --db {file}");
            }
            return Err(unknown.into());
        }
    };
    if let Some(path) = &args.db {
        answer = format!(
            "{answer}\n\n{}\n{}",
            headings.line("## Now"),
            now(path, &kinds, args.sample, config()?)?
        );
    }
    if args.json {
        print_json(&ExplainReport { text: answer, findings: kinds })?;
    } else {
        print_line(&answer)?;
    }
    Ok(0)
}

enum Subject {
    Finding(FindingKind),
    Error(&'static ErrorPage),
}

fn find(subject: &str) -> Result<Subject, UnknownFinding> {
    match subject.parse() {
        Ok(kind) => Ok(Subject::Finding(kind)),
        Err(unknown) => ErrorPage::find(subject).map(Subject::Error).ok_or(unknown),
    }
}

/// The subject and the file, as a shell takes them, where a file stands behind a subject: the user meant to ask about
/// that database.
fn database_as_word(args: &ExplainArgs) -> Option<(String, String)> {
    let (last, others) = args.subject.split_last().filter(|_| args.db.is_none())?;
    let subject = others.join(" ");
    let is_meant = !others.is_empty() && find(&subject).is_ok() && Path::new(last).is_file();
    is_meant.then(|| (text::clean(&subject), text::shell_word(last)))
}

// Which of `kinds` the database at `path` has now.
fn now(
    path: &Path,
    kinds: &[FindingKind],
    sampled: Option<Duration>,
    config: Config,
) -> anyhow::Result<String> {
    let path = databases::named_from_outside(path)?;
    let snapshot = SampleArgs::of(path.clone(), sampled).sample(config)?;
    refuse_unfit(&snapshot)?;
    let Some(database) = snapshot.databases.first() else { bail!("{} was not sampled", path.display()) };
    let found = database.findings.iter().filter(|finding| kinds.contains(&finding.kind));
    let mut lines: Vec<String> = found
        .map(|finding| text::clean(&format!("{}: {}: {}", finding.severity, finding.kind, finding.message)))
        .collect();
    let named = text::shell_word(&path.to_string_lossy());
    if lines.is_empty() {
        lines.push(format!("{named} has none of these findings"));
    }
    let free = database.locks.availability.as_ref();
    lines.extend(free.map(|free| text::clean(&format!("The write lock was {free}."))));
    lines.push(match sampled {
        Some(time) => format!("(Watched for {}.)", units::duration(units::milliseconds(time))),
        None => "(Sampled twice: --for 30s shows what comes and goes.)".to_owned(),
    });
    Ok(lines.join("\n"))
}

fn list(headings: HeadingStyle) -> String {
    let one = |rule: &&dyn Rule| {
        let lines = text::wrap(&FindingPage::of(rule.kind()).summary(), WIDTH - INDENT);
        let summary: Vec<String> = lines.into_iter().map(|line| format!("{:INDENT$}{line}", "")).collect();
        let name = headings.name(rule.kind().as_str());
        format!("{name} ({})\n{}", rule.facts().severity, summary.join("\n"))
    };
    let rules: Vec<String> = RULES.iter().map(one).collect();
    format!(
        "{}\n\nwaltop explain FINDING says what to do.\n\
         waltop explain 'database is locked' explains an error of SQLite.",
        rules.join("\n")
    )
}

fn explanation(rule: &dyn Rule, headings: HeadingStyle) -> String {
    let page = headings.page(rule.kind().page());
    let (title, below) = page.split_once('\n').unwrap_or((&page, ""));
    format!("{title} ({})\n{below}", rule.facts().severity)
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

    fn page(self, text: &str) -> String {
        let lines: Vec<String> = text.lines().map(|line| self.line(line)).collect();
        lines.join("\n")
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
