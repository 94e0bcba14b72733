//! What each finding means, why it hurts and what to do: a page a finding, part of the program.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingPage {
    pub name: &'static str,
    /// How bad it can be, in words.
    pub severity: &'static str,
    /// The whole page, Markdown in lines of at most 78 columns.
    pub text: &'static str,
}

/// A stretch of a page, its lines joined where they only were broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageBlock {
    /// A heading, without its marks.
    Heading(&'static str),
    /// A paragraph in one line, for whoever shows it to wrap.
    Text(String),
    /// A line to be typed or read as it stands.
    Code(&'static str),
    Gap,
}

macro_rules! pages {
    ($($name:literal: $severity:literal,)*) => {
        &[$(FindingPage {
            name: $name,
            severity: $severity,
            text: include_str!(concat!("../../assets/findings/", $name, ".md")),
        }),*]
    };
}

/// Every page, in the order in which the product lists its findings: locks and log, processes, files, ingestion.
pub const PAGES: &[FindingPage] = pages![
    "long-write-lock": "warning or error",
    "stopped-holder": "error",
    "pinned-wal": "warning or error",
    "large-wal": "warning",
    "lost-locks": "error",
    "split-wal": "error",
    "other-log": "warning or error",
    "forked-connection": "error",
    "overlay-upper": "error",
    "mismatched-files": "error",
    "damaged-header": "error",
    "doubtful-log": "warning",
    "hot-journal": "warning",
    "readonly-trap": "info or warning",
    "outdated-reader": "info",
    "mapped-database": "as the profile says",
    "many-handles": "warning",
    "stale-daemon": "warning",
    "duplicate-daemon": "info or warning",
    "dead-pidfile": "warning",
    "rollback-journal": "warning",
    "bare-client": "info",
    "pragma-mismatch": "as the profile says",
    "unsafe-filesystem": "warning or error",
    "foreign-owner": "warning",
    "disk-low": "error",
    "crashed-ingestion": "warning",
    "stalled-ingestion": "warning",
    "slow-batch": "warning or error",
    "failed-files": "warning",
];

/// The page of the finding `name`.
pub fn page(name: &str) -> Option<&'static FindingPage> {
    PAGES.iter().find(|page| page.name == name)
}

impl FindingPage {
    /// When the finding holds, in one sentence. Its severity stands beside it and is left out.
    pub fn summary(&self) -> String {
        let first = self.blocks().into_iter().find_map(|block| match block {
            PageBlock::Text(text) => Some(text),
            _ => None,
        });
        let sentence = first.unwrap_or_default();
        let bare = ["Error: ", "Warning: ", "Info: "].iter().find_map(|it| sentence.strip_prefix(it));
        let mut letters = bare.unwrap_or(&sentence).chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    }

    /// The page below its title, in the stretches of which it is made.
    pub fn blocks(&self) -> Vec<PageBlock> {
        let mut blocks = Vec::new();
        let mut goes_on = false;
        for line in self.text.lines().skip(1) {
            let was_text = std::mem::replace(&mut goes_on, false);
            if let Some(heading) = line.strip_prefix("## ") {
                blocks.push(PageBlock::Heading(heading));
            } else if let Some(code) = line.strip_prefix("    ") {
                blocks.push(PageBlock::Code(code));
            } else if line.is_empty() {
                blocks.push(PageBlock::Gap);
            } else {
                goes_on = true;
                match blocks.last_mut().filter(|_| was_text) {
                    Some(PageBlock::Text(text)) => {
                        text.push(' ');
                        text.push_str(line);
                    }
                    _ => blocks.push(PageBlock::Text(line.to_owned())),
                }
            }
        }
        let text_begins = blocks.iter().position(|block| *block != PageBlock::Gap).unwrap_or(0);
        blocks.split_off(text_begins)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;
    use crate::diagnose::{RULES, clients::ManyHandles, space::DEEP};

    #[test]
    fn every_rule_has_a_page() {
        for rule in RULES {
            assert!(page(rule.name()).is_some(), "{} has no page", rule.name());
        }
    }

    #[test]
    fn every_file_is_a_page_and_each_has_a_name_of_its_own() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/findings");
        let files: BTreeSet<String> = fs::read_dir(folder)
            .expect("there")
            .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
            .collect();
        let pages: BTreeSet<String> = PAGES.iter().map(|page| format!("{}.md", page.name)).collect();
        assert_eq!(files, pages);
        assert_eq!(pages.len(), PAGES.len(), "a page is listed once");
    }

    #[test]
    fn pages_fit_a_terminal_and_keep_their_form() {
        for page in PAGES {
            let mut lines = page.text.lines();
            assert_eq!(lines.next(), Some(&*format!("# {}", page.name)));
            for line in page.text.lines() {
                assert!(line.chars().count() <= 78, "{}: {line}", page.name);
                assert!(!line.contains(char::is_control), "{}: {line:?}", page.name);
            }
            let headings: Vec<_> = page
                .blocks()
                .into_iter()
                .filter_map(
                    |block| if let PageBlock::Heading(heading) = block { Some(heading) } else { None },
                )
                .collect();
            let wanted = ["What it means", "Why it hurts", "Check by hand", "What to do", "What not to do"];
            assert_eq!(headings, wanted, "{}", page.name);
        }
    }

    #[test]
    fn a_summary_is_one_sentence_without_its_severity() {
        for page in PAGES {
            let summary = page.summary();
            assert!(
                summary.ends_with('.') && summary.starts_with(|c: char| c.is_uppercase() || c == '`'),
                "{summary}"
            );
            assert!(!summary.contains('\n') && !summary.starts_with("Warning"), "{summary}");
        }
        let summary = "The journal of an ingestion has no end, and its process is gone.";
        assert_eq!(page("crashed-ingestion").map(FindingPage::summary).as_deref(), Some(summary));
    }

    #[test]
    fn pages_quote_the_limits_of_their_rules() {
        for (name, phrase) in [
            ("many-handles", format!("or more than {} processes", ManyHandles::PROCESSES)),
            ("large-wal", format!("more than {DEEP} times the autocheckpoint limit")),
        ] {
            let text = page(name).expect("a page").text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(&phrase), "{name} does not say {phrase}");
        }
    }

    #[test]
    fn lines_that_were_only_broken_are_joined() {
        let page =
            FindingPage { name: "x", severity: "info", text: "# x\n\nOne\ntwo.\n\n## Do\n    a  b\nThree\n" };
        let text = |text: &str| PageBlock::Text(text.to_owned());
        let blocks = [
            text("One two."),
            PageBlock::Gap,
            PageBlock::Heading("Do"),
            PageBlock::Code("a  b"),
            text("Three"),
        ];
        assert_eq!(page.blocks(), blocks);
    }
}
