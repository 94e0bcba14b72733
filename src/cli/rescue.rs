//! `waltop rescue`: copies of a database that SQLite cannot copy.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::bail;

use super::{databases::named_path, output::answer, print_json, print_line};
use crate::{
    config::Config,
    database::rescue::{CopiedTable, VerifiedCopy, VerifyError as Unverified, verify},
    ingest::{StopFlag, stop_on_signals},
    observe, paths,
    rescue::{
        self, CopiedBytes, CopyReport, LogRescue, ProcessRescue, RescueError, RescueRequest, TablePair,
        TableRows,
    },
    text,
};

/// The exit code after a stop; shells use it for SIGINT.
const STOPPED: u8 = 130;

#[derive(Debug, clap::Args)]
pub struct RescueArgs {
    /// The database. With --pid: the path at which the process opened it, whether or not a file is there now.
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// A new or empty folder for two copies, with and without the log. With --pid: the file of the copy.
    #[arg(long, value_name = "DIR|FILE")]
    to: PathBuf,
    /// Copy the database from this process, which has its deleted files open.
    #[arg(long, value_name = "PID")]
    pid: Option<i32>,
    /// Stop the process (SIGSTOP) while its files are copied: needed without a -shm, because no lock protects the copy.
    #[arg(long, requires = "pid")]
    pub freeze: bool,
    /// The database with this inode, if the process has several open at this path.
    #[arg(long, value_name = "N", requires = "pid")]
    inode: Option<u64>,
    /// Stop the process without asking for confirmation.
    #[arg(long, requires = "freeze")]
    yes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &RescueArgs, config: &Config) -> anyhow::Result<u8> {
    let stop = stop_on_signals()?;
    let done = match args.pid {
        Some(pid) => from_process(args, pid, config, &stop),
        None => with_and_without_log(args, config, &stop),
    };
    match done {
        Err(error) if is_stop(&error) => {
            let _ = writeln!(io::stderr(), "waltop: {error}");
            Ok(STOPPED)
        }
        done => done,
    }
}

fn is_stop(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(RescueError::Stopped))
        || matches!(error.downcast_ref(), Some(Unverified::Stopped(_)))
}

fn from_process(args: &RescueArgs, pid: i32, config: &Config, stop: &StopFlag) -> anyhow::Result<u8> {
    let proc = &config.places.proc;
    let start_ticks = rescue::start_of(proc, pid)?;
    let path = paths::canonical_or_future(&args.database)?;
    if args.freeze && !args.yes && !confirmed(pid, &path)? {
        bail!("nothing was copied: the answer was no");
    }
    let request =
        RescueRequest { proc, pid, start_ticks, path: &path, inode: args.inode, may_freeze: args.freeze };
    let (to, copied) = rescue::from_process(&request, &args.to, &|| stop.is_raised())?;
    let (copy, tables) = verified(to, stop)?;
    let tables = tables.into_iter().map(|CopiedTable { name, rows }| TableRows { name, rows }).collect();
    let report = ProcessRescue { path, pid, copied, copy, tables };
    print(&report, args.json)?;
    Ok(u8::from(!report.is_good()))
}

fn with_and_without_log(args: &RescueArgs, config: &Config, stop: &StopFlag) -> anyhow::Result<u8> {
    let proc = &config.places.proc;
    let named = named_path(&args.database)?;
    let path = match paths::real(&named) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(missing(&named, proc)),
        path => path.map_err(RescueError::io(format!("read {}", named.display())))?,
    };
    let pair = rescue::with_and_without_log(proc, &path, &args.to, &|| stop.is_raised())?;
    let (with_log, with_rows) = verified(pair.with_log, stop)?;
    let (without_log, without_rows) = verified(pair.without_log, stop)?;
    let tables = side_by_side(with_rows, without_rows);
    let copied: CopiedBytes = pair.copied;
    let report = LogRescue { path, copied, with_log, without_log, tables };
    print(&report, args.json)?;
    Ok(u8::from(!report.is_good()))
}

/// The message for a path without a file: whether a process still has it open.
fn missing(database: &Path, proc: &Path) -> String {
    let path = paths::canonical_or_future(database).unwrap_or_else(|_| database.to_owned());
    let holders = observe::holders_of_deleted(proc, &path);
    let shown = database.display();
    match holders.pids.first() {
        Some(pid) => {
            format!("no such file: {shown}; process {pid} has it open: copy it with --pid {pid} --to FILE")
        }
        None => format!("no such file: {shown}; name a SQLite database that exists"),
    }
}

fn verified(path: PathBuf, stop: &StopFlag) -> anyhow::Result<(CopyReport, Vec<CopiedTable>)> {
    let flag = stop.clone();
    let VerifiedCopy { errors, is_complete, tables } = verify(&path, move || flag.is_raised())?;
    Ok((CopyReport { path, errors, is_complete }, tables))
}

fn side_by_side(with_log: Vec<CopiedTable>, without_log: Vec<CopiedTable>) -> Vec<TablePair> {
    let mut rows: BTreeMap<String, [Option<u64>; 2]> = BTreeMap::new();
    for (at, tables) in [with_log, without_log].into_iter().enumerate() {
        for table in tables {
            rows.entry(table.name).or_default()[at] = table.rows;
        }
    }
    let pair = |(name, [with_log, without_log]): (String, [Option<u64>; 2])| TablePair {
        name,
        with_log,
        without_log,
    };
    rows.into_iter().map(pair).collect()
}

fn print(report: &(impl serde::Serialize + ToString), json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(report);
    }
    // Names of files and tables come from outside.
    report.to_string().lines().try_for_each(|line| print_line(&text::clean(line)))
}

fn confirmed(pid: i32, path: &Path) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("nothing was copied: there is no terminal to ask on; give --yes to stop {pid} meanwhile");
    }
    let path = text::clean(&path.display().to_string());
    answer(&format!("stop process {pid} while its files of {path} are copied?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stand_side_by_side_by_name() {
        let table = |name: &str, rows| CopiedTable { name: name.to_owned(), rows };
        let pairs = side_by_side(
            vec![table("a", Some(1)), table("b", None)],
            vec![table("c", Some(3)), table("a", Some(2))],
        );
        let pair =
            |name: &str, with_log, without_log| TablePair { name: name.to_owned(), with_log, without_log };
        assert_eq!(pairs, [pair("a", Some(1), Some(2)), pair("b", None, None), pair("c", None, Some(3))]);
    }
}
