//! What the measurements share: a database in use, and a machine with many processes.

use std::{
    fs,
    io::{self, PipeWriter},
    path::Path,
    process::{Command, Stdio},
};

use crate::support::Actor;

/// The connections: a reader that pins the log, a writer in its transaction, and idle ones.
pub fn cast(database: &Path, connections: usize) -> Vec<Actor> {
    let mut writer = Actor::open(database);
    writer.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)").sql("INSERT INTO t VALUES (1)");
    let mut reader = Actor::open(database);
    reader.sql("BEGIN").sql("SELECT * FROM t");
    // A log of some megabytes, which the reader keeps from being emptied.
    writer.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
         INSERT INTO t SELECT randomblob(4000) FROM n",
    );
    writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (2)");
    let mut cast = vec![writer, reader];
    cast.resize_with(connections, || {
        let mut idle = Actor::open(database);
        idle.sql("SELECT count(*) FROM t");
        idle
    });
    cast
}

/// Processes that do nothing. They end with this value, and with this program however that ends.
pub struct Crowd {
    processes: Vec<std::process::Child>,
    _lifeline: PipeWriter,
}

impl Crowd {
    /// As many as it takes until there are `count` on the machine.
    pub fn gather(count: usize) -> io::Result<Self> {
        let (end, lifeline) = io::pipe()?;
        let mut crowd = Self { processes: Vec::new(), _lifeline: lifeline };
        for _ in processes()..count {
            let mut idle = Command::new("cat");
            idle.stdin(Stdio::from(end.try_clone()?)).stdout(Stdio::null());
            crowd.processes.push(idle.spawn()?);
        }
        Ok(crowd)
    }

    /// How many it took.
    pub fn len(&self) -> usize {
        self.processes.len()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
        }
        for process in &mut self.processes {
            let _ = process.wait();
        }
    }
}

/// How many processes there are on the machine; none where there is no `/proc` to count them in.
pub fn processes() -> usize {
    let is_process = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.parse::<u32>().is_ok());
    fs::read_dir("/proc")
        .map_or(0, |entries| entries.flatten().filter(|it| is_process(&it.file_name())).count())
}
