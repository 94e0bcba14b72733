//! The processes that take locks for `trace.rs`: that same program, started with `client` and what to do.

use std::{
    fs::File,
    io::Write,
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};
use rusqlite::Connection;
use rustix::time::{ClockId, clock_gettime};

type Failure = Box<dyn std::error::Error>;

/// SQLite's byte of the write lock in `-shm`.
const WRITE_BYTE: libc::off_t = 120;

/// One hold as its process timed it, in nanoseconds of the monotonic clock: before and after the request for the lock,
/// before and after its release.
pub type OwnHold = [u64; 4];

/// Is the client that `words` ask for.
pub fn client(words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["pairs", path] => {
            let connection = connect(path)?;
            let (mut begin, mut end) =
                (connection.prepare("BEGIN IMMEDIATE")?, connection.prepare("ROLLBACK")?);
            answer(|| Ok([begin.execute([])?, end.execute([])?].len()))
        }
        ["locks", path] => {
            let file = File::create(path)?;
            answer(|| Ok([lock(&file, libc::F_WRLCK)?, lock(&file, libc::F_UNLCK)?].len()))
        }
        [what, path, count, hold_us, gap_us] => {
            let (hold, gap) =
                (Duration::from_micros(hold_us.parse()?), Duration::from_micros(gap_us.parse()?));
            let holds = if what == "write" {
                let connection = connect(path)?;
                let write = "BEGIN IMMEDIATE; INSERT INTO t VALUES (1)";
                let both = |sql: &str| connection.execute_batch(sql).map_err(Failure::from);
                times(count.parse()?, (hold, gap), || both(write), || both("COMMIT"))?
            } else {
                let file = File::options().read(true).write(true).open(format!("{path}-shm"))?;
                let ask = |kind| lock(&file, kind).map(drop).map_err(Failure::from);
                times(count.parse()?, (hold, gap), || ask(libc::F_WRLCK), || ask(libc::F_UNLCK))?
            };
            let mut stdout = std::io::stdout().lock();
            for [asked, taken, done, released] in holds {
                writeln!(stdout, "{asked} {taken} {done} {released}")?;
            }
            Ok(())
        }
        _ => Err("no such client".into()),
    }
}

fn times(
    count: usize,
    (hold, gap): (Duration, Duration),
    take: impl Fn() -> Result<(), Failure>,
    release: impl Fn() -> Result<(), Failure>,
) -> Result<Vec<OwnHold>, Failure> {
    let mut holds = Vec::with_capacity(count);
    for _ in 0..count {
        let asked = monotonic();
        take()?;
        let taken = monotonic();
        thread::sleep(hold);
        let done = monotonic();
        release()?;
        holds.push([asked, taken, done, monotonic()]);
        if !gap.is_zero() {
            thread::sleep(gap);
        }
    }
    Ok(holds)
}

/// Does `work` as often as each line asks for, and says how long that took, in nanoseconds.
fn answer(mut work: impl FnMut() -> Result<usize, Failure>) -> Result<(), Failure> {
    for line in std::io::stdin().lines() {
        let count: u32 = line?.trim().parse()?;
        let began = Instant::now();
        for _ in 0..count {
            work()?;
        }
        println!("{}", began.elapsed().as_nanos());
    }
    Ok(())
}

fn connect(path: &str) -> Result<Connection, Failure> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch("PRAGMA synchronous = NORMAL; SELECT * FROM t")?;
    Ok(connection)
}

fn lock(file: &File, kind: i32) -> Result<i32, nix::Error> {
    let kind = libc::c_short::try_from(kind).map_err(|_| nix::Error::EINVAL)?;
    let whence = libc::c_short::try_from(libc::SEEK_SET).map_err(|_| nix::Error::EINVAL)?;
    let range = libc::flock { l_type: kind, l_whence: whence, l_start: WRITE_BYTE, l_len: 1, l_pid: 0 };
    fcntl(file, FcntlArg::F_SETLK(&range))
}

/// In nanoseconds.
pub fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
