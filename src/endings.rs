//! The signals that end a console or the process of a sandbox: handled, so that it can clean up first.

use std::{io, sync::Arc, time::Duration};

use rustix::process::Signal;
use tokio::{
    signal::unix::{Signal as Listener, SignalKind, signal},
    time::timeout,
};

use crate::observe::proc;

/// Receives INT, TERM and HUP from its creation on.
pub struct EndSignals {
    interrupt: Listener,
    terminate: Listener,
    hangup: Listener,
}

impl EndSignals {
    /// Handles the three signals from now on: none of them ends this process by itself any more. Call it inside a
    /// runtime.
    ///
    /// # Errors
    ///
    /// The operating system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hangup.recv() => Signal::HUP,
        }
    }

    /// A signal that has already arrived.
    pub async fn received(&mut self) -> Option<Signal> {
        timeout(Duration::from_millis(1), self.next()).await.ok()
    }
}

/// The exit code that shells use for a process ended by `signal`: 128 plus its number.
pub fn exit_code(signal: Signal) -> u8 {
    u8::try_from(128 + signal.as_raw()).unwrap_or(u8::MAX)
}

/// Makes a write beyond the file size limit (`ulimit -f`) fail with an error that can be reported, instead of the
/// kernel's signal, which would end the process without a message. Child processes keep their own handling of that
/// signal.
pub fn survive_file_size_limit() {
    // If the handler is refused, the signal still ends the process.
    let _ = signal_hook::flag::register(Signal::XFSZ.as_raw(), Arc::default());
}

/// Whether this process ignores `signal`; `false` if unknown.
pub fn ignores(signal: Signal) -> bool {
    proc::ignores_signal("/proc".as_ref(), signal.as_raw())
}
