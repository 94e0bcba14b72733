//! A program in a pseudo-terminal, and what it costs.

use std::{fs, io::Read, path::Path, thread, time::Duration};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

pub const COLUMNS: u16 = 120;
pub const ROWS: u16 = 40;

type Failure = Box<dyn std::error::Error>;

/// A program in a terminal, whose output nobody looks at. It ends with this value.
pub struct Program {
    child: Box<dyn portable_pty::Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
}

impl Program {
    /// Starts `command` with `home` for all that it keeps.
    pub fn start(mut command: CommandBuilder, home: &Path) -> Result<Self, Failure> {
        let size = PtySize { rows: ROWS, cols: COLUMNS, ..PtySize::default() };
        let pair = native_pty_system().openpty(size)?;
        let mut output = pair.master.try_clone_reader()?;
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(1..) = output.read(&mut buffer) {}
        });
        command.cwd(home);
        for (name, folder) in
            [("XDG_STATE_HOME", "state"), ("XDG_DATA_HOME", "data"), ("XDG_CONFIG_HOME", "config")]
        {
            command.env(name, home.join(folder));
        }
        command.env("TERM", "xterm-256color");
        Ok(Self { child: pair.slave.spawn_command(command)?, _master: pair.master })
    }

    /// CPU time so far, that of its ended workers included.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        // proc_pid_stat(5): fields 14 to 17, in ticks of 10 ms; the name before them may hold anything.
        let stat = fs::read_to_string(self.proc("stat")?)?;
        let (_, fields) = stat.rsplit_once(')').ok_or("no name")?;
        let ticks = fields.split_whitespace().skip(11).take(4).map(str::parse::<u64>);
        Ok(Duration::from_millis(ticks.sum::<Result<u64, _>>()? * 10))
    }

    /// Resident memory in MB.
    pub fn memory(&self) -> Result<f64, Failure> {
        let status = fs::read_to_string(self.proc("status")?)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no memory")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1.024 / 1000.0)
    }

    fn proc(&self, file: &str) -> Result<String, Failure> {
        Ok(format!("/proc/{}/{file}", self.child.process_id().ok_or("it has ended")?))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
