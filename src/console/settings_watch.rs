//! Notices that the settings were changed: a console reads them once, when it starts.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use crate::state::places::Places;

/// The most profiles that are followed.
const MOST_PROFILES: usize = 64;

/// The settings and profiles as they were at the last look.
#[derive(Debug)]
pub struct SettingsWatch {
    config: PathBuf,
    profiles: PathBuf,
    stamps: Vec<FileVersion>,
}

/// A file, with its inode, size and time of change in s and ns.
type FileVersion = (PathBuf, u64, u64, i64, i64);

impl SettingsWatch {
    /// Follows the settings at `places` from now on.
    pub fn new(places: &Places) -> Self {
        let mut watch =
            Self { config: places.config.clone(), profiles: places.profiles(), stamps: Vec::new() };
        watch.stamps = watch.look();
        watch
    }

    /// Whether a file was added, changed or removed since the last call.
    pub fn has_changed(&mut self) -> bool {
        let now = self.look();
        let has_changed = now != self.stamps;
        self.stamps = now;
        has_changed
    }

    fn look(&self) -> Vec<FileVersion> {
        let listed = fs::read_dir(&self.profiles).into_iter().flatten().flatten().take(MOST_PROFILES);
        let profiles = listed.map(|entry| entry.path());
        let is_profile = |path: &PathBuf| path.extension().is_some_and(|it| it == "toml");
        let files = profiles.filter(is_profile).chain([self.config.clone()]);
        let mut stamps: Vec<_> = files
            .filter_map(|path| {
                let file = path.metadata().ok()?;
                Some((path, file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
            })
            .collect();
        stamps.sort();
        stamps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_noticed_once() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let places = Places::under(folder.path());
        let write = |path: &PathBuf, text: &str| {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("written");
        };
        let mut watch = SettingsWatch::new(&places);
        assert!(!watch.has_changed(), "there is none");
        write(&places.config, "readonly = true\n");
        assert_eq!((watch.has_changed(), watch.has_changed()), (true, false));
        write(&places.config, "readonly = false\n");
        assert_eq!((watch.has_changed(), watch.has_changed()), (true, false));
        write(&places.profiles().join("own.toml"), "name = 'own'\n");
        write(&places.profiles().join("own.toml.swp"), "x");
        assert_eq!((watch.has_changed(), watch.has_changed()), (true, false));
        write(&places.profiles().join("own.toml.swp"), "xyz");
        assert!(!watch.has_changed(), "another program's file");
        fs::remove_file(&places.config).expect("removed");
        assert_eq!((watch.has_changed(), watch.has_changed()), (true, false));
    }
}
