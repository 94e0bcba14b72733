//! Asks a run to stop after the current batch.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rustix::process::Signal;
use signal_hook::flag;

use crate::endings;

/// The exit code of a run that INT or TERM stopped; shells use it for INT.
const STOPPED: u8 = 130;

/// A request to stop after the current batch; all clones share one flag.
#[derive(Debug, Clone, Default)]
pub struct StopFlag {
    is_raised: Arc<AtomicBool>,
    // The last signal that raised it; 0: none.
    signal: Arc<AtomicUsize>,
}

impl StopFlag {
    pub fn raise(&self) {
        self.is_raised.store(true, Ordering::Relaxed);
    }

    pub fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Relaxed)
    }

    /// The exit code of a run that this flag stopped: 129 after HUP, else 130.
    pub fn exit_code(&self) -> u8 {
        let is_hangup = self.signal.load(Ordering::Relaxed) == number(Signal::HUP);
        if is_hangup { endings::exit_code(Signal::HUP) } else { STOPPED }
    }
}

/// A flag that INT, TERM and HUP raise from now on, instead of ending the process. A second INT or TERM ends the
/// process at once, because the next batch may never come, for example if a file system does not answer. If the process
/// was started to ignore HUP, as `nohup` does, HUP stays ignored.
///
/// The handlers set flags and need no thread, so they work even if the system refuses threads.
///
/// # Errors
///
/// The process cannot handle signals.
pub fn stop_on_signals() -> io::Result<StopFlag> {
    let stop = StopFlag::default();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        if signal == Signal::HUP {
            if endings::ignores(signal) {
                continue;
            }
        } else {
            // First, so that the signal that raises the flag does not find it raised. A shell repeats the HUP of its
            // terminal, so HUP does not count as a second request.
            let code = i32::from(endings::exit_code(signal));
            flag::register_conditional_shutdown(signal.as_raw(), code, Arc::clone(&stop.is_raised))?;
        }
        flag::register_usize(signal.as_raw(), Arc::clone(&stop.signal), number(signal))?;
        flag::register(signal.as_raw(), Arc::clone(&stop.is_raised))?;
    }
    Ok(stop)
}

fn number(signal: Signal) -> usize {
    usize::try_from(signal.as_raw()).unwrap_or_default()
}
