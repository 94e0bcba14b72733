//! The words and options of other tools, and the command that does the same here.

use std::{borrow::Cow, ffi::OsString};

use clap::{
    CommandFactory,
    error::{ContextKind, ContextValue},
};

use crate::text;

const WORDS: &[(&str, &str)] = &[
    ("kill", "reap"),
    ("list", "status"),
    ("ls", "status"),
    ("ps", "status"),
    ("top", "status"),
    ("info", "stats"),
    ("log", "runs"),
    ("logs", "runs"),
    ("history", "runs"),
    ("import", "ingest"),
    ("find", "search"),
    ("grep", "search"),
    ("vacuum", "optimize"),
    ("analyze", "optimize"),
    ("repair", "rescue"),
    ("recover", "rescue"),
    ("why", "explain"),
    ("monitor", "status"),
    ("version", "--version"),
];

/// A command, an option that it does not have, and the command that is meant; an empty one stands for the console.
const OPTIONS: &[(&str, &str, &str)] = &[
    ("", "--json", "waltop status --json"),
    ("", "--for", "waltop check --for"),
    ("", "--db", "waltop DB"),
    ("", "-v", "waltop --version"),
    ("ingest", "--watch", "waltop watch"),
    ("ingest", "--follow", "waltop watch"),
    ("status", "--watch", "waltop"),
    ("check", "--watch", "waltop"),
];

/// The command that does what other tools call `word`.
pub fn command_for(word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(habit, _)| *habit == word).map(|(_, command)| *command)
}

/// What is meant by the option that `error` found unknown; `command` is empty for the console.
pub fn meant_by(error: &clap::Error, command: &str) -> Option<String> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    if option == "--db" && takes_database(command) {
        return Some(format!("waltop {command} DB"));
    }
    // Every other letter would be as near.
    if option.len() == 2 {
        let exact = OPTIONS.iter().find(|(of, known, _)| *of == command && known == option);
        return exact.map(|(.., meant)| (*meant).to_owned());
    }
    let known = || OPTIONS.iter().filter(|(of, ..)| *of == command);
    let nearest = text::similar(option, known().map(|(_, option, _)| *option))?;
    known().find(|(_, option, _)| *option == nearest).map(|(.., meant)| (*meant).to_owned())
}

/// Whether `command` takes its database as a word.
fn takes_database(command: &str) -> bool {
    let cli = super::Cli::command();
    let is_database =
        |arg: &clap::Arg| arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == "DB"));
    cli.find_subcommand(command).is_some_and(|it| it.get_positionals().any(is_database))
}

/// The help of the command that is most similar to the one that `error` found unknown. clap proposes one by itself only
/// where the word is the first argument.
pub fn nearest_command(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let cli = super::Cli::command();
    let visible = cli.get_subcommands().filter(|it| !it.is_hide_set());
    let nearest = text::similar(word, visible.map(clap::Command::get_name))?;
    Some(format!("waltop help {nearest}"))
}

/// The value with a sign that `error` took for an option, as it stands among `args`.
pub fn negative<'a>(error: &clap::Error, args: &'a [OsString]) -> Option<Cow<'a, str>> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    let is_number = option.strip_prefix('-')?.starts_with(|first: char| first.is_ascii_digit());
    let value = args.iter().find(|arg| arg.as_encoded_bytes().starts_with(option.as_bytes()))?;
    is_number.then(|| value.to_string_lossy())
}
