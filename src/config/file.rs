//! The file of settings, read into a configuration.

use std::path::{Path, PathBuf};

use super::{Config, DaemonRule, Palette, Thresholds};
use crate::{
    console::keymap::{self, KEYMAP, NamedKey},
    document::{
        Document, Error, Item, Table,
        value::{self, Base},
    },
    paths,
    profile::{self, Profile},
    text,
};

/// Less would be a busy loop, and more would no longer be watching, in ms.
const REFRESH_MS: std::ops::RangeInclusive<u128> = 100..=3_600_000;

/// Sets in `config` what stands in `document`.
pub fn read(document: &Document, config: &mut Config, base: &Base) -> Result<(), Error> {
    document.with(|table| {
        table.only(&[
            "databases",
            "refresh",
            "profile",
            "readonly",
            "theme",
            "thresholds",
            "database",
            "daemon",
            "keys",
        ])?;
        // In the order of the lines, so that the first mistake is told first.
        for (key, item) in table.items() {
            match key {
                "databases" => add_databases(&item, config, base)?,
                "refresh" => {
                    config.refresh = value::duration(&item)?;
                    if !REFRESH_MS.contains(&config.refresh.as_millis()) {
                        return Err(item.wrong("takes between 100ms and 1h"));
                    }
                }
                "profile" => config.profile = profile(&item, config)?,
                "readonly" => config.readonly = item.switch()?,
                "theme" => config.theme = item.one_of(&Palette::NAMES)?,
                "thresholds" => config.thresholds = Thresholds::read(&item.table()?)?,
                "database" => {
                    for one in item.tables()? {
                        add_database(&one, config, base)?;
                    }
                }
                "daemon" => {
                    let rules = item.tables()?;
                    config.daemons =
                        rules.iter().map(|one| DaemonRule::read(one, base)).collect::<Result<_, _>>()?;
                }
                _ => remap(&item.table()?, config)?,
            }
        }
        Ok(())
    })
}

fn add_databases(item: &Item<'_>, config: &mut Config, base: &Base) -> Result<(), Error> {
    let list = item.is_list().ok_or_else(|| item.wrong(r#"takes a list of paths, as in ["~/notes.db"]"#))?;
    for one in list {
        add(settled(&value::path(&one, base)?), config);
    }
    Ok(())
}

fn add_database(table: &Table<'_>, config: &mut Config, base: &Base) -> Result<(), Error> {
    table.only(&["path", "profile"])?;
    let item = table.need("path")?;
    let path = settled(&value::path(&item, base)?);
    if config.own_profiles.iter().any(|(own, _)| *own == path) {
        return Err(
            item.wrong(&format!("is {}, which has a [[database]] already; leave one", path.display()))
        );
    }
    let own = table.get("profile").map(|item| profile(&item, config)).transpose()?;
    config.own_profiles.push((path.clone(), own));
    add(path, config);
    Ok(())
}

fn add(path: PathBuf, config: &mut Config) {
    if !config.databases.contains(&path) {
        config.databases.push(path);
    }
}

/// As databases are known everywhere else. One that cannot be looked at keeps the name that it was given; whoever
/// looks at it says why.
fn settled(path: &Path) -> PathBuf {
    paths::settled(path).unwrap_or_else(|_| path.to_owned())
}

fn profile(item: &Item<'_>, config: &Config) -> Result<Profile, Error> {
    Profile::named(item.text()?, &config.places.profiles()).map_err(|error| match error {
        profile::Error::File(error) => error,
        profile::Error::Unknown { name, nearest, folder } => item.wrong(&format!(
            "cannot be {name}; the nearest is {nearest}, and your own lie in {}",
            folder.display()
        )),
        error @ profile::Error::Taken { .. } => item.wrong(&format!("cannot be that: {error}")),
    })
}

fn remap(table: &Table<'_>, config: &mut Config) -> Result<(), Error> {
    let mut assigned = Vec::new();
    for (name, item) in table.items() {
        let Some(binding) = keymap::named(name) else {
            let nearest = text::nearest(name, KEYMAP.iter().map(|it| it.name)).unwrap_or_default();
            return Err(item.wrong(&format!("is no action; the nearest is {nearest}")));
        };
        let keys = match item.is_list() {
            Some(list) => list.iter().map(key).collect::<Result<_, _>>()?,
            None => vec![key(&item)?],
        };
        config.keymap.assign(binding, keys).map_err(|why| item.wrong(&why))?;
        assigned.push((binding, item));
    }
    // Only now, so that two actions may swap their keys.
    for (binding, item) in assigned {
        if let Some((key, other)) = config.keymap.clash(binding) {
            let what =
                format!("cannot be {key}, the key of {}; give that one another under [keys]", other.name);
            return Err(item.wrong(&what));
        }
    }
    Ok(())
}

fn key(item: &Item<'_>) -> Result<NamedKey, Error> {
    let written = item.is_text().ok_or_else(|| item.wrong(r#"takes a key, as in "x", or a list of keys"#))?;
    NamedKey::written(written).map_err(|error| item.wrong(&format!("takes a key, and {error}")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::{config::Places, fuzz::for_a_while, fuzz_edits::edited_text};

    const ANNOTATED: &str = include_str!("../../assets/config.toml");

    fn of(text: &str) -> Result<Config, String> {
        let base = Base { home: Some("/home/me".into()), folder: "/etc/waltop".into() };
        let mut config = Config::new(Places::under(Path::new("/etc/waltop")));
        let document = Document::new(Path::new("c.toml"), text);
        read(&document, &mut config, &base).map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn fuzz_config() {
        // Each line that sets something by itself, and all of them.
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
        assert!(said.starts_with("c.toml, line 5: [[database]].path is /"), "{said}");
        config.hold_all_to(Profile::hardened());
        assert_eq!(config.profile_of(&root.join("real.db")).name, "hardened");
    }

    #[test]
    fn keys_may_be_swapped_and_may_not_clash() {
        assert!(of("[keys]\nstop = 'c'\ncheckpoint = ['x', 'F9']").is_ok());
        for (text, said) in [
            ("[keys]\nstop = 'c'", "c.toml, line 2: keys.stop cannot be c, the key of checkpoint"),
            ("[keys]\nstop = 'K'\nfix = 'K'", "c.toml, line 2: keys.stop cannot be K, the key of fix"),
            ("[keys]\nquit = []", "c.toml, line 2: keys.quit takes at least one key"),
            ("[keys]\nstop = [\n'K',\n'KK']", "c.toml, line 4: keys.stop takes a key, and \"KK\" is no key"),
            ("[keys]\nstop = 9", "c.toml, line 2: keys.stop takes a key, as in \"x\""),
            ("[keys]\nstopp = 'x'", "c.toml, line 2: keys.stopp is no action; the nearest is stop"),
            ("[keys]\nstop = 'n'", "c.toml, line 2: keys.stop cannot be n, which says no in a dialog"),
        ] {
            let it = of(text).map_or_else(|error| error, |_| "it was taken".to_owned());
            assert!(it.starts_with(said), "{it}\n{said}");
        }
    }

    #[test]
    fn the_first_mistake_is_told_first() {
        let said = of("theme = 'drak'\nrefresh = '0s'").map(|_| ()).expect_err("two mistakes");
        assert_eq!(said, "c.toml, line 1: theme cannot be drak; the nearest is dark");
    }
}
