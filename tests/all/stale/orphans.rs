//! Processes whose parent has died.

use super::*;

/// A process that nobody waits for. It ends with its value.
struct Forgotten(rustix::process::Pid);

impl Forgotten {
    /// Leaves the test's own session as a daemon does, by a shell that ends once `before`, which is given the PID, has.
    fn leave(scene: &Scene, before: impl FnOnce(i32)) -> Self {
        let note = scene.folder.path().join("pid");
        let mut shell = std::process::Command::new("setsid");
        let line = "python3 -c \"$0\" \"$1\" \"$2\" </dev/null >/dev/null 2>&1 & read _";
        shell.args(["--wait", "sh", "-c", line, FORGOTTEN]).arg(scene.path()).arg(&note);
        let mut shell = shell.stdin(std::process::Stdio::piped()).spawn().expect("a shell");
        let pid: i32 = eventually("it runs", || std::fs::read_to_string(&note).ok()?.parse().ok());
        let forgotten = Self(rustix::process::Pid::from_raw(pid).expect("a PID"));
        before(pid);
        drop(shell.stdin.take());
        shell.wait().expect("it ends");
        forgotten
    }

    /// The same with `input` as its standard input; the shell ends once it reads a line from there, which `end` writes.
    fn leave_reading(scene: &Scene, input: OwnedFd, end: impl FnOnce()) -> Self {
        let note = scene.folder.path().join("pid");
        let mut shell = std::process::Command::new("setsid");
        let line = "exec 3<&0; python3 -c \"$0\" \"$1\" \"$2\" <&3 3<&- >/dev/null 2>&1 & read _";
        shell.args(["--wait", "sh", "-c", line, FORGOTTEN]).arg(scene.path()).arg(&note);
        let mut shell = shell.stdin(input).spawn().expect("a shell");
        let pid: i32 = eventually("it runs", || std::fs::read_to_string(&note).ok()?.parse().ok());
        let forgotten = Self(rustix::process::Pid::from_raw(pid).expect("a PID"));
        std::fs::remove_file(&note).expect("removed");
        end();
        shell.wait().expect("it ends");
        forgotten
    }

    fn pid(&self) -> i32 {
        self.0.as_raw_nonzero().get()
    }
}

impl Drop for Forgotten {
    fn drop(&mut self) {
        // Nobody but this test ends it, so that the PID is still its own.
        let _ = rustix::process::kill_process(self.0, rustix::process::Signal::KILL);
    }
}

#[test]
fn an_orphan_that_is_idle() {
    let mut scene = Scene::new();
    let Some(mut child) = Python::open(&scene.path()) else { return };
    child.sql("SELECT * FROM t");
    let mut patient = scene.watch();
    scene.config.thresholds.idle = Duration::from_secs(2);
    let mut watch = scene.watch();
    let orphan = Forgotten::leave(&scene, |pid| {
        for watch in [&mut patient, &mut watch] {
            let database = look(watch);
            assert_eq!(database.process(pid).expect("a row").origin.has_lost_parent, Some(false));
        }
    });
    let origin = eventually("it is adopted", || {
        look(&mut watch);
        let origin = look(&mut patient).process(orphan.pid())?.origin.clone();
        (origin.has_lost_parent == Some(true)).then_some(origin)
    });
    if origin.manager != Some(ProcessManager::Nobody) {
        eprintln!("not tested: {:?} runs whatever is started here", origin.manager);
        return;
    }
    assert_eq!(origin.has_terminal, Some(false));
    eventually("it is idle for a while", || {
        let database = look(&mut patient);
        assert_eq!(causes(&database, orphan.pid()), [""; 0]);
        is_idle_for(&database, orphan.pid(), 1000.0).then_some(())
    });
    let cause = stale(&mut watch, orphan.pid(), "orphan");
    let StaleCause::Orphan { adopted_by: Some(_), idle_ms, .. } = &cause else { panic!("{cause:?}") };
    assert!(*idle_ms >= 2000.0, "{cause:?}");
    eventually("its twin is idle for as long", || {
        let database = look(&mut watch);
        assert_eq!(causes(&database, child.pid()), [""; 0], "its parent lives");
        is_idle_for(&database, child.pid(), 2000.0).then_some(())
    });
}

/// The input of `pid`, once it is known that its parent has died.
fn lost_input(watch: &mut Monitor, pid: i32) -> Option<LostInput> {
    let origin = look(watch).process(pid).expect("a row").origin.clone();
    assert_eq!((origin.has_lost_parent, origin.has_terminal), (Some(true), Some(false)));
    origin.lost_input
}

#[test]
fn an_orphan_whose_standard_input_has_no_other_end() {
    let mut scene = Scene::new();
    if Python::open(&scene.path()).is_none() {
        return;
    }
    scene.config.thresholds.idle = Duration::from_secs(1);
    let pipe = || {
        let (input, output) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
        (input, File::from(output))
    };
    let line = |mut to: File| {
        to.write_all(b"\n").expect("written");
        to
    };
    let (input, output) = pipe();
    let piped = Forgotten::leave_reading(&scene, input, || drop(line(output)));
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let connected =
        Forgotten::leave_reading(&scene, theirs.into(), || drop(line(File::from(OwnedFd::from(ours)))));
    // Of the same origin, and something may still come.
    let (input, output) = pipe();
    let mut kept = None;
    let twin = Forgotten::leave_reading(&scene, input, || kept = Some(line(output)));
    let mut watch = scene.watch();
    assert_eq!(lost_input(&mut watch, piped.pid()), Some(LostInput::Pipe));
    // A kernel may be built without that question.
    assert!(matches!(lost_input(&mut watch, connected.pid()), Some(LostInput::Socket) | None));
    assert_eq!(lost_input(&mut watch, twin.pid()), None);
    let manager = |watch: &mut Monitor, pid| look(watch).process(pid).expect("a row").origin.manager.clone();
    if !matches!(manager(&mut watch, piped.pid()), Some(ProcessManager::Nobody) | None) {
        eprintln!("not tested: whatever is started here has a manager");
        return;
    }
    scene.config.thresholds.idle = LONG;
    {
        let mut watch = scene.watch();
        let finding = found(&mut watch, FindingKind::OutlivedSession, Some(piped.pid()));
        assert_eq!((finding.severity, &finding.evidence["lost_input"]), (Severity::Info, &"pipe".into()));
        assert!(told(&look(&mut watch), FindingKind::OutlivedSession, Some(twin.pid())).is_none());
    }
    let cause = stale(&mut watch, piped.pid(), "orphan");
    assert!(
        cause.to_string().contains("its standard input is a pipe that no process can write to"),
        "{cause}"
    );
    let database = eventually("its twin is idle for as long", || {
        let database = look(&mut watch);
        is_idle_for(&database, twin.pid(), 1000.0).then_some(database)
    });
    if manager(&mut watch, twin.pid()).is_none() {
        assert_eq!(causes(&database, twin.pid()), [""; 0], "nothing shows that it is forgotten");
    }
    drop(kept);
}
