//! What a server may use: the databases and the folders of its command line.

use std::path::{Path, PathBuf};

use crate::text;

/// Databases or folders, by the paths that they have at the start of a server.
#[derive(Debug, Clone)]
pub struct ServedPaths {
    /// What they are; also the argument that names one.
    noun: &'static str,
    paths: Vec<PathBuf>,
}

impl ServedPaths {
    pub fn databases(paths: Vec<PathBuf>) -> Self {
        Self { noun: "database", paths }
    }

    pub fn folders(paths: Vec<PathBuf>) -> Self {
        Self { noun: "folder", paths }
    }

    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// How a client names each.
    pub(super) fn names(&self) -> Vec<String> {
        self.paths.iter().map(|path| shown(path)).collect()
    }

    /// The one that a client names, by its path or by its last part; the only one if it names none.
    ///
    /// # Errors
    ///
    /// There is none of that name, or several; the sentence lists them.
    pub(super) fn named(&self, name: Option<&str>) -> Result<&Path, String> {
        let noun = self.noun;
        let Some(name) = name else {
            return match self.paths.as_slice() {
                [only] => Ok(only),
                _ => Err(format!("which {noun}? give `{noun}`, one of: {}", self.names().join(", "))),
            };
        };
        if let Some(path) = self.paths.iter().find(|path| shown(path) == name) {
            return Ok(path);
        }
        let has_name = |path: &&PathBuf| path.file_name().is_some_and(|it| it.to_string_lossy() == name);
        let mut found = self.paths.iter().filter(has_name);
        let names = || self.names().join(", ");
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => {
                Err(format!("several {noun}s are called {name}; give the path, one of: {}", names()))
            }
            (None, _) => {
                Err(format!("this server does not serve the {noun} {name}; give one of: {}", names()))
            }
        }
    }
}

fn shown(path: &Path) -> String {
    text::clean(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(paths: &[&str]) -> ServedPaths {
        ServedPaths::databases(paths.iter().map(PathBuf::from).collect())
    }

    #[test]
    fn a_client_gets_only_what_was_named_at_the_start() {
        let one = served(&["/srv/a.db"]);
        for name in [None, Some("/srv/a.db"), Some("a.db")] {
            assert_eq!(one.named(name), Ok(Path::new("/srv/a.db")), "{name:?}");
        }
        for name in ["/srv/b.db", "b.db", "../srv/a.db", "/srv/../srv/a.db", "/etc/passwd", ""] {
            assert!(one.named(Some(name)).is_err_and(|why| why.ends_with("/srv/a.db")), "{name}");
        }
    }

    #[test]
    fn of_several_one_must_be_named_without_doubt() {
        let three = served(&["/a/x.db", "/b/x.db", "/b/y.db"]);
        assert_eq!(three.named(Some("y.db")), Ok(Path::new("/b/y.db")));
        assert_eq!(three.named(Some("/b/x.db")), Ok(Path::new("/b/x.db")));
        assert!(three.named(None).is_err_and(|why| why.contains("/a/x.db, /b/x.db, /b/y.db")));
        assert!(three.named(Some("x.db")).is_err());
        assert!(served(&[]).named(None).is_err());
    }
}
