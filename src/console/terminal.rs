//! Takes over the terminal for the console and restores it on every exit path.

use std::{
    io::{self, Stdout, Write},
    mem::ManuallyDrop,
    panic,
    sync::Once,
};

use crossterm::{
    cursor, event, execute,
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};
use ratatui::{Terminal, backend::CrosstermBackend};

/// The terminal in raw mode on its alternate screen, until this is dropped.
pub struct TerminalGuard {
    // Never dropped: its `Drop` shows the cursor, as `restore` does, and reports a failure with `eprintln!`, which
    // panics if the terminal is gone.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
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
            .map(|terminal| Self { terminal: ManuallyDrop::new(terminal) });
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

fn restore() {
    // The terminal may be gone; the failure cannot be reported.
    let _ = execute!(io::stdout(), event::DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
    let _ = io::stdout().flush();
}
