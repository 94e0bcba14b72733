//! Two processes with two databases, each of which holds what the other one waits for.

use std::time::Instant;

use serde_json::Value;

use super::*;

/// The findings of crossed locks in one sample, by database.
fn crossed(watch: &mut Monitor) -> Vec<Option<Value>> {
    let databases = watch.sample().snapshot.databases.clone();
    let one = |database: &Database| {
        let findings = serde_json::to_value(&database.findings).expect("JSON");
        findings.as_array().into_iter().flatten().find(|it| it["name"] == "crossed-locks").cloned()
    };
    databases.iter().map(one).collect()
}

/// A client of `first` with `second` attached, which waits for long.
fn client(first: &Scene, second: &Scene) -> Actor {
    let mut actor = first.actor();
    actor.sql(&format!("ATTACH '{}' AS other", second.path().display())).sql("PRAGMA busy_timeout = 600000");
    actor
}

/// What `condition` finds in the samples of an observer that watches for some seconds, or of the next one.
fn watched<T>(
    what: &str,
    watching: impl Fn() -> Monitor,
    mut condition: impl FnMut(&mut Monitor) -> Option<T>,
) -> T {
    const WATCH: Duration = Duration::from_secs(5);
    eventually(what, || {
        let (mut watch, began) = (watching(), Instant::now());
        let mut found = None;
        while found.is_none() && began.elapsed() < WATCH {
            found = condition(&mut watch);
        }
        found
    })
}

#[test]
fn two_that_hold_what_the_other_waits_for() {
    let (x, y) = (Scene::new("wal"), Scene::new("wal"));
    let (mut one, mut two) = (client(&x, &y), client(&y, &x));
    let config = x.config(LONG, LONG);
    let watching = || {
        let mut observer = Observer::new(&config.places, vec![x.path(), y.path()]);
        observer.watch_locks();
        Monitor::new(observer, config.clone())
    };
    let begin = |actor: &mut Actor| {
        actor.sql("BEGIN").sql("INSERT INTO t VALUES (2)");
    };
    begin(&mut one);
    begin(&mut two);
    // The healthy twin: one waits for the other, which goes on.
    one.order("INSERT INTO other.t VALUES (4)");
    let seen = watched("it is seen to wait", watching, |watch| {
        let waiters = watch.sample().snapshot.databases[1].locks.possible_waiters.clone();
        let is_seen = waiters.iter().any(|it| it.pid == one.pid() && it.span_ms > 400.0);
        is_seen.then(|| crossed(watch))
    });
    assert_eq!(seen, [None, None]);
    two.sql("COMMIT");
    assert_eq!(one.answer(), "ok");
    one.sql("COMMIT");
    begin(&mut one);
    begin(&mut two);
    one.order("INSERT INTO other.t VALUES (4)");
    two.order("INSERT INTO other.t VALUES (5)");
    let found = watched("each waits for the other", watching, |watch| {
        let found = crossed(watch);
        found.iter().all(Option::is_some).then_some(found)
    });
    assert_eq!(found[0], found[1], "one finding about both");
    let finding = found[0].as_ref().expect("found");
    // Without the trace, each of them only may wait.
    assert_eq!((&finding["severity"], &finding["remedy"]["action"]), (&"warning".into(), &Value::Null));
    assert!(finding["evidence"]["waits"][0]["threads"].as_u64() >= Some(1), "{finding}");
    let mut waiting: Vec<i64> = finding["evidence"]["waits"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it["pid"].as_i64())
        .collect();
    waiting.sort_unstable();
    let mut both = [one.pid(), two.pid()].map(i64::from);
    both.sort_unstable();
    assert_eq!(waiting, both);
    // One of them is enough.
    two.kill();
    assert_eq!(one.answer(), "ok");
    one.sql("COMMIT");
    let mut watch = watching();
    eventually("both databases are free", || (crossed(&mut watch) == [None, None]).then_some(()));
}
