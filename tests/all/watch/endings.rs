//! How a watch ends, and what the next one finds.

use super::*;

#[test]
fn a_signal_ends_it_and_nothing_is_left() {
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 130), (Signal::HUP, 129)] {
        let scene = Scene::new();
        let watch = scene.watch(&[]);
        let pidfiles = scene.state("watch");
        let pid = fs::read_to_string(&pidfiles[0]).expect("the pidfile");
        assert_eq!((pidfiles.len(), pid.lines().next()), (1, Some(&*watch.pid().to_string())));
        watch.ran(1);
        let said = Arc::clone(&watch.err);
        watch.signal(signal);
        assert_eq!(watch.ends().code(), Some(code));
        eventually("its last line", || {
            lines(&said).last().is_some_and(|line| line.contains("ended after 1 run, ")).then_some(())
        });
        assert_eq!((scene.state("watch").len(), scene.state("lock").len()), (0, 0));
    }
}

#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
    let scene = Scene::new();
    let waltop = scene.waltop("watch", &[]);
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap "" HUP; exec "$0" "$@""#]).arg(waltop.get_program()).args(waltop.get_args());
    command.envs(waltop.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let watch = Watch::start(command);
    watch.ran(1);
    watch.signal(Signal::HUP);
    scene.write("one.md", "after the terminal was closed");
    scene.takes_in("one.md", "after the terminal was closed");
    watch.signal(Signal::TERM);
    assert_eq!(watch.ends().code(), Some(0));
}

#[test]
fn a_watch_begins_where_another_was_killed() {
    let scene = Scene::new();
    let first = scene.watch(&[]);
    first.signal(Signal::KILL);
    assert_eq!(first.ends().code(), None);
    assert_eq!(scene.state("watch").len(), 1, "it could not clean up");
    scene.write("one.md", "written meanwhile");
    let second = scene.watch(&[]);
    assert!(scene.has("one.md", "written meanwhile"));
    second.signal(Signal::TERM);
    assert_eq!(second.ends().code(), Some(0));
    assert_eq!(scene.state("watch").len(), 0);
}
