//! The command palette: the keymap's actions by name, and no letter in it is a key.

use waltop::{act::Effect, keymap::KEYMAP};

use super::{acts, pins, quits, stage, without_run, worst};
use crate::stage::{Stage, contended, look};

#[test]
fn it_lists_every_action_of_the_keymap_but_itself() {
    let mut stage = Stage::new(look(vec![contended()]), (120, 40));
    stage.keys(":");
    let listed: Vec<&str> = stage.app.palette_rows().iter().map(|it| it.binding.name).collect();
    let all: Vec<&str> = KEYMAP.iter().map(|it| it.name).filter(|name| *name != "palette").collect();
    assert_eq!(listed, all);
}

#[test]
fn at_the_smallest_size_it_shows_names_keys_and_help() {
    let mut stage = Stage::new(look(vec![contended()]), (60, 16));
    stage.keys(":re<Down>");
    insta::assert_snapshot!(stage.screen());
}

#[test]
fn what_is_typed_filters_and_enter_runs_the_first_match() {
    for open in [":", "<C-p>"] {
        let mut stage = stage();
        let subject = worst(&stage);
        assert_eq!(pins(&stage.keys(&format!("{open}stop<Enter>"))), [subject]);
        assert!(!stage.screen().contains("Commands:"), "{}", stage.screen());
    }
    let mut stage = stage();
    stage.keys(":lock timeline<Enter>");
    assert!(stage.screen().contains("Write lock, 1 m"), "{}", stage.screen());
}

#[test]
fn letters_in_it_never_run_as_keys() {
    let mut stage = stage();
    let effects = stage.keys(":qxXcfiy");
    assert!(effects.is_empty(), "{effects:?}");
    let screen = stage.screen();
    assert!(screen.contains(": qxXcfiy▏") && screen.contains("no action matches"), "{screen}");
    assert!(!acts(&stage.keys("<Enter>")));
    for close in ["<Esc>", "<C-c>"] {
        assert!(!quits(&stage.keys(close)), "{close}");
        assert!(!stage.screen().contains("Commands:"), "{}", stage.screen());
        stage.keys(":");
    }
}

#[test]
fn arrows_choose_and_the_action_acts_on_what_lies_below() {
    let mut stage = stage();
    // Details of the process under the cursor: the palette copies that one.
    stage.keys("g<Enter>:pause<Enter>");
    assert!(stage.app.is_paused() && stage.screen().contains("Details:"), "{}", stage.screen());
    stage.keys(":next-<Down><Down><Enter>");
    assert!(stage.screen().contains("there is no other database"), "{}", stage.screen());
}

#[test]
fn an_impossible_action_is_marked_and_refused_as_its_key_refuses_it() {
    let mut stage = without_run();
    stage.keys("3");
    stage.keys("x");
    let refusal = "no process that can be stopped is selected in Files";
    assert!(stage.screen().contains(refusal), "{}", stage.screen());
    stage.keys(":stop");
    assert!(stage.screen().contains("not possible now: Enter says why"), "{}", stage.screen());
    assert!(!acts(&stage.keys("<Enter>")));
    assert!(stage.screen().contains(refusal), "{}", stage.screen());
    let mut readonly = Stage::readonly(look(vec![contended()]), (120, 40));
    assert!(!acts(&readonly.keys(":checkpoint<Enter>")));
    assert!(readonly.screen().contains("read-only"), "{}", readonly.screen());
}

#[test]
fn every_impossible_action_says_why() {
    let stage = Stage::readonly(look(Vec::new()), (120, 40));
    let impossible: Vec<&str> =
        KEYMAP.iter().filter(|binding| !stage.app.can(binding.action)).map(|binding| binding.name).collect();
    assert!(impossible.len() > 10, "{impossible:?}");
    for name in impossible {
        let mut stage = Stage::readonly(look(Vec::new()), (120, 40));
        let effects = stage.keys(&format!(":{name}<Enter>"));
        let [Effect::Note(_, text)] = effects.as_slice() else { panic!("{name}: {effects:?}") };
        assert!(stage.screen().contains(text.as_str()), "{name}: {text}");
    }
}

#[test]
fn a_dialog_that_was_asked_for_before_does_not_open_over_it() {
    let mut stage = stage();
    let pinned = pins(&stage.keys("x"))[0];
    stage.keys(":");
    stage.pinned(super::target(pinned));
    stage.keys("y");
    assert!(stage.screen().contains(": y▏"), "{}", stage.screen());
}
