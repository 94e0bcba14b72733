//! Takes over the terminal for the console and restores it on every exit path.

use std::{
    io::{self, Stdout, Write},
    mem::ManuallyDrop,
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    cursor, event, execute,
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};
use ratatui::{Terminal, backend::CrosstermBackend};

use crate::text;

/// Saves the title on the terminal's stack, and takes it back from there (XTWINOPS 22 and 23 of xterm).
const SAVE_TITLE: &str = "\x1b[22;2t";
const RESTORE_TITLE: &str = "\x1b[23;2t";

/// Whether the title of the terminal is waltop's.
static HAS_TITLE: AtomicBool = AtomicBool::new(false);

/// The terminal in raw mode on its alternate screen, until this is dropped.
pub struct TerminalGuard {
    // Never dropped: its `Drop` shows the cursor, as `restore` does, and reports a failure with `eprintln!`, which
    // panics if the terminal is gone.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
    // `None` until there is one.
    title: Option<String>,
}

impl TerminalGuard {
    /// Takes over the terminal. A panic restores it before the panic is reported.
    ///
    /// # Errors
    ///
    /// If stdout is not a terminal that can be set up.
    pub fn enter() -> io::Result<Self> {
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
        let screen = execute!(io::stdout(), EnterAlternateScreen, event::EnableBracketedPaste, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())))
            .map(|terminal| Self { terminal: ManuallyDrop::new(terminal), title: None });
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
    let _ = execute!(io::stdout(), event::DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
    let _ = io::stdout().flush();
}
