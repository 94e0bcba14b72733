//! The leave to change something, which a read-only configuration never gives.

use super::Config;

/// The leave to change something outside waltop. It comes from a configuration that is not read-only
/// ([`Config::permit`]) and from nowhere else, and whatever sends a signal or starts a worker that writes takes one:
/// what a read-only waltop must not do cannot be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit(());

/// Why there is no [`Permit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing was changed: waltop is read-only here (--readonly, or readonly = true in config.toml)")]
pub struct ReadOnly;

impl Config {
    /// The leave to change something.
    ///
    /// # Errors
    ///
    /// Where the configuration is read-only.
    pub fn permit(&self) -> Result<Permit, ReadOnly> {
        if self.readonly { Err(ReadOnly) } else { Ok(Permit(())) }
    }
}
