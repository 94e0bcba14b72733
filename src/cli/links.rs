//! `waltop links`: the links of ingested documents that need a look.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    config::Config,
    ingest::links::{self, AmbiguousLink, DocumentLinks, LinkPlace, ResolvedLink},
    snapshot::{EdgeKind, lossy_path},
    text, units,
};

use super::{fit, from_one, print_json, print_line};

/// How many other documents of a name are printed.
const OTHERS: usize = 3;

#[derive(Debug, clap::Args)]
pub struct LinksArgs {
    /// The database; default: the one in your data directory.
    #[arg(value_name = "DB")]
    database: Option<PathBuf>,
    #[command(flatten)]
    lists: ListArgs,
    /// Print at most this many of each list.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = from_one, allow_negative_numbers = true)]
    limit: NonZeroUsize,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

/// What is listed; without any, the figures alone.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ListArgs {
    /// List the links whose document is not there.
    #[arg(long)]
    broken: bool,
    /// List the documents that no other document links to.
    #[arg(long)]
    orphans: bool,
    /// List the wikilinks whose name several documents have.
    #[arg(long)]
    ambiguous: bool,
    /// List the links that lead to the only document of their name, because none has their path.
    #[arg(long)]
    by_name: bool,
}

/// The links of one database.
#[derive(Debug, JsonSchema, Serialize)]
pub struct LinksReport {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    path: PathBuf,
    counts: LinkCounts,
    /// `None` for a list that was not asked for; it may be cut by `--limit`.
    broken: Option<Vec<LinkPlace>>,
    orphans: Option<Vec<String>>,
    ambiguous: Option<Vec<AmbiguousLink>>,
    by_name: Option<Vec<ResolvedLink>>,
}

/// How many there are. Tags, addresses and edges between near documents are no links here.
#[derive(Debug, Clone, Copy, JsonSchema, Serialize)]
pub struct LinkCounts {
    documents: u64,
    links: u64,
    /// Links that lead to a document.
    resolved: u64,
    /// Those among them that lead to the only document of their name, because none has their path.
    by_name: u64,
    /// Those among them whose name several documents have.
    ambiguous: u64,
    /// Links to a file that is no document, such as a picture. Whether it exists is not checked.
    other_files: u64,
    /// Links whose document is not there.
    broken: u64,
    /// Documents that no other document links to.
    orphans: u64,
}

/// Prints the figures and the lists; exit code 1 if a list has an entry.
///
/// # Errors
///
/// The database has no documents, or cannot be read without a risk for its data.
pub fn run(args: &LinksArgs, config: &Config) -> anyhow::Result<u8> {
    let named = args.database.as_ref().unwrap_or(&config.places.default_database);
    let path = fit(named, config, "no links were read")?;
    let links = links::read(&path, config.profile_of(&path))?;
    let report = LinksReport::new(path, links, args);
    if args.json {
        print_json(&report)?;
    } else {
        report.print()?;
    }
    Ok(u8::from(report.lists_something()))
}

impl LinksReport {
    fn new(path: PathBuf, links: DocumentLinks, args: &LinksArgs) -> Self {
        let ListArgs { broken, orphans, ambiguous, by_name } = args.lists;
        let limit = args.limit.get();
        Self {
            path,
            counts: LinkCounts::of(&links),
            broken: cut(links.broken, limit, broken),
            orphans: cut(links.orphans, limit, orphans),
            ambiguous: cut(links.ambiguous, limit, ambiguous),
            by_name: cut(links.by_name, limit, by_name),
        }
    }

    fn lists_something(&self) -> bool {
        fn has<T>(list: Option<&Vec<T>>) -> bool {
            list.is_some_and(|list| !list.is_empty())
        }
        has(self.broken.as_ref())
            || has(self.orphans.as_ref())
            || has(self.ambiguous.as_ref())
            || has(self.by_name.as_ref())
    }

    /// The lines of each list that was asked for.
    fn lists(&self) -> [Option<Vec<String>>; 4] {
        let broken = self.broken.as_ref().map(|list| list.iter().map(place).collect());
        let ambiguous = self.ambiguous.as_ref().map(|list| list.iter().map(may_mean).collect());
        let by_name = self
            .by_name
            .as_ref()
            .map(|list| list.iter().map(|it| format!("{} means {}", place(&it.place), it.path)).collect());
        [broken, self.orphans.clone(), ambiguous, by_name]
    }

    fn print(&self) -> anyhow::Result<()> {
        print_line(&text::clean(&self.counts.sentence(&self.path)))?;
        let LinkCounts { broken, orphans, ambiguous, by_name, .. } = self.counts;
        let titles = [
            ("links without their document", broken),
            ("documents without a link to them", orphans),
            ("ambiguous links", ambiguous),
            ("links by name", by_name),
        ];
        for ((title, count), lines) in titles.into_iter().zip(self.lists()) {
            let Some(lines) = lines else { continue };
            print_line(&format!("\n{title}: {}", units::count(count)))?;
            for line in &lines {
                print_line(&format!("  {}", text::clean(line)))?;
            }
            let more = count.saturating_sub(lines.len() as u64);
            if more > 0 {
                print_line(&format!("  {} more: --limit N shows them", units::count(more)))?;
            }
        }
        Ok(())
    }
}

impl LinkCounts {
    fn of(links: &DocumentLinks) -> Self {
        Self {
            documents: links.documents,
            links: links.links,
            resolved: links.resolved,
            by_name: links.by_name.len() as u64,
            ambiguous: links.ambiguous.len() as u64,
            other_files: links.other_files,
            broken: links.broken.len() as u64,
            orphans: links.orphans.len() as u64,
        }
    }

    fn sentence(&self, path: &Path) -> String {
        let count = units::count;
        format!(
            "{}: {}, {}: {} to documents ({} ambiguous, {} by name alone), {} to other files, {} broken; {} orphans",
            path.display(),
            units::plural(self.documents, "document"),
            units::plural(self.links, "link"),
            count(self.resolved),
            count(self.ambiguous),
            count(self.by_name),
            count(self.other_files),
            count(self.broken),
            count(self.orphans),
        )
    }
}

fn cut<T>(mut list: Vec<T>, limit: usize, is_wanted: bool) -> Option<Vec<T>> {
    list.truncate(limit);
    is_wanted.then_some(list)
}

/// `notes/a.md:12: [[Target]]`, as compilers write a place.
fn place(place: &LinkPlace) -> String {
    let LinkPlace { source, line, kind, target } = place;
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    match kind {
        EdgeKind::Wikilink => format!("{source}{line}: [[{target}]]"),
        EdgeKind::Relation(key) => format!("{source}{line}: {key}: {target}"),
        EdgeKind::Alias
        | EdgeKind::Link
        | EdgeKind::Semantic
        | EdgeKind::Tag
        | EdgeKind::Url
        | EdgeKind::Other(_) => {
            format!("{source}{line}: {target}")
        }
    }
}

fn may_mean(link: &AmbiguousLink) -> String {
    let mut text = format!("{} means {}", place(&link.place), link.path);
    let (shown, rest) = link.others.split_at(link.others.len().min(OTHERS));
    if !shown.is_empty() {
        text.push_str(&format!("; also {}", shown.join(", ")));
    }
    if !rest.is_empty() {
        text.push_str(&format!(" and {} more", units::count(rest.len() as u64)));
    }
    text
}
