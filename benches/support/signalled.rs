//! The processes that get signals, and what came of that.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use waltop::act::signal::{SignalRefusal, UnprovenProgram};

/// The name of the program after the exec.
pub const AFTER: &str = "after";
/// Where processes are.
pub const PROC: &str = "/proc";

type Failure = Box<dyn std::error::Error>;

/// A process that is this program, and ends with its value.
pub struct Process {
    /// Its handle.
    pub child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("its output")?);
        Ok(Self { child, output })
    }

    /// Waits until it says so.
    pub fn is_ready(&mut self) -> Result<(), Failure> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line == "ready\n" { Ok(()) } else { Err("a process ended at its start".into()) }
    }

    /// Lets it execute the other program after so many µs.
    pub fn exec_in(&mut self, micros: u64) -> Result<(), Failure> {
        Ok(writeln!(self.child.stdin.as_mut().ok_or("its input")?, "{micros}")?)
    }

    /// Its process id.
    pub fn pid(&self) -> Result<i32, Failure> {
        Ok(i32::try_from(self.child.id())?)
    }

    /// The name and state that the kernel has of it.
    pub fn stat(&self) -> Result<(String, char), Failure> {
        let text = fs::read_to_string(format!("{PROC}/{}/stat", self.child.id()))?;
        let (name, rest) =
            text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") ")).ok_or("its stat")?;
        Ok((name.to_owned(), rest.chars().next().ok_or("its state")?))
    }

    /// Waits until it is the program after the exec, and neither stopped nor over.
    pub fn goes_on_after(&self) -> Result<(), Failure> {
        for _ in 0..5000 {
            let (name, state) = self.stat()?;
            if state == 'Z' {
                return Err("one that was refused has ended".into());
            }
            if name == AFTER && matches!(state, 'S' | 'R') {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err("one that was refused does not go on".into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of the signals.
#[derive(Default)]
pub struct Tally {
    /// How many there were.
    pub tries: u64,
    /// In how many the process was at the other program when the signal came, or would have come.
    pub execs: u64,
    /// Ended as the program that was listed.
    pub right: u64,
    /// Ended as the program after the exec.
    pub wrong: u64,
    /// Why the others got no signal, and how many.
    pub refused: Vec<(String, u64)>,
    /// From the last reading to the signal.
    pub windows: Vec<Duration>,
}

impl Tally {
    /// Counts a refusal.
    pub fn refuse(&mut self, refusal: &SignalRefusal) {
        let why = match refusal {
            SignalRefusal::Unproven { fact: UnprovenProgram::OtherExecutable, .. } => {
                "another executable".to_owned()
            }
            SignalRefusal::Unproven { fact: UnprovenProgram::NoDescriptor, .. } => "no descriptor".to_owned(),
            SignalRefusal::Unproven { fact: UnprovenProgram::NotStopped { .. }, .. } => {
                "did not stop".to_owned()
            }
            SignalRefusal::Unproven { fact: UnprovenProgram::Continued { .. }, .. } => {
                "went on during the check".to_owned()
            }
            SignalRefusal::Gone { .. } => "gone".to_owned(),
            SignalRefusal::Reused { .. } => "another start".to_owned(),
            other => other.to_string(),
        };
        match self.refused.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            None => self.refused.push((why, 1)),
        }
    }

    /// Prints it under the heading `what`.
    pub fn print(mut self, what: &str) {
        let refused: Vec<String> = self.refused.iter().map(|(why, count)| format!("{why} {count}")).collect();
        let execs = if self.execs > 0 { format!(", {} execs", self.execs) } else { String::new() };
        println!("{what}: {} tries{execs}", self.tries);
        println!("  reached what was listed: {}, WRONG: {}", self.right, self.wrong);
        println!("  refused: {}", refused.join(", "));
        self.windows.sort_unstable();
        if let (Some(least), Some(most)) = (self.windows.first(), self.windows.last()) {
            let at = |percent: usize| self.windows[(self.windows.len() - 1) * percent / 100];
            println!(
                "  window in µs: min {}, median {}, 99 % {}, max {}",
                least.as_micros(),
                at(50).as_micros(),
                at(99).as_micros(),
                most.as_micros()
            );
        }
    }
}
