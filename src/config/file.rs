//! The file of settings, read into a configuration.

use std::path::{Path, PathBuf};

use super::{
    Config, DaemonRule, Palette, Thresholds,
    document::{Document, Error, Item, Table},
    value::{self, Base},
};
use crate::{
    console::keymap::{self, KEYMAP, Key},
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
    Profile::named(item.text()?, &config.places).map_err(|error| match error {
        profile::Error::File(error) => error,
        error => item.wrong(&format!("is no profile: {error}")),
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

fn key(item: &Item<'_>) -> Result<Key, Error> {
    let written = item.is_text().ok_or_else(|| item.wrong(r#"takes a key, as in "x", or a list of keys"#))?;
    Key::written(written).map_err(|error| item.wrong(&format!("takes a key, and {error}")))
}
