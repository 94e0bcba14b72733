//! A real pseudo-terminal with the program in it, and a screen that can be read.

use std::{
    io::{Read, Write},
    num::NonZero,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;

use crate::support::{Actor, WALTOP, eventually};

/// What a terminal does beside its screen.
#[derive(Default)]
pub struct TerminalEvents {
    /// The titles that it got, the last one last.
    pub titles: Vec<String>,
    pub bells: usize,
    /// Titles on its stack.
    pub saved_titles: usize,
}

impl vt100::Callbacks for TerminalEvents {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.bells += 1;
    }

    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.titles.push(String::from_utf8_lossy(title).into_owned());
    }

    fn unhandled_csi(
        &mut self,
        _: &mut vt100::Screen,
        _: Option<u8>,
        _: Option<u8>,
        params: &[&[u16]],
        letter: char,
    ) {
        match (params, letter) {
            ([[22], [2]], 't') => self.saved_titles += 1,
            ([[23], [2]], 't') => self.saved_titles -= 1,
            _ => {}
        }
    }
}

/// The program in a terminal. It ends with its value.
pub struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser<TerminalEvents>>>,
    child: Box<dyn Child + Send + Sync>,
    modes: String,
}

impl Terminal {
    /// `waltop ARGS…` in a terminal of that many columns and rows, with `home` for all that it keeps.
    pub fn open(home: &Path, args: &[&str], size: (u16, u16)) -> Self {
        Self::open_with(home, args, size, &[])
    }

    /// The same with more in its environment.
    pub fn open_with(home: &Path, args: &[&str], size: (u16, u16), environment: &[(&str, &str)]) -> Self {
        Self::run(home, WALTOP, args, size, environment)
    }

    /// The same for a shell with job control, which runs `script`.
    pub fn shell(home: &Path, script: &str, size: (u16, u16)) -> Self {
        Self::run(home, "sh", &["-c", &format!("set -m; {script}")], size, &[])
    }

    /// The same for a shell without job control, which `launcher` starts.
    pub fn launched(launcher: &[&str], home: &Path, script: &str, size: (u16, u16)) -> Self {
        let args: Vec<_> = launcher[1..].iter().copied().chain(["sh", "-c", script]).collect();
        Self::run(home, launcher[0], &args, size, &[])
    }

    fn run(
        home: &Path,
        program: &str,
        args: &[&str],
        (cols, rows): (u16, u16),
        environment: &[(&str, &str)],
    ) -> Self {
        let pair = native_pty_system().openpty(size(cols, rows)).expect("a pseudo-terminal");
        let modes = modes(&*pair.master);
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.cwd(home);
        command.env("XDG_STATE_HOME", home.join("state"));
        command.env("XDG_DATA_HOME", home.join("data"));
        command.env("XDG_CONFIG_HOME", home.join("config"));
        command.env("TERM", "xterm-256color");
        command.env("TMPDIR", home);
        command.env("TZ", "UTC");
        command.env("LC_ALL", "C.UTF-8");
        command.env_remove("NO_COLOR");
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).expect("the program starts");
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new_with_callbacks(
            cells(rows),
            cells(cols),
            0,
            TerminalEvents::default(),
        )));
        let mut output = pair.master.try_clone_reader().expect("its output");
        let sink = Arc::clone(&screen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).process(&buffer[..count]);
            }
        });
        let keyboard = pair.master.take_writer().expect("its input");
        Self { master: pair.master, keyboard, screen, child, modes }
    }

    pub fn pid(&self) -> i32 {
        self.child.process_id().and_then(|pid| i32::try_from(pid).ok()).expect("it was started")
    }

    pub fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("it reads");
        self.keyboard.flush().expect("it reads");
    }

    /// What another program writes on the same screen.
    pub fn scribble(&self, text: &str) {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).process(text.as_bytes());
    }

    pub fn resize(&self, cols: u16, rows: u16) {
        self.screen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .screen_mut()
            .set_size(cells(rows), cells(cols));
        self.master.resize(size(cols, rows)).expect("it can be resized");
    }

    pub fn text(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().contents()
    }

    /// What it did beside its screen so far.
    pub fn events<T>(&self, read: impl FnOnce(&TerminalEvents) -> T) -> T {
        read(self.screen.lock().unwrap_or_else(PoisonError::into_inner).callbacks())
    }

    /// Whether it reports the mouse to the program.
    pub fn reports_mouse(&self) -> bool {
        let parser = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        parser.screen().mouse_protocol_mode() != vt100::MouseProtocolMode::None
    }

    /// The colours of what stands on the screen, each once.
    pub fn colours(&self) -> Vec<vt100::Color> {
        let parser = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        let screen = parser.screen();
        let (rows, cols) = screen.size();
        let (rows, cols) = (rows.get(), cols.get());
        let cells = (0..rows).flat_map(|row| (0..cols).filter_map(move |col| screen.cell(row, col)));
        let mut colours = Vec::new();
        for colour in
            cells.filter(|cell| cell.has_contents()).flat_map(|cell| [cell.fgcolor(), cell.bgcolor()])
        {
            if colour != vt100::Color::Default && !colours.contains(&colour) {
                colours.push(colour);
            }
        }
        colours
    }

    /// The rows of the screen that are written in bold from their first cell on.
    pub fn bold_rows(&self) -> Vec<String> {
        let parser = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        let screen = parser.screen();
        let (_, cols) = screen.size();
        let is_bold = |row: &usize| {
            let row = u16::try_from(*row).expect("a row of the screen");
            screen.cell(row, 0).is_some_and(vt100::Cell::bold)
        };
        let rows: Vec<String> = screen.rows(0, cols.into()).collect();
        (0..rows.len()).filter(is_bold).map(|row| rows[row].clone()).collect()
    }

    /// Waits until `text` stands on the screen.
    pub fn shows(&self, text: &str) {
        let mut last = String::new();
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(text, || {
                last = self.text();
                last.contains(text).then_some(())
            });
        }));
        assert!(shown.is_ok(), "the screen never showed {text:?}, but:\n{last}");
    }

    /// Waits until `text` stands on the screen no more.
    pub fn shows_no_more(&self, text: &str) {
        eventually(text, || (!self.text().contains(text)).then_some(()));
    }

    /// Waits for its end; the exit code.
    pub fn end(&mut self) -> u32 {
        eventually("the program ends", || self.child.try_wait().expect("it can be waited for")).exit_code()
    }

    /// Holds the terminal to what it was before the program took it.
    pub fn assert_restored(&self) {
        eventually("the last of the output arrives", || {
            let parser = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
            let screen = parser.screen();
            let has_mouse = screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None;
            let restored = !screen.alternate_screen()
                && !screen.hide_cursor()
                && !screen.bracketed_paste()
                && !has_mouse;
            let events = parser.callbacks();
            let has_title = events.saved_titles > 0 || events.titles.last().is_some_and(|it| !it.is_empty());
            (restored && !has_title).then_some(())
        });
        assert_eq!(modes(&*self.master), self.modes, "cooked mode is back");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder for all that one test's programs keep.
pub fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A database in WAL mode in `home`, by its path, and its writer.
pub fn database(home: &Path) -> (String, Actor) {
    let path = home.join("notes.db");
    let mut writer = Actor::open(&path);
    writer.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)").sql("INSERT INTO t VALUES (1)");
    (path.display().to_string(), writer)
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a terminal has cells")
}

fn modes(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios())
}
