//! `waltop --version --verbose`: what a report of a bug has to say of the build.

use anyhow::Context;

use super::print_line;
use crate::database;

/// Prints the version, and how it was built.
pub fn print() -> anyhow::Result<u8> {
    let (sqlite, source) = database::sqlite_build().context("SQLite does not open a database in memory")?;
    let rows = [
        ("commit", env!("WALTOP_COMMIT")),
        ("SQLite", &format!("{sqlite} ({source})")),
        ("target", env!("WALTOP_TARGET")),
        ("profile", env!("WALTOP_PROFILE")),
        ("features", if env!("WALTOP_FEATURES").is_empty() { "none" } else { env!("WALTOP_FEATURES") }),
    ];
    print_line(concat!("waltop ", env!("CARGO_PKG_VERSION")))?;
    for (name, value) in rows {
        print_line(&format!("{:10}{value}", format!("{name}:")))?;
    }
    Ok(0)
}
