//! From a file to a document, before the write lock is taken: read, hash, front matter, title, links.

pub mod front_matter;
mod markdown;
mod target;

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    panic,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::{fs::OFlags, io::Errno};
use serde_json::Value;

use self::front_matter::FrontMatter;
use super::discover::{Found, Stamp};

/// The largest file that is taken in where nobody says otherwise, in bytes: 16 MiB. Larger ones are data or logs, not
/// documents.
pub const LARGEST: u64 = 16 << 20;

/// The most links and tags that are kept of one document: more would hold the write lock for too long.
pub const MOST_EDGES: usize = 10_000;

/// How often a file that changes under the reader is read again.
const ATTEMPTS: usize = 3;

/// How long whoever writes a file is given to come to an end before it is read again.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(10);

/// BLAKE3 of a file's bytes.
pub type Hash = [u8; 32];

/// A document, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where it is.
    pub file: PathBuf,
    /// Its name in the database.
    pub name: String,
    /// Index of its folder.
    pub folder: usize,
    /// From the front matter, else the first heading, else the file's name without its ending.
    pub title: String,
    /// `type` or `kind` of the front matter, else `document`.
    pub kind: String,
    /// The front matter as JSON.
    pub front_matter: Option<String>,
    /// The text without the front matter.
    pub body: String,
    /// Size and time of change of what was read.
    pub stamp: Stamp,
    /// Hash of what was read.
    pub hash: Hash,
    /// Links, wikilinks, tags, relations; each once.
    pub edges: BTreeSet<Edge>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

/// A connection from a document to something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// `link`, `url`, `wikilink`, `tag`, or `relation:` and the key in the front matter.
    pub kind: String,
    /// What it names: a document's name, an address, a wiki name or a tag.
    pub target: String,
}

/// Where a document stands, to make sense of what it links to.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its name in the database.
    pub name: &'a str,
    /// What the names of its folder's documents begin with.
    pub prefix: &'a str,
}

/// What became of a file.
#[derive(Debug)]
pub enum Outcome {
    /// It is to be written.
    Parsed(Box<Document>),
    /// Its bytes are those that the database has.
    Unchanged,
    /// It is no document any more: gone since the walk, or a symbolic link by now.
    Gone,
    /// It cannot be taken in.
    Failed(String),
}

/// Why a file could not be read whole.
enum Unread {
    Gone,
    Failed(String),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A folder on the way to it may be a file by now.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Gone,
            _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Self::Gone,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Reads and parses `found` where it has at most `largest` bytes; `known` is the hash that the database has of it.
/// Never panics.
#[must_use]
pub fn read(found: &Found, prefix: &str, known: Option<&Hash>, largest: u64) -> Outcome {
    let (bytes, stamp) = match read_whole(&found.file, largest) {
        Ok(read) => read,
        Err(Unread::Gone) => return Outcome::Gone,
        Err(Unread::Failed(reason)) => return Outcome::Failed(reason),
    };
    let hash = *blake3::hash(&bytes).as_bytes();
    if known == Some(&hash) {
        return Outcome::Unchanged;
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            return Outcome::Failed(format!("it is not UTF-8: byte {at} is out of place"));
        }
    };
    let place = Place { name: &found.name, prefix };
    // The parsers are other people's work on other people's text. Should one of them panic, that file has failed.
    match panic::catch_unwind(|| parse(place, text)) {
        Ok(document) => {
            let file = found.file.clone();
            Outcome::Parsed(Box::new(Document { file, folder: found.folder, stamp, hash, ..document }))
        }
        Err(_) => Outcome::Failed("its text made the parser panic".to_owned()),
    }
}

/// The whole file and its stamp, from one and the same state of it.
fn read_whole(path: &Path, largest: u64) -> Result<(Vec<u8>, Stamp), Unread> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            thread::sleep(BETWEEN_ATTEMPTS);
        }
        // What was a regular file in the walk may be a pipe by now, which a plain open would wait for.
        let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let flags = i32::try_from(flags.bits()).map_err(|error| Unread::Failed(error.to_string()))?;
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let before = stamp_of(&file)?;
        if before.bytes > largest {
            let most = binary_size(largest);
            return Err(Unread::Failed(format!("it is larger than {most} (--max-file-size)")));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(before.bytes).unwrap_or(0));
        (&mut file).take(largest.saturating_add(1)).read_to_end(&mut bytes)?;
        if stamp_of(&file)? == before && bytes.len() as u64 == before.bytes {
            return Ok((bytes, before));
        }
    }
    Err(Unread::Failed("it changes while it is read: take it in again later".to_owned()))
}

fn stamp_of(file: &File) -> Result<Stamp, Unread> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Unread::Failed("it is not a regular file".to_owned()));
    }
    Ok(Stamp::of(&metadata))
}

/// `bytes` in the largest binary unit of which it is a whole number, as people write limits: `16 MiB`.
fn binary_size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

/// The document that `text` is; what only its file can tell is left empty.
#[must_use]
pub fn parse(place: Place<'_>, text: String) -> Document {
    let mut warnings = Vec::new();
    let (values, body) = match front_matter::split(&text) {
        FrontMatter::None => (None, without_byte_order_mark(text)),
        FrontMatter::Values { values, body } => (Some(values), body.to_owned()),
        FrontMatter::Malformed { reason, body } => {
            warnings.push(format!("the front matter was left out: {reason}"));
            (None, body.to_owned())
        }
    };
    let mut edges = Edges::default();
    let mut heading = None;
    // Plain text has no markup: what looks like a heading or a tag there may be a comment or a number.
    if !Path::new(place.name).extension().is_some_and(|it| it.eq_ignore_ascii_case("txt")) {
        heading = markdown::scan(&body, place, &mut edges);
    }
    if let Some(values) = &values {
        front_matter::relations(values, place, &mut edges);
    }
    if edges.left_out {
        warnings.push(format!("only the first {MOST_EDGES} links and tags were kept"));
    }
    let title = values.as_ref().and_then(|it| front_matter::text(it, &["title"])).or(heading);
    Document {
        file: PathBuf::new(),
        name: place.name.to_owned(),
        folder: 0,
        title: title.unwrap_or_else(|| stem(place.name).to_owned()),
        kind: values
            .as_ref()
            .and_then(|it| front_matter::text(it, &["type", "kind"]))
            .unwrap_or_else(|| "document".to_owned()),
        front_matter: values.map(|values| Value::Object(values).to_string()),
        body,
        stamp: Stamp { bytes: 0, modified_ns: 0 },
        hash: Hash::default(),
        edges: edges.kept,
        warnings,
    }
}

/// The last part of a document's name, without its ending.
#[must_use]
pub fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file,
    }
}

fn without_byte_order_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

/// Edges, each once and not too many of them.
#[derive(Debug, Default)]
struct Edges {
    kept: BTreeSet<Edge>,
    left_out: bool,
}

impl Edges {
    fn add(&mut self, kind: &str, target: &str) {
        if target.is_empty() {
            return;
        }
        let edge = Edge { kind: kind.to_owned(), target: target.to_owned() };
        if self.kept.len() < MOST_EDGES {
            self.kept.insert(edge);
        } else {
            self.left_out |= !self.kept.contains(&edge);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const PLACE: Place<'_> = Place { name: "/notes/sub/page.md", prefix: "/notes/" };

    fn edges(document: &Document) -> Vec<(&str, &str)> {
        document.edges.iter().map(|edge| (edge.kind.as_str(), edge.target.as_str())).collect()
    }

    fn parsed(text: &str) -> Document {
        parse(PLACE, text.to_owned())
    }

    #[test]
    fn the_title_is_that_of_the_front_matter_then_of_the_first_heading_then_of_the_file() {
        assert_eq!(parsed("---\ntitle: Front\n---\n# Head\n").title, "Front");
        assert_eq!(parsed("text\n\n## *Head* `of` it\nmore\n# Second\n").title, "Head of it");
        assert_eq!(parsed("text").title, "page");
        assert_eq!(parsed("# \n").title, "page");
        assert_eq!(
            parse(Place { name: "/n/a.b.txt", prefix: "/n/" }, "# no heading".to_owned()).title,
            "a.b"
        );
        assert_eq!(parse(Place { name: "/n/.md", prefix: "/n/" }, String::new()).title, ".md");
    }

    #[test]
    fn front_matter_becomes_json_and_leaves_the_body() {
        let yaml = parsed("\u{feff}---\ntype: note\ncount: 3\nlist: [a, b]\n---\nBody\n");
        assert_eq!(yaml.front_matter.as_deref(), Some(r#"{"count":3,"list":["a","b"],"type":"note"}"#));
        assert_eq!((yaml.kind.as_str(), yaml.body.as_str()), ("note", "Body\n"));
        let toml = parsed("+++\r\nkind = \"task\"\r\nday = 2024-01-02\r\n+++\r\nBody");
        assert_eq!(toml.front_matter.as_deref(), Some(r#"{"day":"2024-01-02","kind":"task"}"#));
        assert_eq!((toml.kind.as_str(), toml.body.as_str()), ("task", "Body"));
    }

    #[test]
    fn malformed_front_matter_is_left_out_and_the_text_taken_in() {
        for text in ["---\na: [1\n---\nBody\n", "+++\na = \n+++\nBody\n", "---\nday: .nan\n---\nBody\n"] {
            let document = parsed(text);
            assert_eq!((document.front_matter, document.body.as_str()), (None, "Body\n"), "{text}");
            assert_eq!(document.warnings.len(), 1, "{text}");
            assert!(!document.warnings[0].contains('\n'), "{:?}", document.warnings);
        }
    }

    #[test]
    fn a_rule_at_the_top_is_no_front_matter() {
        for text in ["---\n\njust prose\n\n---\nmore\n", "---\nnever closed: 1\n", "---", "+++"] {
            let document = parsed(text);
            assert_eq!((document.front_matter, document.body.as_str()), (None, text));
            assert_eq!(document.warnings, Vec::<String>::new());
        }
    }

    #[test]
    fn links_are_normalised_to_names() {
        let document = parsed(
            "[a](other.md) [b](../up.md#part) [c](/top.md?x) [d](my%20page.md) [e](#here) [f](a/./b/../c)\n\
             [g](https://example.org/x) <https://example.org/y> <me@example.org> [h](//host/x)\n\
             ![picture](p.png) [i]: ref\n\n[ref]\n\n[ref]: deep/ref.md\n",
        );
        let expected = [
            ("link", "/notes/sub/a/c"),
            ("link", "/notes/sub/deep/ref.md"),
            ("link", "/notes/sub/my page.md"),
            ("link", "/notes/sub/other.md"),
            ("link", "/notes/top.md"),
            ("link", "/notes/up.md"),
            ("url", "//host/x"),
            ("url", "https://example.org/x"),
            ("url", "https://example.org/y"),
            ("url", "mailto:me@example.org"),
        ];
        assert_eq!(edges(&document), expected);
    }

    #[test]
    fn a_link_out_of_a_named_root_stays_outside() {
        let place = Place { name: "wiki/page.md", prefix: "wiki/" };
        let document = parse(place, "[a](../x.md) [b](y.md)".to_owned());
        assert_eq!(edges(&document), [("link", "../x.md"), ("link", "wiki/y.md")]);
    }

    #[test]
    fn wikilinks_lose_alias_and_part() {
        let document =
            parsed("[[Plain]] [[dir/Page#Part|alias]] [[Block^id]] ![[Embedded]] [[#here]] [[ ]] `[[code]]`");
        let names = [
            ("wikilink", "Block"),
            ("wikilink", "Embedded"),
            ("wikilink", "Plain"),
            ("wikilink", "dir/Page"),
        ];
        assert_eq!(edges(&document), names);
    }

    #[test]
    fn tags_are_words_after_a_hash_outside_of_code_and_links() {
        let document = parsed(
            "# Title\n#first and (#second) a#no #12 #a1 #nested/tag_x-y. #ünï *#bold*\n\n    #code\n\n`#code` [#link](x.md)\n",
        );
        let tags: Vec<_> =
            edges(&document).into_iter().filter(|(kind, _)| *kind == "tag").map(|it| it.1).collect();
        assert_eq!(tags, ["a1", "bold", "first", "nested/tag_x-y", "second", "ünï"]);
    }

    #[test]
    fn front_matter_gives_tags_and_relations() {
        let document = parsed(
            "---\ntags: [one, '#two']\nrelated: ['[[Page|x]]', other.md, '[t](deep/x.md)']\nnested: [[Bare]]\n\
             source: https://example.org\ntitle: no.md\nsummary: just words\n---\n",
        );
        let expected = [
            ("relation:nested", "Bare"),
            ("relation:related", "/notes/sub/deep/x.md"),
            ("relation:related", "/notes/sub/other.md"),
            ("relation:related", "Page"),
            ("relation:source", "https://example.org"),
            ("tag", "one"),
            ("tag", "two"),
        ];
        assert_eq!(edges(&document), expected);
        let tags = parsed("---\ntags: one, two three\n---\n");
        assert_eq!(edges(&tags), [("tag", "one"), ("tag", "three"), ("tag", "two")]);
    }

    #[test]
    fn too_many_tags_are_cut_off_and_told() {
        let text = (0..=MOST_EDGES).map(|number| format!("#t{number}")).collect::<Vec<_>>().join(" ");
        let document = parsed(&text);
        assert_eq!((document.edges.len(), document.warnings.len()), (MOST_EDGES, 1));
    }

    #[test]
    fn hostile_text_does_no_harm() {
        let deep = 50_000;
        let hostile = [
            format!("---\na: {}{}\n---\nBody", "[".repeat(deep), "]".repeat(deep)),
            format!(
                "---\n{}\n---\nBody",
                (0..2000).map(|i| " ".repeat(i) + "a:").collect::<Vec<_>>().join("\n")
            ),
            "---\na: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n---\nBody".to_owned(),
            format!("+++\na = {}{}\n+++\nBody", "[".repeat(deep), "]".repeat(deep)),
            "[[".repeat(deep),
            "![[".repeat(deep) + &"]]".repeat(deep),
            "[".repeat(deep) + &"](".repeat(deep),
            "> ".repeat(deep),
            "* ".repeat(deep),
            "*_".repeat(deep),
            "<".repeat(deep),
            "`".repeat(deep) + "\n" + &"`~".repeat(deep),
            "#".repeat(deep),
            "[[a|]][[|b]][[]][[\n]]![[]]\0\u{0}[\u{202e}](\u{7f})".to_owned(),
            "---\n---\n---\n---".to_owned(),
            "%".repeat(deep) + "[a](%) [b](%f) [c](%ff%00)",
        ];
        for text in hostile {
            let start: String = text.chars().take(20).collect();
            let document = panic::catch_unwind(|| parsed(&text));
            assert!(document.is_ok(), "{start}");
        }
    }

    fn found(dir: &TempDir, bytes: &[u8]) -> Found {
        let file = dir.path().join("a.md");
        fs::write(&file, bytes).expect("a file");
        let stamp = Stamp::of(&fs::metadata(&file).expect("its metadata"));
        Found { file, name: "r/a.md".to_owned(), folder: 3, stamp }
    }

    #[test]
    fn a_file_is_read_with_its_stamp_and_hash() {
        let dir = TempDir::new().expect("a folder");
        let found = found(&dir, b"# Hi");
        let Outcome::Parsed(document) = read(&found, "r/", None, LARGEST) else { panic!("it is sound") };
        assert_eq!((document.title.as_str(), document.folder, document.stamp), ("Hi", 3, found.stamp));
        assert!(matches!(read(&found, "r/", Some(&document.hash), LARGEST), Outcome::Unchanged));
        assert!(matches!(read(&found, "r/", Some(&Hash::default()), LARGEST), Outcome::Parsed(_)));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let dir = TempDir::new().expect("a folder");
        let failed = |found: &Found| match read(found, "r/", None, LARGEST) {
            Outcome::Failed(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(failed(&found(&dir, b"abc\xff")), "it is not UTF-8: byte 3 is out of place");
        let large = found(&dir, b"");
        File::options()
            .write(true)
            .open(&large.file)
            .and_then(|it| it.set_len(LARGEST + 1))
            .expect("a large file");
        assert_eq!(failed(&large), "it is larger than 16 MiB (--max-file-size)");
        assert!(matches!(read(&large, "r/", None, LARGEST + 1), Outcome::Parsed(_)));
        fs::remove_file(&large.file).expect("it was there");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &large.file,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .expect("a pipe");
        assert_eq!(failed(&large), "it is not a regular file");
    }

    #[test]
    fn what_went_since_the_walk_is_gone_and_no_failure() {
        let dir = TempDir::new().expect("a folder");
        let mut gone = found(&dir, b"text");
        let is_gone = |found: &Found| matches!(read(found, "r/", None, LARGEST), Outcome::Gone);
        assert!(!is_gone(&gone));
        fs::rename(&gone.file, dir.path().join("elsewhere")).expect("it was there");
        assert!(is_gone(&gone));
        // What it points to is a document only where it is found under its own name.
        std::os::unix::fs::symlink("elsewhere", &gone.file).expect("a link");
        assert!(is_gone(&gone));
        gone.file = dir.path().join("elsewhere/a.md");
        assert!(is_gone(&gone), "its folder is a file by now");
    }

    #[test]
    fn a_limit_is_told_as_it_is_written() {
        let sizes = [1, 1000, 1024, 1 << 20, 3 << 30, (1 << 20) + 1];
        let expected = ["1 bytes", "1000 bytes", "1 KiB", "1 MiB", "3 GiB", "1048577 bytes"];
        assert_eq!(sizes.map(binary_size), expected);
    }
}
