//! `waltop safe`: whether no process has the database open.

use std::{path::PathBuf, slice, thread, time::Duration};

use anyhow::bail;

use super::{
    databases::{monitor, only},
    print_json, print_line,
    sample_args::databases_to_sample,
};
use crate::{
    config::Config,
    diagnose::safe::{SafePurpose, SafeReport},
};

/// Time between the two samples: a program that opens the database again and again is more likely to be seen.
const BETWEEN: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
pub struct SafeArgs {
    /// The database.
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// What is to be done with it.
    #[arg(long = "for", value_enum, ignore_case = true, value_name = "PURPOSE")]
    purpose: SafePurpose,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &SafeArgs, config: &Config) -> anyhow::Result<u8> {
    // A process may still have a database open whose file was deleted.
    let path = databases_to_sample(slice::from_ref(&args.database), config)?.remove(0);
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
    let report = SafeReport::new(args.purpose, [&first, &last], unseen);
    if args.json {
        print_json(&report)?;
    } else {
        print_line(&report.to_string())?;
    }
    Ok(report.exit())
}
