//! The permit for changes, which a read-only configuration never gives.

use super::Config;

/// The permit to change something outside waltop. Its only source is a configuration that is not read-only
/// ([`Config::permit`]). Functions that send a signal or start a writing worker require one, so code that a read-only
/// waltop must not run does not compile without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit(());

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadOnly {
    #[error("nothing was changed: waltop is read-only here (--readonly, or readonly = true in config.toml)")]
    Settings,
    #[error("nothing was changed: a replay shows the past, and acts on nothing; waltop opens the console")]
    Replay,
}

impl Config {
    /// The permit to change something.
    ///
    /// # Errors
    ///
    /// The configuration is read-only.
    pub fn permit(&self) -> Result<Permit, ReadOnly> {
        if self.readonly { Err(ReadOnly::Settings) } else { Ok(Permit(())) }
    }
}
