//! `waltop safe`: whether no process has the database open; also makes a copy, or runs a command if that is so.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    thread,
    time::Duration,
};

use anyhow::bail;

use super::{
    databases::{self, monitor, only},
    print_json, print_line,
    sample_args::databases_to_sample,
};
use crate::{
    config::Config,
    diagnose::safe::{SafePurpose, SafeReport, SafeVerdict},
};

mod copy;
mod watched;

/// Time between the two samples: a program that opens the database again and again is more likely to be seen.
const BETWEEN: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
pub struct SafeArgs {
    /// The database.
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// What is to be done with it.
    #[arg(long = "for", value_enum, ignore_case = true, value_name = "copy|vacuum|convert|restore")]
    purpose: SafePurpose,
    /// With --for copy: let SQLite copy the database to this new file, whether or not it is in use.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// With --for vacuum or convert: run this if no process has the database open, and watch who comes meanwhile.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub fn run(args: &SafeArgs, config: &Config) -> anyhow::Result<u8> {
    if args.to.is_some() && args.purpose != SafePurpose::Copy {
        bail!("--to makes a copy: give it with --for copy");
    }
    let has_connection = matches!(args.purpose, SafePurpose::Vacuum | SafePurpose::Convert);
    if !args.command.is_empty() && !has_connection {
        bail!("a command is run for vacuum and convert only: leave it out, or give --for vacuum");
    }
    // A process may still have a database open whose file was deleted.
    let path = databases_to_sample(&[databases::named_path(&args.database)?], config)?.remove(0);
    let mut unseen = Vec::new();
    let mut sample = || {
        // A new one each time: it reads the descriptors of all processes in its first sample only.
        let mut watch = monitor(&path, config);
        let database = only(&watch.sample());
        unseen.extend(watch.unseen_processes());
        database
    };
    let first = sample()?;
    thread::sleep(BETWEEN);
    let last = sample()?;
    if let Some(why) = last.unfit.as_ref().filter(|_| !last.is_gone_in_use()) {
        bail!("{why}");
    }
    let mut report = SafeReport::new(args.purpose, [&first, &last], unseen);
    if let Some(to) = &args.to {
        report.copied = Some(copy::copy(&path, to, &last, config)?);
    }
    if !args.command.is_empty() && report.verdict == SafeVerdict::Safe {
        report.ran = Some(watched::run(&path, &args.command, config, args.json)?);
    }
    if args.json {
        print_json(&report)?;
    } else {
        print_line(&report.to_string())?;
    }
    if !args.command.is_empty() && report.ran.is_none() {
        // stderr may be closed, and the exit code says it too.
        let _ = writeln!(io::stderr(), "waltop: the command was not run");
    }
    Ok(report.exit())
}
