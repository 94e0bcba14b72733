//! What a search finds, and how long it takes.
//!
//! 1. Documents by their name: how often the document is among the first three.
//! 2. Parts of runs of Chinese, Japanese, Korean and Thai: how many of the documents that hold them are found.
//! 3. A whole process of `waltop search`, beside the sqlite3 shell with the same words.
//!
//! `cargo bench --bench search`. `WALTOP_BENCH_FOLDERS` names the folders, as a list of paths with `:` between them.

use std::{
    collections::{HashMap, HashSet},
    env,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use waltop::{
    config::profile::Profile,
    ingest::{
        query, search,
        words::{UnitKind, units},
    },
};

const WALTOP: &str = env!("CARGO_BIN_EXE_waltop");
/// The first so many count as found.
const TOP: usize = 3;
/// Characters of a part of a run.
const PART: usize = 2;
/// Parts that are searched for.
const MOST_PARTS: usize = 300;
const ROUNDS: usize = 21;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let folders = env::var_os("WALTOP_BENCH_FOLDERS");
    // `cargo test --all-targets` runs this program too, unoptimised and without this argument.
    let (true, Some(folders)) = (env::args().any(|it| it == "--bench"), folders) else {
        println!("nothing is measured but by cargo bench, over the folders in WALTOP_BENCH_FOLDERS");
        return Ok(());
    };
    for folder in env::split_paths(&folders) {
        let home = tempfile::tempdir()?;
        let database = home.path().join("notes.db");
        let mut ingest = Command::new(WALTOP);
        ingest.arg("ingest").arg(&folder).arg("--db").arg(&database).env("XDG_STATE_HOME", home.path());
        if !ingest.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
            println!("{}: some files failed", folder.display());
        }
        let connection = Connection::open(&database)?;
        let documents: Vec<(String, String)> = connection
            .prepare("SELECT path, body FROM nodes ORDER BY path")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        println!("{}: {} documents", folder.display(), documents.len());
        names(&database, &documents)?;
        parts_of_runs(&database, &documents)?;
        latency(&database)?;
    }
    Ok(())
}

fn found(database: &Path, text: &str, limit: usize) -> Result<Vec<String>, Failure> {
    let answer = search::search(database, &query::parse(text), limit, &Profile::hardened());
    Ok(answer.map(|it| it.hits.into_iter().map(|hit| hit.path).collect()).or_else(|error| match error {
        search::SearchError::NoWords => Ok(Vec::new()),
        other => Err(other),
    })?)
}

fn names(database: &Path, documents: &[(String, String)]) -> Result<(), Failure> {
    let stem = |path: &str| {
        Path::new(path).file_stem().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let mut same: HashMap<String, usize> = HashMap::new();
    for (path, _) in documents {
        *same.entry(stem(path).to_lowercase()).or_default() += 1;
    }
    let (mut all, mut few, mut found_all, mut found_few) = (0, 0, 0, 0);
    for (path, _) in documents {
        let name = stem(path);
        let is_found = usize::from(found(database, &name, TOP)?.contains(path));
        (all, found_all) = (all + 1, found_all + is_found);
        if same[&name.to_lowercase()] <= TOP {
            (few, found_few) = (few + 1, found_few + is_found);
        }
    }
    println!(
        "  by name, first {TOP}: {}, of names that at most {TOP} have: {}",
        share(found_all, all),
        share(found_few, few)
    );
    Ok(())
}

fn parts_of_runs(database: &Path, documents: &[(String, String)]) -> Result<(), Failure> {
    let mut holding: HashMap<String, HashSet<&str>> = HashMap::new();
    for (path, body) in documents {
        let all: Vec<_> = units(body).collect();
        for part in all.windows(PART) {
            let is_part =
                part.iter().all(|it| it.kind == UnitKind::Unspaced) && part[1..].iter().all(|it| it.joins);
            if is_part {
                holding.entry(part.iter().map(|it| it.text).collect()).or_default().insert(path);
            }
        }
    }
    let mut parts: Vec<_> = holding.into_iter().collect();
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    let step = (parts.len() / MOST_PARTS).max(1);
    let (mut held, mut hit) = (0, 0);
    for (part, paths) in parts.iter().step_by(step) {
        let found = found(database, part, documents.len())?;
        held += paths.len();
        hit += paths.iter().filter(|path| found.iter().any(|it| it == *path)).count();
    }
    println!("  by {PART} characters of a run: {}", share(hit, held));
    Ok(())
}

fn latency(database: &Path) -> Result<(), Failure> {
    for text in ["lock", "write lock", "database"] {
        let mut waltop = Command::new(WALTOP);
        waltop.args(["search", "--json", "--db"]).arg(database).args(["--", text]);
        let expression = query::parse(text).expression(query::WordMatch::All).unwrap_or_default();
        let sql = format!(
            "SELECT path, title, snippet(nodes_words, 3, '«', '»', '…', 16) FROM nodes_words JOIN nodes ON id = rowid
             WHERE nodes_words MATCH '{expression}' AND rank MATCH 'bm25(60.0, 12.0, 1.0, 1.0)' ORDER BY rank LIMIT 11"
        );
        let mut shell = Command::new("sqlite3");
        shell.arg(database).arg(sql);
        let (ours, theirs) = (median(&mut waltop)?, median(&mut shell)?);
        println!("  {text}: {:.1} ms, the sqlite3 shell {:.1} ms", millis(ours), millis(theirs));
    }
    Ok(())
}

fn median(command: &mut Command) -> Result<Duration, Failure> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let since = Instant::now();
        command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        times.push(since.elapsed());
    }
    times.sort();
    Ok(times[ROUNDS / 2])
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts of documents")]
fn share(part: usize, all: usize) -> String {
    format!("{part} of {all} ({:.1} %)", part as f64 * 100.0 / all.max(1) as f64)
}
