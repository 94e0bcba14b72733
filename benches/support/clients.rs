//! The processes that are watched: this same program, started with `client` and what to do.

use std::{
    fs::File,
    io::Write,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use rustix::fs::{FlockOperation, fcntl_lock};
use waltop::database::actor;

/// How many holds are timed.
pub const HOLDS: u32 = 90;
/// Time between them.
pub const PAUSE: Duration = Duration::from_millis(15);
/// A writer at work holds the lock this long at a time.
const WORK: Duration = Duration::from_millis(10);

/// Time between the writes of one that writes 20 times a second.
const BETWEEN_WRITES: Duration = Duration::from_millis(50);

type Failure = Box<dyn std::error::Error>;

/// Is the client that `arguments` ask for, if they ask for one.
pub fn run(arguments: &[String]) -> Result<bool, Failure> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["client", what, path] => {
            actor::end_with_parent()?;
            match what {
                "hold" => hold(Path::new(path))?,
                "work" => work(Path::new(path))?,
                "trickle" => trickle(Path::new(path))?,
                _ => write(Path::new(path))?,
            }
            Ok(true)
        }
        ["client", _, path, count] => {
            actor::end_with_parent()?;
            lock(path, count.parse()?)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn connect(path: &Path) -> Result<Connection, Failure> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch("PRAGMA synchronous = NORMAL")?;
    Ok(connection)
}

/// Holds the write lock again and again, and tells how long each time, in nanoseconds.
fn hold(path: &Path) -> Result<(), Failure> {
    let connection = connect(path)?;
    // A checkpoint would come after the lock is given back, but before COMMIT returns.
    connection.execute_batch("PRAGMA wal_autocheckpoint = 0")?;
    for number in 0..HOLDS {
        // Short ones and long ones mixed, each half of a percent or so longer than another.
        let step = f64::from(number * 37 % HOLDS) / f64::from(HOLDS - 1);
        let length = Duration::from_secs_f64(0.005 * 80_f64.powf(step));
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let began = Instant::now();
        connection.execute("INSERT INTO t VALUES (?1)", [number])?;
        thread::sleep(length.saturating_sub(began.elapsed()));
        connection.execute_batch("COMMIT")?;
        println!("{}", began.elapsed().as_nanos());
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Writes now and then, for ever.
fn work(path: &Path) -> Result<(), Failure> {
    let connection = connect(path)?;
    loop {
        connection.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)")?;
        thread::sleep(WORK);
        connection.execute_batch("COMMIT")?;
        thread::sleep(PAUSE);
    }
}

/// Writes 20 times a second, and holds the lock no longer than it must.
fn trickle(path: &Path) -> Result<(), Failure> {
    let connection = connect(path)?;
    loop {
        connection.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1); COMMIT")?;
        thread::sleep(BETWEEN_WRITES);
    }
}

/// Does nothing but write, for ever.
fn write(path: &Path) -> Result<(), Failure> {
    let connection = connect(path)?;
    let mut insert = connection.prepare("INSERT INTO t VALUES (1)")?;
    let mut tidy = connection.prepare("DELETE FROM t")?;
    loop {
        for _ in 0..1000 {
            insert.execute([])?;
        }
        tidy.execute([])?;
    }
}

/// Makes `count` files with names that begin with `path`, and holds a lock on each, for ever.
fn lock(path: &str, count: u32) -> Result<(), Failure> {
    let mut files = Vec::new();
    for number in 0..count {
        let file = File::create(format!("{path}-{number}"))?;
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
        files.push(file);
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    loop {
        thread::park();
    }
}
