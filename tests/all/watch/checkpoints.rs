//! The checkpoints that a profile asks for, carried out by a watch beside those who write.

use crate::terminal::Terminal;

use super::*;

/// A scene whose database has a profile that asks for checkpoints, and a writer that moves nothing by itself.
fn scheduled(every: &str) -> (Scene, Actor) {
    let scene = Scene::new();
    let settings = scene.dir.path().join("config/waltop");
    fs::create_dir_all(settings.join("profiles")).expect("a folder");
    let profile = format!(
        "about = 'kept short'\ncheckpoint = {{ mode = 'passive', every = '{every}' }}\n\
         [[pragma]]\nname = 'busy_timeout'\nexpected = '5000'\nkept_by = 'connection'\nseverity = 'warning'\nwhy = 'so'\n"
    );
    fs::write(settings.join("profiles/mine.toml"), profile).expect("written");
    let text = format!("[[database]]\npath = '{}'\nprofile = 'mine'\n", scene.db().display());
    fs::write(settings.join("config.toml"), text).expect("written");
    let mut writer = Actor::open(&scene.db());
    writer.sql("PRAGMA journal_mode = WAL").sql("PRAGMA wal_autocheckpoint = 0");
    writer.sql("CREATE TABLE t (x)").sql("INSERT INTO t VALUES (1)");
    (scene, writer)
}

/// What `waltop status` tells of the database.
fn status(scene: &Scene) -> Value {
    let at = |name: &str| scene.dir.path().join(name);
    let output = Command::new(WALTOP)
        .args(["status", "--json"])
        .arg(scene.db())
        .env("XDG_STATE_HOME", at("state"))
        .env("XDG_DATA_HOME", at("data"))
        .env("XDG_CONFIG_HOME", at("config"))
        .output()
        .expect("waltop runs");
    let mut snapshot: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    snapshot["databases"][0].take()
}

fn pending(scene: &Scene) -> Option<u64> {
    status(scene)["wal"]["pending"].as_u64()
}

fn count(of: &Lines, what: &str) -> usize {
    lines(of).iter().filter(|line| line.contains(what)).count()
}

#[test]
fn a_watch_moves_the_log_of_others_between_its_runs() {
    let (scene, mut writer) = scheduled("1s");
    let watch = scene.watch(&[]);
    let mut reader = Actor::open(&scene.db());
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (2)");
    watch.says(&format!("{} (waltop) pins", reader.pid()));
    assert!(pending(&scene) > Some(0), "{}", status(&scene));
    assert!(!watch.open().iter().any(|path| path.to_string_lossy().contains("notes.db")));
    reader.sql("COMMIT");
    eventually("all is moved", || (pending(&scene) == Some(0)).then_some(()));
    let last = eventually("it is written down", || {
        let last = status(&scene)["schedule"]["last"].take();
        (last["complete"] == true).then_some(last)
    });
    assert_eq!(last["mode"], "passive", "{last}");
    watch.says("frames");
    let said = lines(&watch.err);
    let line = format!("scheduled PASSIVE checkpoint of {}: ", scene.db().display());
    assert!(said.iter().any(|said| said.contains(&line)), "{said:?}");
    // And it still does what it is there for.
    scene.write("one.md", "changed between two checkpoints");
    scene.takes_in("one.md", "changed between two checkpoints");
    watch.signal(Signal::TERM);
    assert_eq!(watch.ends().code(), Some(0));
}

#[test]
fn beside_a_console_and_another_watch_there_is_one_a_period() {
    let (scene, mut writer) = scheduled("2s");
    let one = scene.watch(&[]);
    let more = scene.dir.path().join("more");
    fs::create_dir(&more).expect("a folder");
    fs::write(more.join("three.md"), "# Elsewhere\n").expect("a file");
    let mut command = Command::new(WALTOP);
    command.args(["watch", "--root", "more", "--db"]).arg(scene.db()).arg(&more);
    command.envs(scene.waltop("watch", &[]).get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let other = Watch::start(command);
    other.ran(1);
    let database = scene.db().display().to_string();
    let mut console = Terminal::open(scene.dir.path(), &[&database], (200, 60));
    console.shows("q quit");
    console.keys("6");
    let mut ends: Vec<jiff::Timestamp> = Vec::new();
    for number in 0..3 {
        writer.sql(&format!("INSERT INTO t VALUES ({number})"));
        let at = eventually("the next one", || {
            let last = status(&scene)["schedule"]["last"].take();
            let at: jiff::Timestamp = last["at"].as_str()?.parse().ok()?;
            (last["complete"] == true && Some(&at) != ends.last()).then_some(at)
        });
        ends.push(at);
    }
    for pair in ends.windows(2) {
        let apart = pair[1].duration_since(pair[0]).unsigned_abs();
        assert!(apart >= Duration::from_secs(2), "{ends:?}");
    }
    let told = || {
        let by_console = console.text().matches("scheduled PASSIVE checkpoint").count();
        let by_watch = |watch: &Watch| count(&watch.err, "scheduled PASSIVE checkpoint");
        by_console + by_watch(&one) + by_watch(&other)
    };
    eventually("each that ran was told", || (told() >= 2).then_some(()));
    assert!(told() <= 4, "{:?} {:?}\n{}", lines(&one.err), lines(&other.err), console.text());
    console.keys("qq");
    assert_eq!(console.end(), 0);
}

#[test]
fn where_data_could_be_lost_none_is_run_and_that_is_said_once() {
    let (scene, mut writer) = scheduled("100ms");
    let watch = scene.watch(&[]);
    writer.sql("INSERT INTO t VALUES (2)");
    watch.says("scheduled PASSIVE checkpoint of");
    writer.sql("INSERT INTO t VALUES (3)");
    fs::remove_file(scene.notes().join("notes.db-wal")).expect("a log");
    watch.says("the scheduled checkpoint waits: data could be lost: ");
    let last = status(&scene)["schedule"]["last"].take();
    for _ in 0..10 {
        assert_eq!(status(&scene)["schedule"]["last"], last);
    }
    assert_eq!(count(&watch.err, "the scheduled checkpoint waits: data could be lost"), 1);
    // Where that process is gone it goes on, and nobody started it anew.
    writer.kill();
    for file in ["notes.db-wal", "notes.db-shm"] {
        // Whoever looks next may have made them anew.
        let _ = fs::remove_file(scene.notes().join(file));
    }
    eventually("it goes on", || (status(&scene)["schedule"]["last"]["at"] != last["at"]).then_some(()));
}

#[test]
fn a_database_that_is_not_there_yet_is_waited_for() {
    let (scene, writer) = scheduled("100ms");
    writer.close();
    for file in ["notes.db", "one.md", "two.md"] {
        fs::remove_file(scene.notes().join(file)).expect("it was there");
    }
    let watch = Watch::start(scene.waltop("watch", &[]));
    watch.says("waiting: no documents in");
    scene.write("one.md", "the first");
    watch.ran(1);
    eventually("its turn came", || status(&scene)["schedule"]["last"]["at"].as_str().map(drop));
    assert_eq!(count(&watch.err, "checkpoint"), 0, "there is nothing to move: {:?}", lines(&watch.err));
}
