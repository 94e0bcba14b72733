//! waltop's tables in a database that may belong to another program.
//!
//! A table of waltop's counts the applied migrations, so the host's `user_version` stays unchanged. All pending
//! migrations run in one write transaction, which checks for them again: of two processes the second finds them
//! applied.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::{
    busy::is_busy,
    holder::{BlockingProcess, write_lock_holder},
};
use crate::text::{Advised, display_as_line};

/// Counts the applied migrations.
pub const TABLE: &str = "waltop_migrations";

/// One file of `migrations/`. Everything in [`MIGRATIONS`] is released and never changes.
#[derive(Clone, Copy)]
struct Migration {
    version: i32,
    name: &'static str,
    /// SipHash-1-3 of name, version and SQL, as refinery computed it for the first databases.
    checksum: &'static str,
    sql: &'static str,
}

/// In the order of application.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "documents",
        checksum: "10192762295786834808",
        sql: include_str!("../../migrations/V1__documents.sql"),
    },
    Migration {
        version: 2,
        name: "search_segments",
        checksum: "3181361556248631795",
        sql: include_str!("../../migrations/V2__search_segments.sql"),
    },
    Migration {
        version: 3,
        name: "vectors",
        checksum: "5394459975180158257",
        sql: include_str!("../../migrations/V3__vectors.sql"),
    },
    Migration {
        version: 4,
        name: "files",
        checksum: "15335027282431487232",
        sql: include_str!("../../migrations/V4__files.sql"),
    },
    Migration {
        version: 5,
        name: "link_lines",
        checksum: "6848858765508769807",
        sql: include_str!("../../migrations/V5__link_lines.sql"),
    },
    Migration {
        version: 6,
        name: "words",
        checksum: "655113191379429189",
        sql: include_str!("../../migrations/V6__words.sql"),
    },
    Migration {
        version: 7,
        name: "sections",
        checksum: "18277501083110236518",
        sql: include_str!("../../migrations/V7__sections.sql"),
    },
];

/// Why a database was not migrated. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database has another object of the same name.
    Foreign {
        path: PathBuf,
        /// The conflicting name.
        name: String,
    },
    /// A newer waltop has migrated it.
    Newer {
        path: PathBuf,
        /// The newest migration in it.
        found: i32,
        /// The newest one that this waltop knows.
        known: i32,
    },
    /// An applied migration differs from waltop's of the same number.
    Different {
        path: PathBuf,
        version: i32,
    },
    /// Another process held the write lock for longer than the connection waits.
    Busy {
        path: PathBuf,
        /// Its holder at the end; `None` if no holder was seen.
        holder: Option<BlockingProcess>,
    },
    Apply {
        path: PathBuf,
        cause: String,
    },
}

impl Advised for MigrationError {
    fn fact(&self) -> String {
        match self {
            Self::Foreign { path, name } => {
                format!("{} has a {name} that waltop did not make", path.display())
            }
            Self::Newer { path, found, known } => {
                format!("{} has schema {found}, and this waltop knows {known}", path.display())
            }
            Self::Different { path, version } => {
                format!("{} was set up by another build of waltop (schema {version} differs)", path.display())
            }
            Self::Busy { path, holder } => {
                format!("{} is locked by another process{}", path.display(), holder_suffix(holder.as_ref()))
            }
            Self::Apply { path, cause } => {
                format!("cannot set up the tables of waltop in {}: {cause}", path.display())
            }
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Foreign { .. } | Self::Different { .. } => "use another file".to_owned(),
            Self::Newer { .. } => "use a newer waltop".to_owned(),
            Self::Busy { path, .. } => format!("see more with: waltop status {}", path.display()),
            Self::Apply { .. } => "check the file and the room on its disk".to_owned(),
        })
    }
}

display_as_line!(MigrationError);

/// What a migration did to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableChange {
    /// The tables were up to date.
    Nothing,
    /// waltop's tables were made in a new database, or changed.
    Own,
    /// waltop's first tables were added to those of another program.
    AddedToOthers,
}

/// Migrates waltop's tables in `connection`'s database. If they are up to date, it takes only a read lock.
///
/// # Errors
///
/// The database has tables or views of the same names from another program, a newer waltop has migrated it, or the
/// write lock was unavailable within the connection's busy timeout.
pub fn migrate(connection: &mut Connection) -> Result<TableChange, MigrationError> {
    migrate_by(MIGRATIONS, connection)
}

fn migrate_by(known: &[Migration], connection: &mut Connection) -> Result<TableChange, MigrationError> {
    let path = path_of(connection);
    if pending(connection, known, &path)?.is_empty() {
        return Ok(TableChange::Nothing);
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|cause| refused(&path, &cause))?;
    // Checked again now that no other process can write.
    let pending = pending(&transaction, known, &path)?;
    if pending.is_empty() {
        return Ok(TableChange::Nothing);
    }
    let names = names(&transaction).map_err(|cause| refused(&path, &cause))?;
    apply_all(&pending, &transaction).map_err(|cause| apply(&path, &cause))?;
    transaction.commit().map_err(|cause| refused(&path, &cause))?;
    let is_of_others = !names.is_empty() && !names.contains(TABLE);
    Ok(if is_of_others { TableChange::AddedToOthers } else { TableChange::Own })
}

fn apply_all(migrations: &[Migration], transaction: &Connection) -> rusqlite::Result<()> {
    // The SQL of refinery, which created this table in the first databases.
    transaction.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {TABLE}(
             version int4 PRIMARY KEY,
             name VARCHAR(255),
             applied_on VARCHAR(255),
             checksum VARCHAR(255));"
    ))?;
    let record = format!("INSERT INTO {TABLE} (version, name, applied_on, checksum) VALUES (?1, ?2, ?3, ?4)");
    for Migration { version, name, checksum, sql } in migrations {
        transaction.execute_batch(sql)?;
        transaction.execute(&record, (version, name, Timestamp::now().to_string(), checksum))?;
    }
    Ok(())
}

/// Refuses a database that [`migrate`] would refuse, before anything in it changes.
///
/// # Errors
///
/// As [`migrate`].
pub fn refuse_foreign(connection: &Connection, path: &Path) -> Result<(), MigrationError> {
    pending(connection, MIGRATIONS, path).map(drop)
}

// The pending migrations. One statement reads the names, and the next the count, so a migration that commits in between
// can only make the list shorter.
fn pending(
    connection: &Connection,
    known: &[Migration],
    path: &Path,
) -> Result<Vec<Migration>, MigrationError> {
    let say = |cause: rusqlite::Error| refused(path, &cause);
    let names = names(connection).map_err(say)?;
    let applied = match names.contains(TABLE).then(|| applied(connection)) {
        None => Vec::new(),
        Some(Ok(applied)) => applied,
        Some(Err(cause)) if is_other_shape(&cause) => {
            return Err(MigrationError::Foreign { path: path.to_owned(), name: TABLE.to_owned() });
        }
        Some(Err(cause)) => return Err(say(cause)),
    };
    for record in &applied {
        let Some(migration) = known.iter().find(|it| it.version == record.version) else {
            let known = known.iter().map(|it| it.version).max().unwrap_or_default();
            return Err(MigrationError::Newer { path: path.to_owned(), found: record.version, known });
        };
        if !record.is(migration) {
            return Err(MigrationError::Different { path: path.to_owned(), version: record.version });
        }
    }
    let (done, pending): (Vec<Migration>, Vec<Migration>) =
        known.iter().copied().partition(|it| applied.iter().any(|record| record.version == it.version));
    if !pending.is_empty() {
        let taken = names_made_by(&done, &pending).map_err(say)?.into_iter().find(|it| names.contains(it));
        if let Some(name) = taken {
            return Err(MigrationError::Foreign { path: path.to_owned(), name });
        }
    }
    Ok(pending)
}

// What `pending` creates on top of `done`, shadow tables and triggers included: tried in memory, because only SQLite
// knows.
fn names_made_by(done: &[Migration], pending: &[Migration]) -> rusqlite::Result<BTreeSet<String>> {
    let trial = Connection::open_in_memory()?;
    let apply_all = |migrations: &[Migration]| -> rusqlite::Result<BTreeSet<String>> {
        for migration in migrations {
            trial.execute_batch(migration.sql)?;
        }
        names(&trial)
    };
    let before = apply_all(done)?;
    let after = apply_all(pending)?;
    Ok(after.difference(&before).cloned().collect())
}

// Names are compared case-insensitively, as SQLite does. Automatic indexes are named after their tables and can't
// clash.
fn names(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let sql = "SELECT lower(name) FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

// One row of the table of applied migrations.
struct AppliedMigration {
    version: i32,
    name: String,
    checksum: String,
}

impl AppliedMigration {
    fn is(&self, migration: &Migration) -> bool {
        self.version == migration.version
            && self.name == migration.name
            && self.checksum == migration.checksum
    }
}

fn applied(connection: &Connection) -> rusqlite::Result<Vec<AppliedMigration>> {
    let sql = format!("SELECT version, name, checksum FROM {TABLE} ORDER BY version DESC");
    let record = |row: &rusqlite::Row<'_>| {
        Ok(AppliedMigration { version: row.get(0)?, name: row.get(1)?, checksum: row.get(2)? })
    };
    connection.prepare(&sql)?.query_map([], record)?.collect()
}

// A missing column is SQLite's general error; rusqlite itself reports a value of another type, without a code.
fn is_other_shape(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code().is_none_or(|code| code == ErrorCode::Unknown)
}

fn path_of(connection: &Connection) -> PathBuf {
    PathBuf::from(connection.path().unwrap_or_default())
}

fn refused(path: &Path, cause: &rusqlite::Error) -> MigrationError {
    if !is_busy(cause) {
        return apply(path, cause);
    }
    // Not the configurable `/proc`: this is about a connection of this very process, and real locks.
    let main = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    MigrationError::Busy { path: path.to_owned(), holder: write_lock_holder(&main, Path::new("/proc")) }
}

fn holder_suffix(holder: Option<&BlockingProcess>) -> String {
    holder.map(|holder| format!(": {holder} has the write lock")).unwrap_or_default()
}

fn apply(path: &Path, cause: &dyn std::error::Error) -> MigrationError {
    MigrationError::Apply { path: path.to_owned(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        hash::{DefaultHasher, Hash, Hasher},
    };

    use super::*;

    /// Succeeds in an empty database; with two documents of a kind only its first part does.
    const FAILS: &str = "CREATE TABLE fresh (x);
        UPDATE nodes SET title = 'lost';
        CREATE UNIQUE INDEX one_of_a_kind ON nodes (kind);";

    #[test]
    fn every_file_is_listed_and_none_has_changed_since_it_was() {
        let mut files: Vec<String> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let listed = MIGRATIONS.iter().map(|it| format!("V{}__{}.sql", it.version, it.name));
        assert_eq!(files, listed.collect::<Vec<_>>());
        assert!(MIGRATIONS.iter().map(|it| it.version).eq(1..=7), "they are applied in this order");
        for migration in MIGRATIONS {
            // SipHash-1-3 without keys; if std changes its hasher, use the crate `siphasher` here.
            let mut hasher = DefaultHasher::new();
            (migration.name, migration.version, migration.sql).hash(&mut hasher);
            assert_eq!(hasher.finish().to_string(), migration.checksum, "{}", migration.name);
        }
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was_byte_for_byte() {
        let folder = tempfile::TempDir::new().expect("a folder");
        for mode in ["wal", "delete"] {
            let path = folder.path().join(format!("{mode}.db"));
            let open = || Connection::open(&path).expect("a connection");
            let mut connection = open();
            connection.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(())).expect("a mode");
            migrate(&mut connection).expect("the tables");
            for document in ["a", "b"] {
                let sql =
                    "INSERT INTO nodes VALUES (NULL, ?1, '', ?1, 'note', 1, 1, x'00', '', NULL, ?1, ?1, '')";
                connection.execute(sql, [document]).expect("a document");
            }
            connection.close().expect("closed");
            let before = fs::read(&path).expect("the file");

            let failing = Migration { version: 9999, name: "fails", checksum: "1", sql: FAILS };
            let migrations: Vec<_> = MIGRATIONS.iter().copied().chain([failing]).collect();
            let mut connection = open();
            let error = migrate_by(&migrations, &mut connection).expect_err("it fails");
            assert!(matches!(error, MigrationError::Apply { .. }), "{error}");
            assert!(error.to_string().starts_with("cannot set up the tables of waltop in "), "{error}");
            connection.close().expect("closed");
            assert!(fs::read(&path).expect("the file") == before, "{mode}: a byte has changed");
            let files = fs::read_dir(folder.path()).expect("the folder").count();
            assert_eq!(files, if mode == "wal" { 1 } else { 2 }, "{mode}: a file was left");
            migrate(&mut open()).expect("and it is still in order");
        }
    }
}
