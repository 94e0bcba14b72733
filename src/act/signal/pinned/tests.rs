use std::{
    path::Path,
    process::{Child, Command},
};

use super::*;
use crate::{config::Config, snapshot::ProgramSample, state::places::Places};

// A process that does nothing. It is ended with its value.
struct IdleProcess(Child);

impl IdleProcess {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").spawn().expect("it starts"))
    }

    fn pin(&self, program: ExpectedProgram) -> PinnedProcess {
        pin(self.0.id().cast_signed(), program)
    }
}

impl Drop for IdleProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn permit() -> Permit {
    Config::new(Places::under("/nonexistent".as_ref())).permit().expect("it is not read-only")
}

#[test]
fn a_process_that_is_not_killed_runs_on_unless_it_was_stopped_before() {
    let idle = IdleProcess::start();
    let other = ProgramSample { executable: Some(FileId { device: 0, inode: 0 }), files: None };
    let pinned = idle.pin(ExpectedProgram::Listed(other));
    let refused = |expected| {
        let refusal = pinned.send(permit(), StopSignal::Kill).expect_err("another program is expected");
        assert!(
            matches!(&refusal, SignalRefusal::Unproven { after, .. } if *after == expected),
            "{refusal:?}"
        );
        let running = pinned.running_thread().expect("it is there");
        assert_eq!(running.is_some(), expected == AfterCheck::Continued, "{running:?}");
    };
    refused(AfterCheck::Continued);
    pinned.raw(process::Signal::STOP).expect("sent");
    while pinned.running_thread().expect("it is there").is_some() {
        thread::yield_now();
    }
    refused(AfterCheck::StillStopped);
}

#[test]
fn waiting_shows_whether_the_process_has_ended() {
    let idle = IdleProcess::start();
    let pinned = idle.pin(ExpectedProgram::AsPinned);
    assert!(!pinned.wait(Duration::ZERO));
    pinned.send(permit(), StopSignal::Kill).expect("it is the expected program");
    assert!(pinned.wait(Duration::from_mins(1)));
    assert!(pinned.wait(Duration::ZERO), "and stays so");
}

#[test]
fn a_listed_program_gets_a_signal_only_while_it_has_a_listed_file_open() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let id = FileId::of(&file.as_file().metadata().expect("it is there"));
    let stdin = std::fs::File::open(file.path()).expect("it opens");
    let idle = IdleProcess(Command::new("sleep").arg("600").stdin(stdin).spawn().expect("it starts"));
    let as_pinned = idle.pin(ExpectedProgram::AsPinned);
    let pid = as_pinned.target().pid;
    let executable = program::executable(Path::new("/proc"), pid).ok();
    let other = FileId { device: id.device, inode: u64::MAX };
    let sent = |executable, files: Option<Vec<FileId>>| {
        let pinned = idle.pin(ExpectedProgram::Listed(ProgramSample { executable, files }));
        match pinned.send(permit(), StopSignal::Cont).and_then(|_| {
            pinned
                .check()
                .map_err(|objection| objection.refusal(pid, StopSignal::Term, AfterCheck::Untouched))
        }) {
            Ok(_) => None,
            Err(SignalRefusal::Unproven { fact, .. }) => Some(fact),
            Err(other) => panic!("{other:?}"),
        }
    };
    assert!(sent(executable, Some(vec![other, id])).is_none());
    assert!(matches!(sent(executable, Some(vec![other])), Some(UnprovenProgram::NoDescriptor)));
    assert!(matches!(sent(executable, None), Some(UnprovenProgram::Unlisted("descriptors"))));
    assert!(matches!(sent(None, Some(vec![id])), Some(UnprovenProgram::Unlisted("executable"))));
    assert!(matches!(sent(Some(other), Some(vec![id])), Some(UnprovenProgram::OtherExecutable)));
}

#[test]
fn a_process_that_does_not_stop_is_not_killed_and_goes_on() {
    let idle = IdleProcess::start();
    let pinned = idle.pin(ExpectedProgram::AsPinned);
    // Its `/proc` always shows a running thread, as that of a process inside the kernel may.
    let proc = tempfile::TempDir::new().expect("a folder");
    let pid = pinned.target().pid;
    let thread = proc.path().join(format!("{pid}/task/{pid}"));
    std::fs::create_dir_all(&thread).expect("a folder");
    let stat = format!("{pid} (sleep) R 1 {}42 9 9\n", "0 ".repeat(17));
    std::fs::write(thread.join("stat"), stat).expect("a file");
    let pinned = PinnedProcess { proc: proc.path().to_owned(), ..pinned };
    let refusal = pinned.send(permit(), StopSignal::Kill).expect_err("it does not stop");
    let SignalRefusal::Unproven { fact: UnprovenProgram::NotStopped { tid, state }, after, .. } = refusal
    else {
        panic!("{refusal:?}")
    };
    assert_eq!((tid, state, after), (pid, 'R', AfterCheck::Continued));
    assert!(!pinned.wait(Duration::ZERO), "it lives");
}

// Starts `sleep 600`, and stops itself when that is stopped, as nsenter does.
const LAUNCHER: &str = "
import os, signal, subprocess
child = subprocess.Popen(['sleep', '600']).pid
while True:
    _, status = os.waitpid(child, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        break
    os.kill(os.getpid(), signal.SIGSTOP)
    os.kill(child, signal.SIGCONT)
";

// Such a launcher, which ends with its child, and the child; `None` if there is no Python.
fn launched() -> Option<(IdleProcess, i32)> {
    let mut launcher = IdleProcess(Command::new("python3").args(["-c", LAUNCHER]).spawn().ok()?);
    let proc = Path::new("/proc");
    loop {
        // Its child runs Python until it executes its own program.
        let mut children = observe::proc::children(proc, launcher.0.id().cast_signed()).into_iter();
        if let Some(child) = children.find(|child| child.name == "sleep") {
            return Some((launcher, child.pid));
        }
        assert!(launcher.0.try_wait().expect("it is our child").is_none(), "it has failed");
        thread::sleep(STOP_PAUSE);
    }
}

fn pin(pid: i32, expected: ExpectedProgram) -> PinnedProcess {
    let proc = Path::new("/proc");
    let start_ticks = observe::process_start(proc, pid).expect("it runs");
    PinnedProcess::open(SignalTarget { pid, start_ticks }, expected, proc).expect("it is pinned")
}

#[test]
fn a_launcher_that_stops_with_its_child_goes_on_and_ends_with_it() {
    let Some((mut launcher, child)) = launched() else { return };
    let pinned = pin(child, ExpectedProgram::AsPinned);
    pinned.send(permit(), StopSignal::Kill).expect("it is the expected program");
    assert!(pinned.wait(Duration::from_mins(1)));
    assert!(ends(&mut launcher), "the launcher stays stopped");
}

#[test]
fn a_launcher_goes_on_where_its_child_is_refused() {
    let Some((mut launcher, child)) = launched() else { return };
    let other = ProgramSample { executable: Some(FileId { device: 0, inode: 0 }), files: None };
    let refusal = pin(child, ExpectedProgram::Listed(other)).send(permit(), StopSignal::Kill);
    assert!(matches!(refusal, Err(SignalRefusal::Unproven { after: AfterCheck::Continued, .. })));
    let pinned = pin(child, ExpectedProgram::AsPinned);
    assert!(!pinned.wait(Duration::ZERO), "it lives");
    pinned.send(permit(), StopSignal::Term).expect("sent");
    assert!(ends(&mut launcher), "the launcher stays stopped");
}

// Whether it ends within a minute.
fn ends(process: &mut IdleProcess) -> bool {
    let deadline = Instant::now() + Duration::from_mins(1);
    while Instant::now() < deadline {
        if process.0.try_wait().expect("it is our child").is_some() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}
