//! Without pidfds no process can be pinned.

use std::{path::Path, time::Duration};

use crate::{act::RestartCommand, config::Permit};

use super::{ExpectedProgram, SentSignal, SignalRefusal, SignalTarget, StopSignal};

/// A pinned process: there is never one without pidfds.
#[derive(Debug)]
pub struct PinnedProcess(SignalTarget);

impl PinnedProcess {
    /// Refuses: without a pidfd a signal could reach another process.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn open(
        target: SignalTarget,
        _expected: ExpectedProgram,
        _proc: &Path,
    ) -> Result<Self, SignalRefusal> {
        Err(SignalRefusal::Unsupported { pid: target.pid })
    }

    pub fn target(&self) -> SignalTarget {
        self.0
    }

    /// Unknown.
    pub fn restart(&self) -> Option<RestartCommand> {
        None
    }

    /// Refuses.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn send(&self, _permit: Permit, _signal: StopSignal) -> Result<SentSignal, SignalRefusal> {
        Err(SignalRefusal::Unsupported { pid: self.0.pid })
    }

    pub fn wait(&self, _patience: Duration) -> bool {
        false
    }
}

/// No process is ever pinned here.
pub fn ended(_pinned: &[&PinnedProcess], _patience: Duration) -> Vec<usize> {
    Vec::new()
}
