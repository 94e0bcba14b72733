//! The signals that end a console or the keeper of a sandbox: heard, so that it can put things right first.

use std::{io, sync::Arc, time::Duration};

use rustix::process::Signal;
use tokio::{
    signal::unix::{Signal as Listener, SignalKind, signal},
    time::timeout,
};

use crate::observe::proc;

/// Hears INT, TERM and HUP from the moment it is made.
pub struct EndSignals {
    interrupt: Listener,
    terminate: Listener,
    hangup: Listener,
}

impl EndSignals {
    /// Listens from now on: none of the three ends this process by itself any more. To be called inside a runtime.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses a handler.
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

    /// One that has come already.
    pub async fn received(&mut self) -> Option<Signal> {
        timeout(Duration::from_millis(1), self.next()).await.ok()
    }
}

/// The exit code by which shells know that `signal` ended a process: 128 and its number.
pub fn exit_code(signal: Signal) -> u8 {
    u8::try_from(128 + signal.as_raw()).unwrap_or(u8::MAX)
}

/// Lets a write beyond the limit on file sizes (`ulimit -f`) fail with an error that can be told, where the signal of the
/// kernel's would end the process without a line. Programs that this one starts have their own way with that signal.
pub fn survive_file_size_limit() {
    // Where the handler is refused, the signal still ends the process.
    let _ = signal_hook::flag::register(Signal::XFSZ.as_raw(), Arc::default());
}

/// Whether this process ignores `signal`; `false` where that cannot be told.
pub fn ignores(signal: Signal) -> bool {
    proc::ignores_signal("/proc".as_ref(), signal.as_raw())
}
