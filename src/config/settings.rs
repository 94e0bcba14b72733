//! Applies the settings file to a configuration.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::{
    Config, DaemonRule, EmbedEndpoint, Palette, Thresholds, TraceMode,
    profile::{Profile, ProfileError},
    scalar::{BaseFolders, OneOrMany, Scalar, ScalarError, Written, WrittenPath, optional},
    settings_file::{SettingsError, SettingsFile, unknown_key, unknown_value},
};
use crate::{
    keymap::{self, KEYMAP, NamedKey},
    paths,
};

/// A shorter time would be a busy loop; a longer one would miss what it watches. In ms.
const REFRESH_MS: std::ops::RangeInclusive<u128> = 100..=3_600_000;

/// Every key of the file; absent keys keep their defaults.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    databases: Vec<Spanned<WrittenPath>>,
    #[serde(deserialize_with = "optional")]
    refresh: Option<RefreshInterval>,
    profile: Option<Spanned<String>>,
    readonly: bool,
    log_file: Option<Spanned<WrittenPath>>,
    theme: Palette,
    bell: Option<bool>,
    mouse: Option<bool>,
    trace: TraceMode,
    thresholds: Thresholds,
    database: Vec<DatabaseEntry>,
    daemon: Vec<Spanned<DaemonRule>>,
    search: SearchEntry,
    keys: BTreeMap<Spanned<String>, Spanned<OneOrMany<NamedKey>>>,
}

/// `[search]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table, written [search]")]
struct SearchEntry {
    #[serde(deserialize_with = "optional")]
    embed: Option<EmbedEndpoint>,
    #[serde(deserialize_with = "optional")]
    embed_model: Option<String>,
}

/// One `[[database]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, written [[database]]")]
struct DatabaseEntry {
    path: Spanned<WrittenPath>,
    profile: Option<Spanned<String>>,
}

#[derive(Debug)]
struct RefreshInterval(Duration);

impl Scalar for RefreshInterval {
    const EXPECTED: &'static str = Duration::EXPECTED;

    fn of(written: Written<'_>) -> Result<Self, ScalarError> {
        let interval = Duration::of(written)?;
        if REFRESH_MS.contains(&interval.as_millis()) {
            Ok(Self(interval))
        } else {
            Err(ScalarError::Other("give a duration between 100ms and 1h".to_owned()))
        }
    }
}

impl Scalar for NamedKey {
    const EXPECTED: &'static str = r#"a key, such as "x""#;

    fn of(written: Written<'_>) -> Result<Self, ScalarError> {
        let Written::Text(text) = written else { return Err(ScalarError::Form) };
        Self::written(text).map_err(|error| ScalarError::Other(error.to_string()))
    }
}

/// Sets in `config` the keys that `file` sets.
pub fn apply(file: &SettingsFile, config: &mut Config, base: &BaseFolders) -> Result<(), SettingsError> {
    let settings: Settings = file.parse()?;
    config.readonly = settings.readonly;
    config.theme = settings.theme;
    config.bell = settings.bell.unwrap_or(config.bell);
    config.mouse = settings.mouse.unwrap_or(config.mouse);
    config.trace = settings.trace;
    config.thresholds = settings.thresholds;
    if let Some(RefreshInterval(interval)) = settings.refresh {
        config.refresh = interval;
    }
    config.search.embed = settings.search.embed;
    if let Some(model) = settings.search.embed_model {
        config.search.embed_model = model;
    }
    if let Some(path) = &settings.log_file {
        config.log_file = Some(absolute(file, "log_file", path, base)?);
    }
    for path in &settings.databases {
        add(database_path(file, "databases", path, base)?, config);
    }
    if let Some(name) = &settings.profile {
        config.profile = profile(file, "profile", name, config)?;
    }
    for entry in &settings.database {
        apply_database(file, entry, config, base)?;
    }
    for entry in settings.daemon {
        let at = entry.span();
        let mut rule = entry.into_inner();
        let pidfile = rule.pidfile.as_deref().map(|path| base.absolute(path)).transpose();
        rule.pidfile = pidfile.map_err(|what| file.error(at, &format!("`daemon.pidfile`: {what}")))?;
        config.daemons.push(rule);
    }
    remap(file, settings.keys, config)
}

fn apply_database(
    file: &SettingsFile,
    entry: &DatabaseEntry,
    config: &mut Config,
    base: &BaseFolders,
) -> Result<(), SettingsError> {
    let path = database_path(file, "database.path", &entry.path, base)?;
    if config.own_profiles.iter().any(|(own, _)| *own == path) {
        let what = format!("`database.path`: {} has a [[database]] already; keep one", path.display());
        return Err(file.error(entry.path.span(), &what));
    }
    let own =
        entry.profile.as_ref().map(|name| profile(file, "database.profile", name, config)).transpose()?;
    config.own_profiles.push((path.clone(), own));
    add(path, config);
    Ok(())
}

fn add(path: PathBuf, config: &mut Config) {
    if !config.databases.contains(&path) {
        config.databases.push(path);
    }
}

/// The path by which every other module knows the database. A path that cannot be resolved stays as it is; the command
/// that opens it reports the reason.
fn database_path(
    file: &SettingsFile,
    key: &str,
    written: &Spanned<WrittenPath>,
    base: &BaseFolders,
) -> Result<PathBuf, SettingsError> {
    let path = absolute(file, key, written, base)?;
    Ok(paths::canonical_or_future(&path).unwrap_or(path))
}

fn absolute(
    file: &SettingsFile,
    key: &str,
    written: &Spanned<WrittenPath>,
    base: &BaseFolders,
) -> Result<PathBuf, SettingsError> {
    let path = base.absolute(&written.get_ref().0);
    path.map_err(|what| file.error(written.span(), &format!("`{key}`: {what}")))
}

fn profile(
    file: &SettingsFile,
    key: &str,
    name: &Spanned<String>,
    config: &Config,
) -> Result<Profile, SettingsError> {
    let folder = config.places.profiles();
    Profile::named(name.get_ref(), &folder).map_err(|error| match error {
        ProfileError::File(error) => error,
        ProfileError::Unknown { name: unknown, nearest, folder } => {
            let what = unknown_value(&unknown, [nearest.as_str()]);
            let what = format!("`{key}`: {what} Your own profiles are in {}", folder.display());
            file.error(name.span(), &what)
        }
        error @ ProfileError::Taken { .. } => file.error(name.span(), &format!("`{key}`: {error}")),
    })
}

fn remap(
    file: &SettingsFile,
    keys: BTreeMap<Spanned<String>, Spanned<OneOrMany<NamedKey>>>,
    config: &mut Config,
) -> Result<(), SettingsError> {
    let mut keys: Vec<_> = keys.into_iter().collect();
    // In the order of the lines, so that the first mistake is reported.
    keys.sort_by_key(|(action, _)| action.span().start);
    let mut assigned = Vec::new();
    for (action, keys) in keys {
        let Some(binding) = keymap::named(action.get_ref()) else {
            let what = unknown_key(action.get_ref(), "keys", KEYMAP.iter().map(|it| it.name));
            return Err(file.error(action.span(), &what));
        };
        let at = keys.span();
        let keys = match keys.into_inner() {
            OneOrMany::One(key) => vec![key],
            OneOrMany::Many(keys) => keys,
        };
        let wrong = |why: String| file.error(at.clone(), &format!("`keys.{}` {why}", binding.name));
        config.keymap.assign(binding, keys).map_err(wrong)?;
        assigned.push((binding, at));
    }
    // Only now, so that two actions may swap their keys.
    for (binding, at) in assigned {
        if let Some((key, other)) = config.keymap.clash(binding) {
            let what = format!(
                "`keys.{}` cannot be {key}, the key of {}; give that one another under [keys]",
                binding.name, other.name
            );
            return Err(file.error(at, &what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::{fuzz::for_a_while, fuzz_edits::edited_text, state::places::Places};

    const ANNOTATED: &str = include_str!("../../assets/config.toml");

    fn of(text: &str) -> Result<Config, String> {
        let base = BaseFolders { home: Some("/home/me".into()), folder: "/etc/waltop".into() };
        let mut config = Config::new(Places::under(Path::new("/etc/waltop")));
        let file = SettingsFile::new(Path::new("c.toml"), text);
        apply(&file, &mut config, &base).map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn fuzz_config() {
        // Each line that sets a key on its own, and all of them together.
        let line = |line: &'static str| line.trim_start_matches(['#', ' ']);
        let lines: Vec<String> =
            ANNOTATED.lines().filter(|it| it.contains('=')).map(|it| line(it).to_owned()).collect();
        let seeds = [lines, vec![ANNOTATED.to_owned()]].concat();
        for_a_while("config", |runner| {
            runner.run(&edited_text(&seeds), |text| {
                if let Err(error) = of(&text) {
                    prop_assert!(error.starts_with("c.toml, line ") && !error.contains('\n'), "{}", error);
                }
                Ok(())
            })
        });
    }

    #[test]
    fn the_annotated_file_sets_every_default() {
        let defaults = Config::new(Places::under(Path::new("/etc/waltop")));
        let annotated = of(ANNOTATED).expect("it is in order");
        assert_eq!(format!("{annotated:?}"), format!("{defaults:?}"));
        let key = |line: &str| line.split_once(" =").map(|(key, _)| key.to_owned());
        let shown: Vec<String> = ANNOTATED.lines().filter_map(key).collect();
        for binding in KEYMAP {
            assert!(shown.iter().any(|it| it == binding.name), "assets/config.toml lacks {}", binding.name);
        }
        let thresholds = format!("{:?}", defaults.thresholds);
        for field in thresholds.split([' ', ':']).filter(|it| it.contains('_') || *it == "idle") {
            assert!(shown.iter().any(|it| it == field), "assets/config.toml lacks {field}");
        }
    }

    #[test]
    fn the_examples_of_the_annotated_file_can_be_used() {
        let is_example = |line: &&str| line.starts_with('#') && line.len() > 1 && !line.starts_with("# ");
        let examples: Vec<&str> = ANNOTATED.lines().filter(is_example).map(|line| &line[1..]).collect();
        let config = of(&examples.join("\n")).expect("they are in order");
        let database = Path::new("/home/me/queue/huey.db");
        assert_eq!(config.databases, [database]);
        assert_eq!(config.profile_of(database).name, "queue");
        assert_eq!(config.profile_of(Path::new("/home/me/notes.db")).name, "hardened");
        assert_eq!(config.daemons[0].name, "watcher");
        assert_eq!(
            config.search.embed.map(|it| it.to_string()).as_deref(),
            Some("http://127.0.0.1:11434/v1")
        );
        assert_eq!(config.log_file.as_deref(), Some(Path::new("/home/me/waltop.log")));
    }

    #[test]
    fn a_database_is_known_by_where_its_path_leads() {
        let dir = TempDir::new().expect("a folder");
        let root = dir.path().canonicalize().expect("the folder");
        fs::write(root.join("real.db"), "").expect("written");
        std::os::unix::fs::symlink("real.db", root.join("link.db")).expect("linked");
        let text =
            format!("[[database]]\npath = '{}'\nprofile = 'patient'\n", root.join("link.db").display());
        let mut config = of(&text).expect("in order");
        assert_eq!(config.profile_of(&root.join("real.db")).name, "patient");
        assert_eq!(config.profile_of(&root.join("other.db")).name, "hardened");
        let again = format!("{text}[[database]]\npath = '{}'\n", root.join("real.db").display());
        let said = of(&again).expect_err("one database");
        assert!(said.starts_with("c.toml, line 5: `database.path`: /"), "{said}");
        config.hold_all_to(Profile::hardened());
        assert_eq!(config.profile_of(&root.join("real.db")).name, "hardened");
    }

    #[test]
    fn keys_may_be_swapped_and_may_not_clash() {
        assert!(of("[keys]\nstop = 'c'\ncheckpoint = ['x', 'F9']").is_ok());
        for (text, said) in [
            ("[keys]\nstop = 'c'", "c.toml, line 2: `keys.stop` cannot be c, the key of checkpoint"),
            ("[keys]\nstop = 'K'\nfix = 'K'", "c.toml, line 2: `keys.stop` cannot be K, the key of fix"),
            ("[keys]\nquit = []", "c.toml, line 2: `keys.quit` takes at least one key"),
            ("[keys]\nstop = [\n'K',\n'KK']", "c.toml, line 4: `keys.stop`: \"KK\" is no key"),
            (
                "[keys]\nstop = 9",
                "c.toml, line 2: `keys.stop`: invalid value: integer `9`, expected a key, such as \"x\"",
            ),
            ("[keys]\nstopp = 'x'", "c.toml, line 2: unknown key `stopp` in `keys`; did you mean `stop`?"),
            ("[keys]\nstop = 'n'", "c.toml, line 2: `keys.stop` cannot be n, which says no in a dialog"),
        ] {
            let it = of(text).map_or_else(|error| error, |_| "it was taken".to_owned());
            assert!(it.starts_with(said), "{it}\n{said}");
        }
    }

    #[test]
    fn the_first_mistake_is_reported_first() {
        let said = of("theme = 'drak'\nrefresh = '0s'").map(|_| ()).expect_err("two mistakes");
        assert_eq!(said, "c.toml, line 1: `theme`: unknown value `drak`; did you mean `dark`?");
    }
}
