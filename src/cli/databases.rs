//! Which databases a command uses, and whether it may use them.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use clap::CommandFactory;

use super::{Cli, habits};
use crate::{
    config::Config,
    diagnose,
    observe::{self, FolderDepth, NamedDatabases, Observer},
    paths,
    sampler::{Monitor, Sample},
    snapshot::{Database, Snapshot},
    text,
};

/// The files that `named` means, with what the user has to know about them.
pub fn named(named: &[PathBuf], recursive: bool) -> anyhow::Result<NamedDatabases> {
    let depth = if recursive { FolderDepth::Recursive } else { FolderDepth::OwnFiles };
    Ok(observe::named_databases(named, depth)?)
}

/// The file that `argument` means, which may be a `file:` URI, inspected for a command that connects to nothing.
pub fn named_from_outside(argument: &Path) -> anyhow::Result<PathBuf> {
    Ok(observe::inspect_from_outside(&named_path(argument)?)?)
}

/// The same without an inspection.
pub fn named_path(argument: &Path) -> anyhow::Result<PathBuf> {
    let mut notes = Vec::new();
    let path = observe::database_path(argument, &mut notes)?;
    print_notes(&notes);
    Ok(path)
}

/// Prints each note to stderr, since a script reads stdout.
pub fn print_notes(notes: &[String]) {
    for note in notes {
        // If stderr is closed, no one reads it.
        let _ = writeln!(io::stderr(), "waltop: note: {note}");
    }
}

/// The databases that the console watches: those named, else those of the settings, else the default one. Databases that
/// are not named on the command line need not exist yet.
pub fn console_databases(named: &[PathBuf], config: &Config) -> anyhow::Result<Vec<PathBuf>> {
    if !named.is_empty() {
        return inspected(named, observe::inspect_to_sample).map_err(|error| perhaps_a_command(named, error));
    }
    let listed = unnamed(config);
    listed
        .iter()
        .map(|path| {
            if path.exists() {
                match observe::inspect_from_outside(path) {
                    // The others continue, and this one's line gives the reason.
                    Err(_) if listed.len() > 1 => {}
                    inspected => return Ok(inspected?),
                }
            }
            // Use the name that its ingestion will have in the journal.
            match paths::canonical_or_future(path) {
                Err(_) if listed.len() > 1 => Ok(path.clone()),
                settled => settled
                    .map_err(|error| anyhow!("cannot look at {}: {error}; check the path", path.display())),
            }
        })
        .collect()
}

/// The databases to use if none is named: those of the settings, else the default one.
pub fn unnamed(config: &Config) -> &[PathBuf] {
    let listed = &config.databases;
    if listed.is_empty() { std::slice::from_ref(&config.places.default_database) } else { listed }
}

/// How to begin the missing database `path`, if its folder is there.
fn to_begin_one(path: &Path, error: anyhow::Error) -> anyhow::Error {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let word = text::shell_word(&path.to_string_lossy());
    match error.downcast_ref() {
        Some(observe::UnfitPath::Missing { nearest, path }) if folder.is_dir() => match nearest {
            Some(_) => anyhow!("{error} To begin one: waltop ingest FOLDER --db {word}"),
            None => anyhow!("no such file: {path}; to begin one: waltop ingest FOLDER --db {word}"),
        },
        _ => error,
    }
}

/// A single word that names no file was most likely meant as a command.
fn perhaps_a_command(named: &[PathBuf], error: anyhow::Error) -> anyhow::Error {
    let word = named[0].to_string_lossy();
    let is_bare = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if named[0].exists() {
        return error;
    }
    if !is_bare {
        return to_begin_one(&named[0], error);
    }
    let commands = Cli::command();
    if commands.find_subcommand(&*word).is_some() {
        return anyhow!(
            "options must follow the subcommand: `waltop {word} …`; --readonly stands before databases only"
        );
    }
    if let Some(command) = habits::command_for(&word) {
        return anyhow!("no such file or command: {word}; did you mean `waltop {command}`?");
    }
    let visible = commands.get_subcommands().filter(|it| !it.is_hide_set()).map(clap::Command::get_name);
    if let Some(command) = text::similar(&word, visible) {
        return anyhow!("no such file or command: {word}; did you mean `waltop {command}`?");
    }
    match error.downcast_ref() {
        Some(observe::UnfitPath::Missing { nearest: Some(file), .. }) => {
            anyhow!("no such file or command: {word}; did you mean {file}?")
        }
        _ => anyhow!(
            "no such file or command: {word}; name a SQLite database that exists, or see waltop --help"
        ),
    }
}

/// How a database is inspected before it is used.
type InspectDatabase = fn(&Path) -> Result<PathBuf, observe::UnfitPath>;

/// The databases of a command: those named, else those of the settings, else the default one; each inspected.
pub fn databases(named: &[PathBuf], config: &Config) -> anyhow::Result<Vec<PathBuf>> {
    databases_by(named, config, observe::inspect)
}

pub fn databases_by(
    named: &[PathBuf],
    config: &Config,
    inspect: InspectDatabase,
) -> anyhow::Result<Vec<PathBuf>> {
    if !named.is_empty() {
        return inspected(named, inspect);
    }
    let file = config.places.config.display();
    if !config.databases.is_empty() {
        return inspected(&config.databases, inspect)
            .map_err(|error| anyhow!("{error}; it is listed in {file}"));
    }
    let default = &config.places.default_database;
    if !default.exists() {
        bail!(
            "no database is named, and there is no {} yet; name one, or list it in {file}",
            default.display()
        );
    }
    inspected(std::slice::from_ref(default), inspect)
}

/// Fails if a database of `snapshot` could not be sampled, with the reason; the others have been reported by then.
pub fn refuse_unfit(snapshot: &Snapshot) -> anyhow::Result<()> {
    let unfit: Vec<&str> = snapshot.databases.iter().filter_map(|it| it.unfit.as_deref()).collect();
    match (unfit.as_slice(), snapshot.databases.len()) {
        ([], _) => Ok(()),
        ([why], 1) => bail!("{why}"),
        ([why, ..], all) => bail!("{} of {all} databases could not be sampled: {why}", unfit.len()),
    }
}

fn inspected(paths: &[PathBuf], inspect: InspectDatabase) -> anyhow::Result<Vec<PathBuf>> {
    paths.iter().map(|path| Ok(inspect(path)?)).collect()
}

/// The last of as many samples as it takes to confirm or clear the suspicions of the first: one sample if it has none.
/// All files are closed again, so that the process may connect afterwards.
pub fn diagnosed(path: &Path, config: &Config) -> anyhow::Result<Database> {
    only(&monitor(path, config).confirmed_sample())
}

/// The same, with the SQLite libraries of its processes as far as they are read in time.
pub fn diagnosed_with_libraries(path: &Path, config: &Config) -> anyhow::Result<Database> {
    let mut monitor = Monitor::new(observer(path, config), config.clone());
    monitor.wait_for_libraries(LIBRARIES_WITHIN);
    only(&monitor.confirmed_sample())
}

/// How long a command with one sample waits for the SQLite libraries of processes.
pub const LIBRARIES_WITHIN: Duration = Duration::from_millis(300);

/// One sample, diagnosed: its suspicions are not confirmed. All files are closed again, as by [`diagnosed`].
pub fn look(path: &Path, config: &Config) -> anyhow::Result<Database> {
    let observer = observer(path, config).without_libraries().without_descendants();
    only(&Monitor::new(observer, config.clone()).sample())
}

/// A monitor of the database at `path` alone, without its ingestions and the SQLite libraries of its processes.
pub fn monitor(path: &Path, config: &Config) -> Monitor {
    Monitor::new(observer(path, config).without_libraries(), config.clone())
}

fn observer(path: &Path, config: &Config) -> Observer {
    Observer::new(&config.places, vec![path.to_owned()]).without_ingestions()
}

/// The only database of `look`.
pub fn only(look: &Sample) -> anyhow::Result<Database> {
    look.snapshot.databases.first().cloned().context("nothing was sampled")
}

/// The absolute path of the database, if a connection to it loses no data now. `refusal` says what was not done.
pub fn fit(path: &Path, config: &Config, refusal: &str) -> anyhow::Result<PathBuf> {
    let path = observe::inspect(path)?;
    refuse_hazard(&diagnosed(&path, config)?, refusal)?;
    Ok(path)
}

/// Fails if a connection to `database` could lose commits. `refusal` says what was not done.
pub fn refuse_hazard(database: &Database, refusal: &str) -> anyhow::Result<()> {
    diagnose::guard::allow(database, rustix::process::geteuid().is_root())
        .map_err(|why| anyhow!("{refusal}, since data could be lost: {why}"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::state::places::Places;

    #[test]
    fn the_console_knows_a_database_that_is_not_there_yet_by_its_real_name() {
        let dir = tempfile::TempDir::new().expect("a folder");
        let root = dir.path().canonicalize().expect("the folder");
        fs::create_dir(root.join("real")).expect("a folder");
        symlink("real", root.join("link")).expect("a link");
        let default_database = root.join("link/waltop/waltop.db");
        let config = Config::new(Places { default_database, ..Places::under(&root) });
        let databases = console_databases(&[], &config).expect("it may be missing");
        assert_eq!(databases, [root.join("real/waltop/waltop.db")]);
    }
}
