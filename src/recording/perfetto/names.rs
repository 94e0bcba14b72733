//! The names of the databases of a trace.

use std::{collections::HashMap, path::Path};

/// What each database is called: its file, with as many folders as distinguish it from the others.
#[derive(Debug)]
pub struct DatabaseNames {
    paths: Vec<String>,
    names: HashMap<String, String>,
}

impl DatabaseNames {
    /// Those at `paths`. More may follow.
    pub fn of(paths: &[String]) -> Self {
        Self { paths: paths.to_vec(), names: HashMap::new() }
    }

    /// The name of the one at `path`. It stays the same.
    pub fn name(&mut self, path: &str) -> String {
        if let Some(name) = self.names.get(path) {
            return name.clone();
        }
        let name = self.shortest(path);
        self.paths.push(path.to_owned());
        self.names.insert(path.to_owned(), name.clone());
        name
    }

    // The shortest end of `path` that no other one has.
    fn shortest(&self, path: &str) -> String {
        let mut ends =
            Path::new(path).ancestors().skip(1).filter_map(|it| Path::new(path).strip_prefix(it).ok());
        let others = self.paths.iter().filter(|other| *other != path);
        let is_other = |end: &&Path| !others.clone().any(|other| Path::new(other).ends_with(end));
        ends.find(is_other).map_or_else(|| path.to_owned(), |end| end.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_where_two_files_have_one_name() {
        let paths = ["/srv/a/notes.db", "/srv/b/notes.db", "/srv/b/mail.db"].map(str::to_owned);
        let mut names = DatabaseNames::of(&paths);
        let expected = ["a/notes.db", "b/notes.db", "mail.db"];
        assert_eq!(paths.each_ref().map(|path| names.name(path)), expected);
        // Later ones have other names than those before, which keep theirs.
        assert_eq!(names.name("/old/b/mail.db"), "old/b/mail.db");
        assert_eq!(names.name("/notes.db"), "/notes.db");
        assert_eq!(paths.each_ref().map(|path| names.name(path)), expected);
    }
}
