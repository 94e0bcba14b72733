//! What a kill leaves behind: ingestions ended by SIGKILL at random moments, up to three in a row, and then one that
//! comes to its end. After it the database must be sound and hold what one clean run gives, every time.
//!
//! In one half of the rounds the database is new, in the other it is brought up to date: documents changed, came and
//! went since. In every second round of each a bystander has the database open, so that there are gaps between the batches.
//!
//! `cargo bench --bench crash`; a number after `--` is that of the rounds. The seed is printed, and `WALTOP_BENCH_SEED`
//! repeats it: the moments are told by what the journal tells, but for some milliseconds.

use std::{
    env, fs,
    io::{self, PipeWriter},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rusqlite::Connection;

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/dice.rs"]
mod dice;

use dice::Dice;

const WALTOP: &str = env!("CARGO_BIN_EXE_waltop");
const ROUNDS: usize = 100;
const DOCUMENTS: usize = 400;
const MOST_KILLS: u64 = 3;
/// How a run sizes its batches, by turns.
const BATCHES: [&str; 4] = ["auto", "1", "7", "50"];
/// How often the journal is looked at.
const LOOK: Duration = Duration::from_micros(500);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // `cargo test --all-targets` runs this program too, without this argument.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing is killed but by cargo bench");
        return Ok(ExitCode::SUCCESS);
    }
    let rounds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(ROUNDS);
    let seed = match env::var("WALTOP_BENCH_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?,
    };
    println!("seed {seed}, {DOCUMENTS} documents");
    let home = tempfile::tempdir()?;
    let stage = Stage::set(home.path())?;
    let mut dice = Dice(seed | 1);
    let mut tally = Tally::default();
    for round in 0..rounds {
        if let Err(why) = stage.play(round, &mut dice, &mut tally) {
            println!("round {round}: {why}");
        }
    }
    println!(
        "{rounds} rounds, in {} of them killed in mid-run, {} times; {} times the next run said what it carried on",
        tally.rounds_with_kills, tally.kills, tally.carried_on
    );
    let mut is_kept = true;
    for (what, count) in [
        ("came to their end", tally.ended),
        ("integrity ok", tally.sound),
        ("rows of a clean run", tally.same),
    ] {
        is_kept &= count == rounds;
        println!(
            "{what}: {count} of {rounds}, bound all: {}",
            if count == rounds { "kept" } else { "NOT KEPT" }
        );
    }
    Ok(if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What came of the rounds.
#[derive(Debug, Default)]
struct Tally {
    rounds_with_kills: usize,
    kills: usize,
    carried_on: usize,
    ended: usize,
    sound: usize,
    same: usize,
}

/// The documents as they are now, a database of what they were, and what a clean run makes of them.
struct Stage {
    home: PathBuf,
    notes: PathBuf,
    before: PathBuf,
    expected: Vec<String>,
    /// How many batches a clean run takes, by how it sizes them.
    batches: [u64; BATCHES.len()],
}

impl Stage {
    fn set(home: &Path) -> Result<Self, Failure> {
        let [old, notes] = ["old", "notes"].map(|name| home.join(name));
        for folder in [&old, &notes] {
            corpus::write(folder, DOCUMENTS)?;
        }
        change(&notes)?;
        let mut stage = Self {
            home: home.to_owned(),
            before: home.join("before.db"),
            notes,
            expected: Vec::new(),
            batches: [0; BATCHES.len()],
        };
        finish(stage.ingestion(&stage.before, &old, "auto"))?;
        for (batch, count) in BATCHES.into_iter().zip(0..) {
            let database = home.join(format!("clean-{batch}.db"));
            finish(stage.ingestion(&database, &stage.notes, batch))?;
            stage.batches[count] = stage.told()?;
            let rows = rows(&database)?;
            if count > 0 && rows != stage.expected {
                return Err("two clean runs differ".into());
            }
            stage.expected = rows;
        }
        Ok(stage)
    }

    fn play(&self, round: usize, dice: &mut Dice, tally: &mut Tally) -> Result<(), Failure> {
        let database = self.home.join("notes.db");
        for suffix in ["", "-wal", "-shm"] {
            remove(&self.home.join(format!("notes.db{suffix}")))?;
        }
        if round % 2 == 1 {
            fs::copy(&self.before, &database)?;
        }
        let bystander = (round % 4 > 1).then(|| Bystander::beside(&database)).transpose()?;
        let turn = dice.below(BATCHES.len() as u64);
        let turn = usize::try_from(turn)?;
        let mut kills = 0;
        for _ in 0..=dice.below(MOST_KILLS) {
            self.forget_journals()?;
            let moment = (dice.below(self.batches[turn] + 1), Duration::from_micros(dice.below(15_000)));
            let child = self.ingestion(&database, &self.notes, BATCHES[turn]).spawn()?;
            kills += usize::from(self.kill_at(child, moment)?);
        }
        drop(bystander);
        let last = self.ingestion(&database, &self.notes, "auto").output()?;
        tally.kills += kills;
        tally.rounds_with_kills += usize::from(kills > 0);
        tally.carried_on += usize::from(String::from_utf8_lossy(&last.stderr).contains("carries on run "));
        if !last.status.success() {
            return Err(String::from_utf8_lossy(&last.stderr).into());
        }
        tally.ended += 1;
        let rows = rows(&database)?;
        tally.sound += 1;
        if rows != self.expected {
            return Err("the rows are not those of a clean run".into());
        }
        tally.same += 1;
        Ok(())
    }

    /// Kills `child` at the moment: after so many batches, and some time. Whether it was at work still.
    fn kill_at(&self, mut child: Child, (batches, pause): (u64, Duration)) -> Result<bool, Failure> {
        while child.try_wait()?.is_none() && self.told()? < batches {
            thread::sleep(LOOK);
        }
        thread::sleep(pause);
        child.kill()?;
        Ok(!child.wait()?.success())
    }

    fn ingestion(&self, database: &Path, folder: &Path, batch: &str) -> Command {
        let mut command = Command::new(WALTOP);
        command.args(["ingest", "--root", "notes", "--batch", batch, "--db"]).arg(database).arg(folder);
        for (key, name) in [("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config")] {
            command.env(key, self.home.join(name));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn journals(&self) -> PathBuf {
        self.home.join("state/waltop/runs")
    }

    fn forget_journals(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.journals()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// How many batches the newest journal tells of; none where there is none.
    fn told(&self) -> io::Result<u64> {
        let Ok(entries) = fs::read_dir(self.journals()) else { return Ok(0) };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|it| it == "jsonl"));
        let Some(newest) = paths.into_iter().max() else { return Ok(0) };
        Ok(fs::read_to_string(newest)?.matches(r#""event":"batch""#).count() as u64)
    }
}

/// Every third document gets another text, every fifth goes, and every seventh another name.
fn change(notes: &Path) -> io::Result<()> {
    let mut number = 0;
    let mut folders: Vec<PathBuf> =
        fs::read_dir(notes)?.map(|it| it.map(|it| it.path())).collect::<Result<_, _>>()?;
    folders.sort();
    for folder in folders {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder)?.map(|it| it.map(|it| it.path())).collect::<Result<_, _>>()?;
        files.sort();
        for file in files {
            number += 1;
            if number % 5 == 0 {
                fs::remove_file(file)?;
            } else if number % 7 == 0 {
                fs::rename(&file, file.with_extension("txt"))?;
            } else if number % 3 == 0 {
                fs::write(file, format!("# Changed {number}\n\nSee [[note-{number}]]. #changed\n"))?;
            }
        }
    }
    Ok(())
}

/// A process that has the database open, and does nothing with it.
struct Bystander {
    child: Child,
    _orders: PipeWriter,
}

impl Bystander {
    fn beside(database: &Path) -> Result<Self, Failure> {
        let (orders, mut give) = io::pipe()?;
        let (answers, said) = io::pipe()?;
        let child = Command::new(WALTOP).arg("actor").arg(database).stdin(orders).stdout(said).spawn()?;
        let mut answers = io::BufReader::new(answers);
        for order in ["PRAGMA journal_mode = wal", "SELECT * FROM sqlite_schema"] {
            io::Write::write_all(&mut give, format!("{order}\n").as_bytes())?;
        }
        // The first answer is that it has opened the database.
        for _ in 0..3 {
            io::BufRead::read_line(&mut answers, &mut String::new())?;
        }
        Ok(Self { child, _orders: give })
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All that was ingested but for row numbers and times, once the database is seen to be sound.
fn rows(database: &Path) -> Result<Vec<String>, Failure> {
    let connection = Connection::open(database)?;
    let all = |sql: &str| -> Result<Vec<String>, Failure> {
        let mut select = connection.prepare(sql)?;
        let rows = select.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let integrity = all("PRAGMA integrity_check")?;
    if integrity != ["ok"] {
        return Err(integrity.join("; ").into());
    }
    // An index that differs from the text it was made of is an error here.
    connection.execute("INSERT INTO nodes_words (nodes_words, rank) VALUES ('integrity-check', 1)", [])?;
    connection.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, nodes_words, col)", [])?;
    let mut rows = all("SELECT json_array(path, folder, title, kind, front_matter, body, bytes, hex(hash))
                        FROM nodes ORDER BY path")?;
    rows.extend(all("SELECT json_array(source.path, edges.kind, edges.target, target.path) FROM edges
                     JOIN nodes AS source ON source.id = edges.source
                     LEFT JOIN nodes AS target ON target.id = edges.target_node ORDER BY 1")?);
    rows.extend(all("SELECT json_array(term, col, doc, cnt) FROM temp.words ORDER BY term, col")?);
    rows.extend(all("SELECT path FROM nodes JOIN nodes_words ON nodes_words.rowid = nodes.id
                     WHERE nodes_words MATCH 'changed OR see' ORDER BY path")?);
    Ok(rows)
}

fn finish(mut command: Command) -> Result<(), Failure> {
    let output = command.output()?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
