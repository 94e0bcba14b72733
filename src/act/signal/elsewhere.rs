//! Without a pidfd nothing is pinned.

use std::{path::Path, time::Duration};

use crate::config::Permit;

use super::{ExpectedProgram, Refusal, Sent, Signal, Target};

/// A process that is held on to: never, where there is no pidfd.
#[derive(Debug)]
pub struct Pinned(Target);

impl Pinned {
    /// Refuses: without a pidfd a signal could reach another process.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn open(target: Target, _expected: ExpectedProgram, _proc: &Path) -> Result<Self, Refusal> {
        Err(Refusal::Unsupported { pid: target.pid })
    }

    /// The process that is held.
    #[must_use]
    pub fn target(&self) -> Target {
        self.0
    }

    /// Refuses.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn send(&self, _permit: Permit, _signal: Signal) -> Result<Sent, Refusal> {
        Err(Refusal::Unsupported { pid: self.0.pid })
    }

    /// Nothing to wait for.
    #[must_use]
    pub fn wait(&self, _patience: Duration) -> bool {
        false
    }
}

/// Nothing ever is pinned here.
#[must_use]
pub fn ended(_pinned: &[&Pinned], _patience: Duration) -> Vec<usize> {
    Vec::new()
}
