//! Takes over the terminal for the console and restores it on every exit path.

use std::{
    io::{self, BufWriter, Stdout, Write},
    mem::ManuallyDrop,
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    cursor, event, execute,
    terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen},
};
use nix::unistd::{getpgid, getpgrp, getpid, getppid, getsid};
use ratatui::{Terminal, backend::CrosstermBackend};
use rustix::process::Signal;
use signal_hook::low_level::raise;

use crate::text;

/// A frame of a large terminal goes out in one write, so that no part of it is shown alone. Standard output by itself
/// writes each KiB.
const FRAME_BYTES: usize = 1 << 16;

/// Saves the title on the terminal's stack, and takes it back from there (XTWINOPS 22 and 23 of xterm).
const SAVE_TITLE: &str = "\x1b[22;2t";
const RESTORE_TITLE: &str = "\x1b[23;2t";

/// Reports presses, releases and the wheel (mode 1000), in decimal (1006). crossterm's own command also asks for each
/// motion of the pointer, which would wake the console for nothing.
const TAKE_MOUSE: &str = "\x1b[?1000h\x1b[?1006h";

/// Whether the terminal reports the mouse.
static HAS_MOUSE: AtomicBool = AtomicBool::new(false);

/// Whether the title of the terminal is waltop's.
static HAS_TITLE: AtomicBool = AtomicBool::new(false);

/// The terminal in raw mode on its alternate screen, until this is dropped.
pub struct TerminalGuard {
    // Never dropped: its `Drop` shows the cursor, as `restore` does, and reports a failure with `eprintln!`, which
    // panics if the terminal is gone.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<BufWriter<Stdout>>>>,
    // `None` until there is one.
    title: Option<String>,
    /// Whether the console wants the mouse whenever it has the terminal.
    wants_mouse: bool,
}

impl TerminalGuard {
    /// Takes over the terminal, and its mouse if `wants_mouse`. A panic restores it before the panic is reported.
    ///
    /// # Errors
    ///
    /// If stdout is not a terminal that can be set up.
    pub fn enter(wants_mouse: bool) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let report = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                restore();
                report(panic);
            }));
        });
        terminal::enable_raw_mode()?;
        // From here on a failure must restore the terminal.
        let screen = enter_screen(wants_mouse)
            .and_then(|()| {
                let out = BufWriter::with_capacity(FRAME_BYTES, io::stdout());
                Terminal::new(CrosstermBackend::new(out))
            })
            .map(|terminal| Self { terminal: ManuallyDrop::new(terminal), title: None, wants_mouse });
        if screen.is_err() {
            restore();
        }
        screen
    }

    /// Draws one frame.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn draw(&mut self, render: impl FnOnce(&mut ratatui::Frame)) -> io::Result<()> {
        self.terminal.draw(render).map(|_| ())
    }

    /// Draws every cell again with the next frame.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn clear(&mut self) -> io::Result<()> {
        // Not `Terminal::clear`: it asks the terminal for the cursor position, and keys may come before the answer.
        execute!(io::stdout(), Clear(ClearType::All))?;
        // The next frame is compared with a blank one.
        self.terminal.swap_buffers();
        Ok(())
    }

    /// Sets the title of the terminal to `title` with OSC 2, unless it is that already.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn set_title(&mut self, title: String) -> io::Result<()> {
        if self.title.as_ref() == Some(&title) || !has_titles() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        if !HAS_TITLE.swap(true, Ordering::AcqRel) {
            out.write_all(SAVE_TITLE.as_bytes())?;
        }
        out.write_all(title_sequence(&title).as_bytes())?;
        out.flush()?;
        self.title = Some(title);
        Ok(())
    }

    /// Takes clicks and the wheel from the terminal, or leaves the mouse to it.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn set_mouse(&mut self, wants_mouse: bool) -> io::Result<()> {
        self.wants_mouse = wants_mouse;
        if wants_mouse { take_mouse() } else { leave_mouse() }
    }

    /// Rings the bell of the terminal.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn ring() -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(b"\x07")?;
        out.flush()
    }

    /// Restores the terminal and stops this process until it is continued. Returns `false`, with nothing done, if no
    /// shell would notice the stop and continue it.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn suspend(&mut self) -> io::Result<bool> {
        if !is_job_of_shell() {
            return Ok(false);
        }
        restore();
        // The next frame sets it again.
        self.title = None;
        // Only this process: a worker of its group may hold the write lock. It goes to this thread, so it stops the
        // process before the call returns.
        raise(Signal::TSTP.as_raw())?;
        self.take_back()?;
        Ok(true)
    }

    /// Takes the terminal over again, whatever used it in between.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn take_back(&mut self) -> io::Result<()> {
        // Raw mode is only set if it is not already believed to be set.
        terminal::disable_raw_mode()?;
        terminal::enable_raw_mode()?;
        enter_screen(self.wants_mouse)?;
        self.clear()
    }

    /// Copies `text` to the terminal's clipboard with OSC 52, if the terminal allows it.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn copy(text: &str) -> io::Result<()> {
        execute!(io::stdout(), crossterm::clipboard::CopyToClipboard::to_clipboard_from(text))
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        restore();
    }
}

fn enter_screen(wants_mouse: bool) -> io::Result<()> {
    execute!(io::stdout(), EnterAlternateScreen, event::EnableBracketedPaste, cursor::Hide)?;
    if wants_mouse { take_mouse() } else { Ok(()) }
}

fn take_mouse() -> io::Result<()> {
    HAS_MOUSE.store(true, Ordering::Release);
    let mut out = io::stdout().lock();
    out.write_all(TAKE_MOUSE.as_bytes())?;
    out.flush()
}

fn leave_mouse() -> io::Result<()> {
    if HAS_MOUSE.swap(false, Ordering::AcqRel) {
        execute!(io::stdout(), event::DisableMouseCapture)?;
    }
    Ok(())
}

/// Whether this process is a job of its own, whose parent is a shell with job control.
///
/// Group and session are 0 where their leader is outside of the PID namespace. Then two sessions of number 0 are the
/// same one, as a child inherits its own from its parent.
fn is_job_of_shell() -> bool {
    let (group, parent) = (getpgrp(), getppid());
    group == getpid()
        && parent.as_raw() != 0
        && getpgid(Some(parent)).is_ok_and(|its| its != group)
        && getsid(Some(parent)).is_ok_and(|its| getsid(None) == Ok(its))
}

/// The Linux console and `TERM=dumb` have no title, and may print the sequence.
fn has_titles() -> bool {
    !text::is_dumb_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "linux")
}

fn title_sequence(title: &str) -> String {
    format!("\x1b]2;{}\x07", text::clean(title))
}

fn restore() {
    if HAS_TITLE.swap(false, Ordering::AcqRel) {
        // A terminal without a stack of titles gets an empty one.
        let title = title_sequence("") + RESTORE_TITLE;
        let _ = io::stdout().write_all(title.as_bytes());
    }
    // The terminal may be gone; the failure cannot be reported.
    let _ = leave_mouse();
    let _ = execute!(io::stdout(), event::DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
    let _ = io::stdout().flush();
}
