//! The SQLite that a process has mapped: a shared library, or a program with SQLite built in.

use std::{fmt, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A SQLite library of a process, as the file that the process has mapped shows it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SqliteLibrary {
    /// As in `3.40.1`.
    pub version: String,
    /// Date and hash of its source, as `sqlite_source_id()` reports it. One that ends in `alt` and a digit or letters
    /// belongs to edited source.
    pub source_id: String,
    /// The library or program, as the kernel names it in that process.
    pub library: String,
    /// Whether that file was deleted or replaced since the process mapped it.
    pub replaced: bool,
    /// Whether the process is in another mount namespace than waltop, as in a container, or its namespace is not visible:
    /// the path and what brings the library are of that one.
    #[serde(default)]
    pub in_other_namespace: bool,
}

/// Releases with a correction of the WAL-reset bug on older branches, by minor number
/// (<https://www.sqlite.org/wal.html#the_wal_reset_bug>).
const CORRECTED: [(u32, u32); 3] = [(44, 6), (50, 7), (51, 3)];
/// The minor numbers of the first and the last release with the bug.
const AFFECTED: std::ops::RangeInclusive<u32> = 7..=51;

impl SqliteLibrary {
    /// Whether a release of this version number has the WAL-reset bug; `None` if the number cannot be read. A
    /// distribution may have corrected it without another number.
    pub fn has_wal_reset_bug(&self) -> Option<bool> {
        let mut numbers = self.version.split('.').map(str::parse);
        let (Some(Ok(3)), Some(Ok(minor)), Some(Ok(patch))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return None;
        };
        let is_corrected = CORRECTED.iter().any(|&(branch, first)| minor == branch && patch >= first);
        Some(AFFECTED.contains(&minor) && !is_corrected)
    }

    /// Whether its source was edited after its check-in, as distributions do to correct it: the last four characters of
    /// the hash then are no part of it (`mksourceid` of SQLite).
    pub fn is_edited(&self) -> bool {
        self.source_id.get(self.source_id.len().saturating_sub(4)..).is_some_and(|end| end.starts_with("alt"))
    }

    /// What brings the library, by its path.
    pub fn carrier(&self) -> SqliteCarrier {
        let path = Path::new(&self.library);
        let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
        let name = parts.last().copied().unwrap_or_default();
        let after = |folder: &str| {
            let at = parts.iter().rposition(|part| *part == folder)?;
            parts.get(at + 1).copied().filter(|_| at + 2 <= parts.len())
        };
        if let Some(package) = after("site-packages") {
            return python_package(package);
        }
        if let Some(package) = after("node_modules") {
            let scoped = package.starts_with('@').then(|| after(package)).flatten();
            let name = scoped.map_or_else(|| package.to_owned(), |name| format!("{package}/{name}"));
            let is_nested = parts.iter().filter(|part| **part == "node_modules").count() > 1;
            return SqliteCarrier::NodePackage { name, is_nested };
        }
        match name {
            "node" | "nodejs" => return SqliteCarrier::Node,
            "bun" => return SqliteCarrier::Bun,
            "deno" => return SqliteCarrier::Deno,
            _ => {}
        }
        if name.starts_with("libpython") || is_python(name) {
            return SqliteCarrier::Python;
        }
        if !name.contains(".so") {
            return SqliteCarrier::Program;
        }
        let is_of_system = parts.iter().any(|part| part.ends_with("-linux-gnu")) && is_below_lib(&parts);
        if is_of_system && name.starts_with("libsqlite3.so") {
            SqliteCarrier::DebianPackage
        } else if is_below_lib(&parts) {
            SqliteCarrier::Distribution
        } else {
            SqliteCarrier::Library
        }
    }
}

// `/lib`, `/usr/lib`, and their 64-bit twins: packages of the system.
fn is_below_lib(parts: &[&str]) -> bool {
    let below = parts.strip_prefix(&["/"]).unwrap_or(parts);
    let below = below.strip_prefix(&["usr"]).unwrap_or(below);
    below.first().is_some_and(|folder| matches!(*folder, "lib" | "lib64"))
}

// `python3.12`, and not `python3-config`.
fn is_python(name: &str) -> bool {
    name.strip_prefix("python").is_some_and(|rest| rest.chars().all(|it| it.is_ascii_digit() || it == '.'))
}

// The entry of `site-packages`: the folder with the bundled libraries of a wheel (`NAME.libs`, as auditwheel names it), or
// a module (`NAME`, `NAME.cpython-312-x86_64-linux-gnu.so`). A module may have another name than its package.
fn python_package(entry: &str) -> SqliteCarrier {
    match entry.strip_suffix(".libs") {
        Some(package) => SqliteCarrier::Wheel(package.to_owned()),
        None => SqliteCarrier::PythonModule(entry.split('.').next().unwrap_or(entry).to_owned()),
    }
}

impl fmt::Display for SqliteLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.version, self.library)?;
        f.write_str(if self.replaced { ", replaced since it started)" } else { ")" })
    }
}

/// What brings a SQLite library, so that it says how to get another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqliteCarrier {
    /// `libsqlite3-0` of Debian, Ubuntu and what derives from them.
    DebianPackage,
    /// A package of another distribution.
    Distribution,
    /// A Python package with its own library, by the name of the package.
    Wheel(String),
    /// A module of a Python package of which the name is not known.
    PythonModule(String),
    /// An addon of Node.js.
    NodePackage {
        name: String,
        /// Whether another package brings it, so that installing it does not replace it.
        is_nested: bool,
    },
    Node,
    Bun,
    Deno,
    /// A Python with SQLite built in.
    Python,
    /// Another program with SQLite built in.
    Program,
    /// Another shared library.
    Library,
}

impl SqliteCarrier {
    /// The command that updates it, if one is known.
    pub fn update(&self) -> Option<String> {
        Some(match self {
            Self::DebianPackage => "apt-get install --only-upgrade libsqlite3-0".to_owned(),
            Self::Wheel(package) => format!("pip install --upgrade {}", crate::text::shell_word(package)),
            Self::NodePackage { name, is_nested: false } => {
                format!("npm install {}", crate::text::shell_word(&format!("{name}@latest")))
            }
            Self::Bun => "bun upgrade".to_owned(),
            Self::Deno => "deno upgrade".to_owned(),
            Self::PythonModule(_)
            | Self::NodePackage { is_nested: true, .. }
            | Self::Distribution
            | Self::Node
            | Self::Python
            | Self::Program
            | Self::Library => return None,
        })
    }

    /// Whether it is a package of a distribution, which may correct its source without another version number.
    pub fn is_of_distribution(&self) -> bool {
        matches!(self, Self::DebianPackage | Self::Distribution)
    }
}

impl fmt::Display for SqliteCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DebianPackage => f.write_str("the package libsqlite3-0"),
            Self::Distribution => f.write_str("the distribution's package of SQLite"),
            Self::Wheel(package) => write!(f, "the Python package {package}"),
            Self::PythonModule(module) => write!(f, "the Python module {module}"),
            Self::NodePackage { name, .. } => write!(f, "the npm package {name}"),
            Self::Node => f.write_str("Node.js, which has SQLite built in"),
            Self::Bun => f.write_str("Bun, which has SQLite built in"),
            Self::Deno => f.write_str("Deno, which has SQLite built in"),
            Self::Python => f.write_str("this Python, which has SQLite built in"),
            Self::Program => f.write_str("this program, which has SQLite built in"),
            Self::Library => f.write_str("this library"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(version: &str, path: &str) -> SqliteLibrary {
        SqliteLibrary {
            version: version.to_owned(),
            source_id: String::new(),
            library: path.to_owned(),
            replaced: false,
            in_other_namespace: false,
        }
    }

    #[test]
    fn the_bug_is_in_all_releases_before_the_corrected_one_of_their_branch() {
        for (version, expected) in [
            ("3.6.23", Some(false)),
            ("3.7.0", Some(true)),
            ("3.40.1", Some(true)),
            ("3.44.5", Some(true)),
            ("3.44.6", Some(false)),
            ("3.45.3", Some(true)),
            ("3.49.2", Some(true)),
            ("3.50.6", Some(true)),
            ("3.50.7", Some(false)),
            ("3.51.2", Some(true)),
            ("3.51.3", Some(false)),
            ("3.52.0", Some(false)),
            ("3.53.1", Some(false)),
            ("3.51", None),
            ("4.1.0", None),
        ] {
            assert_eq!(library(version, "").has_wal_reset_bug(), expected, "{version}");
        }
    }

    #[test]
    fn edited_source_has_another_end_than_its_hash() {
        let hash = "8aa295d9a2b0f1e2";
        for (end, expected) in [("", false), ("alt1", true), ("altb", true)] {
            let source_id = format!("2022-12-28 14:03:47 {hash}{end}");
            assert_eq!(SqliteLibrary { source_id, ..library("3.40.1", "") }.is_edited(), expected, "{end}");
        }
        assert!(!library("3.40.1", "").is_edited());
    }

    #[test]
    fn a_path_names_what_brings_the_library() {
        let wheel = |name: &str| SqliteCarrier::Wheel(name.to_owned());
        let module = |name: &str| SqliteCarrier::PythonModule(name.to_owned());
        let node = |name: &str, is_nested| SqliteCarrier::NodePackage { name: name.to_owned(), is_nested };
        for (path, expected) in [
            ("/usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6", SqliteCarrier::DebianPackage),
            ("/lib/aarch64-linux-gnu/libsqlite3.so.0", SqliteCarrier::DebianPackage),
            ("/usr/lib64/libsqlite3.so.3.49.1", SqliteCarrier::Distribution),
            ("/usr/lib/x86_64-linux-gnu/libwebkit.so.4", SqliteCarrier::Distribution),
            (
                "/srv/venv/lib/python3.11/site-packages/apsw/__init__.cpython-311-x86_64-linux-gnu.so",
                module("apsw"),
            ),
            ("/v/site-packages/pysqlite3/_sqlite3.cpython-311-x86_64-linux-gnu.so", module("pysqlite3")),
            ("/v/site-packages/rasterio.libs/libsqlite3-5a.so.0", wheel("rasterio")),
            ("/v/site-packages/apsw.cpython-38.so", module("apsw")),
            (
                "/app/node_modules/better-sqlite3/build/Release/better_sqlite3.node",
                node("better-sqlite3", false),
            ),
            ("/a/node_modules/@libsql/linux-x64-gnu/index.node", node("@libsql/linux-x64-gnu", false)),
            ("/a/node_modules/knex/node_modules/sqlite3/b.node", node("sqlite3", true)),
            ("/usr/bin/node", SqliteCarrier::Node),
            ("/root/.bun/bin/bun", SqliteCarrier::Bun),
            ("/usr/bin/deno", SqliteCarrier::Deno),
            ("/opt/python/lib/libpython3.13.so.1.0", SqliteCarrier::Python),
            ("/opt/bin/python3.12", SqliteCarrier::Python),
            ("/usr/bin/waltop", SqliteCarrier::Program),
            ("/opt/app/libcore.so", SqliteCarrier::Library),
        ] {
            assert_eq!(library("3.40.1", path).carrier(), expected, "{path}");
        }
        let update = |path| library("3.40.1", path).carrier().update();
        let wheel = "/v/site-packages/rasterio.libs/libsqlite3-5a.so.0";
        assert_eq!(update(wheel).as_deref(), Some("pip install --upgrade rasterio"));
        assert_eq!(update("/v/site-packages/pysqlite3/_sqlite3.so"), None, "pysqlite3-binary has it, too");
        let npm = "npm install better-sqlite3@latest";
        assert_eq!(update("/app/node_modules/better-sqlite3/b.node").as_deref(), Some(npm));
        assert_eq!(update("/a/node_modules/knex/node_modules/sqlite3/b.node"), None);
        assert_eq!(update("/usr/bin/node"), None);
    }
}
