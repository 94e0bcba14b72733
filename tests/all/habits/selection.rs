//! The process that is selected before the user has pressed a key.

use super::*;

#[test]
fn the_first_x_means_the_process_of_the_worst_finding() {
    let mut stage = stage();
    let subject = worst(&stage);
    assert_eq!(stage.app.selected_process().map(|it| it.pid), Some(subject));
    assert_eq!(pins(&stage.keys("x")), [subject]);
}

#[test]
fn until_a_key_is_pressed_only_a_worse_finding_moves_the_selection() {
    // A warning about the first process, then an error about the third, then an equal one about the second alone.
    let with = |severity, pid| {
        let mut sample = look(vec![contended()]);
        let findings = &mut sample.snapshot.databases[0].findings;
        findings.truncate(1);
        (findings[0].severity, findings[0].pid) = (severity, Some(pid));
        sample
    };
    let selected = |stage: &Stage| stage.app.selected_process().map(|it| it.pid);
    let mut stage = Stage::new(with(Severity::Warning, 71166), USUAL);
    assert_eq!(selected(&stage), Some(71166));
    stage.look(with(Severity::Error, 71300));
    assert_eq!(selected(&stage), Some(71300));
    stage.look(with(Severity::Error, 71168));
    assert_eq!(selected(&stage), Some(71300), "among equals it stays");
    let mut stage = Stage::new(with(Severity::Warning, 71166), USUAL);
    stage.keys("?<Esc>");
    stage.look(with(Severity::Error, 71300));
    assert_eq!(selected(&stage), Some(71166), "the user has pressed a key");
}

#[test]
fn until_a_key_is_pressed_the_selection_goes_to_the_worst_finding_and_then_it_stays() {
    let mut calm = look(vec![contended()]);
    calm.snapshot.databases[0].findings.clear();
    let mut stage = Stage::new(calm.clone(), USUAL);
    let before = stage.app.selected_process().map(|it| it.pid);
    stage.look(look(vec![contended()]));
    let worst = worst(&stage);
    assert_eq!(stage.app.selected_process().map(|it| it.pid), Some(worst));
    assert_ne!(Some(worst), before);
    let mut other = look(vec![contended()]);
    other.snapshot.databases[0].findings.retain(|finding| finding.pid != Some(worst));
    assert!(other.snapshot.databases[0].findings.iter().any(|finding| finding.pid.is_some()));
    stage.look(other);
    assert_eq!(stage.app.selected_process().map(|it| it.pid), Some(worst));
    let mut stage = Stage::new(calm, USUAL);
    stage.keys("?<Esc>");
    stage.look(look(vec![contended()]));
    assert_eq!(stage.app.selected_process().map(|it| it.pid), before);
}

#[test]
fn in_the_findings_the_selection_stays_with_its_finding_from_the_moment_of_the_focus() {
    let with_first = |first: usize| {
        let mut sample = look(vec![contended()]);
        sample.snapshot.databases[0].findings.rotate_left(first);
        sample
    };
    let first = with_first(0).snapshot.databases[0].findings[0].clone();
    let selected = |stage: &Stage| stage.app.selected_finding().expect("one").clone();
    let mut stage = Stage::new(with_first(0), USUAL);
    stage.keys("1");
    stage.look(with_first(1));
    assert_eq!(selected(&stage), first, "another one is on top");
    stage.keys("<Tab>");
    assert_ne!(selected(&stage), first, "without the focus the worst one is selected");
}
