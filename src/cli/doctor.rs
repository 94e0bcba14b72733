//! `waltop doctor`: what this machine lets waltop see.

use std::{io, path::PathBuf};

use rustix::termios::tcgetwinsize;

use super::{databases, output::print_lines, print_json, sample_args::databases_to_sample};
use crate::{
    config::Config,
    diagnose::doctor::DoctorReport,
    observe,
    snapshot::{SettingsState, TerminalFacts},
    state::places::Places,
    text,
};

#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Databases whose file systems are checked, or folders with databases; default: those in the settings.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Settings that are not valid are a row of the report.
pub fn run(args: &DoctorArgs, config: impl FnOnce() -> anyhow::Result<Config>) -> anyhow::Result<u8> {
    let (config, refused) = match config() {
        Ok(config) => (config, None),
        Err(error) => (Config::new(Places::of_user()?), Some(error.to_string())),
    };
    let databases = if args.databases.is_empty() {
        config.databases.clone()
    } else {
        let named = databases::named(&args.databases, false)?;
        databases::print_notes(&named.notes);
        let sampled = databases_to_sample(&named.paths, &config)?;
        sampled.iter().map(|path| databases::named_path(path)).collect::<anyhow::Result<_>>()?
    };
    let mut facts = observe::machine(&config.places, databases);
    let path = config.places.config.clone();
    facts.settings = SettingsState { is_there: path.exists(), path, refused };
    facts.terminal = terminal();
    let report = DoctorReport::new(&facts);
    if args.json {
        print_json(&report)?;
    } else {
        print_lines(&report.to_string())?;
    }
    Ok(report.exit())
}

fn terminal() -> TerminalFacts {
    TerminalFacts {
        size: tcgetwinsize(io::stdout()).ok().map(|it| (it.ws_col, it.ws_row)),
        term: std::env::var("TERM").ok().filter(|term| !term.is_empty()),
        is_colourless: text::is_colourless(),
        is_ascii: text::is_ascii_locale(),
    }
}
