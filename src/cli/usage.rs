//! The command line as it is parsed, and what is said where it cannot be.

use std::{ffi::OsString, io};

use anyhow::bail;
use clap::{CommandFactory, error::ErrorKind};

use super::{Cli, habits, version};
use crate::text::one_line;

/// `args` with a leading `--config FILE` moved behind the next word: an option before a command would belong to the
/// console, but this one is valid for all commands.
pub fn config_last(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let option = args.get(1).and_then(|it| it.to_str()).unwrap_or_default();
    let length = match option {
        "--config" => 2,
        _ if option.starts_with("--config=") => 1,
        _ => return args,
    };
    if args.get(1 + length).is_some_and(|it| !it.as_encoded_bytes().starts_with(b"-")) {
        args[1..=1 + length].rotate_right(1);
    }
    args
}

/// Prints help and version to stdout unchanged; a usage error becomes one line.
pub fn explain(error: &clap::Error, args: &[OsString]) -> anyhow::Result<u8> {
    // clap prints the version as soon as it comes to that option.
    if error.kind() == ErrorKind::DisplayVersion && args.iter().any(|arg| arg == "--verbose") {
        return version::print();
    }
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Bold and underlined on a terminal.
        return match error.print() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(0),
        };
    }
    let text = error.to_string();
    let mut paragraphs = text.split("\n\n").map(one_line);
    let what = paragraphs.next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(&what).to_owned();
    let tips: Vec<String> = paragraphs.filter_map(|it| it.strip_prefix("tip: ").map(str::to_owned)).collect();
    let first = args.get(1).and_then(|it| it.to_str());
    let command = first.filter(|word| Cli::command().find_subcommand(word).is_some()).unwrap_or_default();
    if args.iter().any(|arg| arg == "--host" || arg.as_encoded_bytes().starts_with(b"--host=")) {
        let mut named = args.iter().skip(1).filter_map(|arg| arg.to_str());
        let command = named.find(|word| Cli::command().find_subcommand(word).is_some());
        if let Some(command) = command {
            bail!("{}", of_console_only(command));
        }
    }
    if let Some(value) = habits::negative(error, args) {
        bail!("invalid value '{value}': give a number, a time or a size without a sign");
    }
    let tip = match habits::meant_by(error, command).or_else(|| habits::nearest_command(error)) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => tips.first().map_or_else(String::new, |tip| format!("; {tip}")),
    };
    let space = if command.is_empty() { "" } else { " " };
    bail!("{what}{tip}; see waltop{space}{command} --help");
}

/// What to do in place of `--host` with another command than the console.
pub fn of_console_only(command: &str) -> String {
    format!("--host is for the console only: run `ssh HOST waltop {command} …`")
}
