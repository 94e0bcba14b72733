//! What each finding means, why it hurts and what to do: one embedded page per finding.

use crate::snapshot::FindingKind;

/// The explanation of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingPage {
    pub kind: FindingKind,
    /// The whole page, Markdown in lines of at most 78 columns.
    pub text: &'static str,
}

/// A block of a page. Lines that were only wrapped are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageBlock {
    /// A heading, without its marks.
    Heading(&'static str),
    /// A paragraph in one line; the caller wraps it.
    Text(String),
    /// A line to type or read verbatim.
    Code(&'static str),
    Gap,
}

impl FindingPage {
    /// The heading of the section that says what to do.
    pub const TO_DO: &str = "What to do";

    pub const fn of(kind: FindingKind) -> Self {
        Self { kind, text: kind.page() }
    }

    /// When the finding holds, in one sentence.
    pub fn summary(&self) -> String {
        let first = self.blocks().into_iter().find_map(|block| match block {
            PageBlock::Text(text) => Some(text),
            _ => None,
        });
        first.unwrap_or_default()
    }

    /// The blocks of the page below its title.
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
    use crate::{config::Thresholds, diagnose::clients::ManyHandles};

    fn pages() -> impl Iterator<Item = FindingPage> {
        FindingKind::ALL.iter().map(|kind| FindingPage::of(*kind))
    }

    #[test]
    fn every_file_is_the_page_of_a_finding() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/findings");
        let files: BTreeSet<String> = fs::read_dir(folder)
            .expect("there")
            .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
            .collect();
        let pages: BTreeSet<String> = pages().map(|page| format!("{}.md", page.kind)).collect();
        assert_eq!(files, pages);
    }

    #[test]
    fn pages_fit_a_terminal_and_keep_their_form() {
        for page in pages() {
            let mut lines = page.text.lines();
            assert_eq!(lines.next(), Some(&*format!("# {}", page.kind)));
            for line in page.text.lines() {
                assert!(line.chars().count() <= 78, "{}: {line}", page.kind);
                assert!(!line.contains(char::is_control), "{}: {line:?}", page.kind);
            }
            let headings: Vec<_> = page
                .blocks()
                .into_iter()
                .filter_map(
                    |block| if let PageBlock::Heading(heading) = block { Some(heading) } else { None },
                )
                .collect();
            let wanted =
                ["What it means", "Why it hurts", "Check by hand", FindingPage::TO_DO, "What not to do"];
            assert_eq!(headings, wanted, "{}", page.kind);
        }
    }

    #[test]
    fn a_summary_is_one_sentence_without_its_severity() {
        for page in pages() {
            let summary = page.summary();
            assert!(
                summary.ends_with('.') && summary.starts_with(|c: char| c.is_uppercase() || c == '`'),
                "{summary}"
            );
            assert!(
                !summary.contains('\n') && !summary.starts_with("Warning") && !summary.starts_with("Error"),
                "{summary}"
            );
        }
        let summary = "The journal of an ingestion has no end, and its process is gone.";
        assert_eq!(FindingPage::of(FindingKind::CrashedIngestion).summary(), summary);
    }

    #[test]
    fn pages_quote_the_limits_of_their_rules() {
        let deep = format!("{} times the autocheckpoint limit", Thresholds::default().deep_wal);
        for (kind, phrase) in [
            (FindingKind::ManyHandles, format!("or more than {} processes", ManyHandles::PROCESSES)),
            (FindingKind::WalStarved, format!("It is deep from {deep}")),
            (FindingKind::LargeWal, format!("more than {deep}")),
        ] {
            let text = crate::text::one_line(kind.page());
            assert!(text.contains(&phrase), "{kind} does not say {phrase}");
        }
    }

    #[test]
    fn lines_that_were_only_broken_are_joined() {
        let page = FindingPage {
            kind: FindingKind::PinnedWal,
            text: "# x\n\nOne\ntwo.\n\n## Do\n    a  b\nThree\n",
        };
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
