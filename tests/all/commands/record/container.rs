//! A recording of a database in a container, after the container.

use super::*;
use crate::commands::restarted::{DATABASE, holding, name};

/// `waltop record ARGUMENT` while a container runs, and a moment at which the write lock was held.
fn recorded(home: &Home, argument: &str) -> Timestamp {
    let args = ["record", argument, "--every", "100ms", "--trace", "off", "--min-free", "1B"];
    let recorder = recording_by(home.command(Path::new(WALTOP)), &args);
    let middle = eventually("the hold is recorded", || {
        let now = Timestamp::now();
        let said = home.run(&["who", "--at", &now.to_string(), "--json"]);
        (said.code == Some(0) && said.json()["databases"][0]["holds"][0].is_object()).then_some(now)
    });
    assert_eq!(recorder.end_by(Signal::TERM), Some(0));
    middle
}

#[test]
fn a_recording_of_a_container_answers_when_its_processes_are_gone() {
    for is_by_pid in [false, true] {
        let (home, name) = (Home::new(), name("recorded"));
        let Some((container, actor, pid)) = holding(&home, "first", &name) else { return };
        let word = if is_by_pid { pid.to_string() } else { name };
        let argument = format!("{word}:{DATABASE}");
        let middle = recorded(&home, &argument);
        drop((container, actor));
        let said = home.run(&["who", &argument, "--at", &middle.to_string(), "--json"]);
        let answer = &said.json()["databases"][0];
        assert_eq!((said.code, &answer["holds"][0]["process"]["pid"]), (Some(0), &pid.into()), "{said:?}");
        let report = home.json(&["report", &argument, "--json"]);
        assert_eq!(report["databases"].as_array().map(Vec::len), Some(1), "{report}");
        let said = home.run(&["who", &format!("{word}:/data/other.db"), "--at", &middle.to_string()]);
        assert_eq!(said.code, Some(2), "another path was not recorded: {said:?}");
    }
}
