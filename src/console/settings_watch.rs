//! Notices that the settings were changed: a console reads them once, when it starts.

use std::{fs, mem, path::PathBuf};

use crate::{ingest::discover::FileStamp, state::places::Places};

/// The most profiles that are followed.
const MOST_PROFILES: usize = 64;

/// The settings and profiles as they were at the last look.
#[derive(Debug)]
pub struct SettingsWatch {
    config: PathBuf,
    profiles: PathBuf,
    files: Vec<(PathBuf, FileStamp)>,
}

impl SettingsWatch {
    /// Follows the settings at `places` from now on.
    pub fn new(places: &Places) -> Self {
        let mut watch =
            Self { config: places.config.clone(), profiles: places.profiles(), files: Vec::new() };
        watch.files = watch.look();
        watch
    }

    /// Whether a file was added, changed or removed since the last call.
    pub fn has_changed(&mut self) -> bool {
        let now = self.look();
        let before = mem::replace(&mut self.files, now);
        let is_same = |((path, stamp), (other, newer)): (&(PathBuf, FileStamp), &(PathBuf, FileStamp))| {
            path == other && stamp.has_same_content(*newer)
        };
        before.len() != self.files.len() || !before.iter().zip(&self.files).all(is_same)
    }

    fn look(&self) -> Vec<(PathBuf, FileStamp)> {
        let listed = fs::read_dir(&self.profiles).into_iter().flatten().flatten().take(MOST_PROFILES);
        let profiles = listed.map(|entry| entry.path());
        let is_profile = |path: &PathBuf| path.extension().is_some_and(|it| it == "toml");
        let files = profiles.filter(is_profile).chain([self.config.clone()]);
        let stamped = |path: PathBuf| {
            let stamp = FileStamp::of(&path.metadata().ok()?);
            Some((path, stamp))
        };
        let mut files: Vec<_> = files.filter_map(stamped).collect();
        files.sort_by(|(path, _), (other, _)| path.cmp(other));
        files
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
