//! What waltop writes for shells and for `man`, and what the shells make of it.

use clap::CommandFactory;
use waltop::{
    cli::{COMMANDS, Cli},
    snapshot::FindingKind,
};

use super::*;

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

fn script(home: &Home, shell: &str) -> String {
    let said = home.run(&["completions", shell]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{shell}");
    said.out
}

/// Whether `program` is installed; a word about it if not.
fn has(program: &str) -> bool {
    let has = Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success());
    if !has {
        eprintln!("not tested: there is no {program}");
    }
    has
}

#[test]
fn the_script_of_every_shell_names_the_commands_and_the_findings() {
    let home = Home::new();
    let cli = Cli::command();
    for shell in SHELLS {
        let script = script(&home, shell);
        let words: Vec<&str> =
            script.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|it| !it.is_empty()).collect();
        for command in cli.get_subcommands().filter(|it| !it.is_hide_set()) {
            assert!(words.contains(&command.get_name()), "{shell}: {}", command.get_name());
        }
        for kind in FindingKind::ALL {
            assert!(words.contains(&kind.as_str()), "{shell}: {kind}");
        }
        assert!(words.contains(&"--recursive") || words.contains(&"recursive"), "{shell}");
    }
    assert!(home.run(&["completions", "tcsh"]).refusal().contains("bash, elvish, fish, powershell, zsh"));
}

#[test]
fn the_shells_that_are_here_read_their_scripts() {
    let home = Home::new();
    for shell in ["bash", "fish", "zsh"].into_iter().filter(|shell| has(shell)) {
        fs::write(home.at(shell), script(&home, shell)).expect("written");
        let read = Command::new(shell).arg("-n").arg(home.at(shell)).output().expect("it starts");
        assert!(read.status.success() && read.stderr.is_empty(), "{shell}: {read:?}");
    }
}

/// What bash offers for the last of `words`.
fn offered(home: &Home, words: &[&str]) -> Vec<String> {
    let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
    let call = format!(
        "source ./script; COMP_WORDS=({}); COMP_CWORD={}; _waltop_words waltop '{last}' '{before}'; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1
    );
    let output = home.command(Path::new("bash")).args(["--norc", "-c", &call]).output().expect("it starts");
    assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_offers_commands_findings_options_and_leaves_files_to_itself() {
    if !has("bash") {
        return;
    }
    let home = Home::with_wal();
    fs::write(home.at("script"), script(&home, "bash")).expect("written");
    let names = |begin: &str| -> Vec<String> {
        let names = FindingKind::ALL.iter().map(|kind| kind.as_str()).filter(|name| name.starts_with(begin));
        names.map(str::to_owned).collect()
    };
    let sorted = |words: &[&str]| {
        let mut offered = offered(&home, words);
        offered.sort();
        offered
    };
    for begin in ["", "p", "busy-"] {
        let mut wanted = names(begin);
        wanted.sort();
        assert!(!wanted.is_empty());
        assert_eq!(sorted(&["waltop", "explain", begin]), wanted, "{begin:?}");
    }
    assert_eq!(sorted(&["waltop", "sta"]), ["stats", "status"]);
    assert_eq!(sorted(&["waltop", "man", "sta"]), ["stats", "status"]);
    assert_eq!(sorted(&["waltop", "status", "--rec"]), ["--recursive"]);
    assert_eq!(sorted(&["waltop", "completions", "z"]), ["zsh"]);
    assert!(sorted(&["waltop", "check", "--profile", ""]).contains(&"hardened".to_owned()));
    // None of its own words fits, and hidden commands are none: bash completes the file.
    for words in [
        &["waltop", "note"][..],
        &["waltop", "act"],
        &["waltop", "status", ""],
        &["waltop", "status", "note"],
    ] {
        assert_eq!(sorted(words), [""; 0], "{words:?}");
    }
}

/// The patches of the script for zsh still find what they replace.
#[test]
fn zsh_offers_databases_beside_commands_and_options_behind_words() {
    let script = script(&Home::new(), "zsh");
    let first = script.find("_waltop_first_word() {").expect("a function");
    assert!(script.contains("\":: :_waltop_first_word\" \\"), "it is called");
    assert!(first < script.find("funcstack[1]").expect("the first call"), "it is there at the first call");
    assert!(
        !script.contains("'*::") && script.contains("'*:databases"),
        "options complete behind a database"
    );
}

#[test]
fn every_command_has_a_manual_page_with_its_exit_codes_and_examples() {
    let home = Home::new();
    let said = home.run(&["man", "--dir", "pages/man1"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let pages = fs::read_dir(home.at("pages/man1")).expect("a folder").count();
    assert_eq!(pages, COMMANDS.len() + 1);
    // As the page is printed, without the marks of its source.
    let plain = |text: &str| {
        let text = text.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "").replace("\\*(Aq", "'");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for help in COMMANDS {
        let file = home.at(&format!("pages/man1/waltop-{}.1", help.command));
        let page = fs::read_to_string(&file).expect("a page");
        let text = plain(&page);
        let codes = help.exit_codes.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&codes), "{}: {codes}\n{text}", help.command);
        for example in help.examples {
            assert!(text.contains(example), "{}: {example}\n{text}", help.command);
        }
        assert_eq!(home.run(&["man", help.command]).out, page, "{}", help.command);
    }
    let page = home.run(&["man"]).out;
    assert_eq!(page, fs::read_to_string(home.at("pages/man1/waltop.1")).expect("a page"));
    let text = plain(&page);
    for command in COMMANDS {
        assert!(text.contains(&format!("waltop-{}(1)", command.command)), "{}", command.command);
    }
    let home_of_settings = home.root().display().to_string();
    assert!(text.contains("~/.config/waltop") && !text.contains(&home_of_settings), "{text}");
}

#[test]
fn man_has_no_warning_about_any_page() {
    if !has("man") || !has("groff") {
        return;
    }
    let home = Home::new();
    assert_eq!(home.run(&["man", "--dir", "man1"]).code, Some(0));
    for entry in fs::read_dir(home.at("man1")).expect("a folder") {
        let page = entry.expect("an entry").path();
        let mut man = home.command(Path::new("man"));
        man.args(["--warnings", "-E", "UTF-8", "-P", "cat", "-l"])
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "80");
        let shown = man.arg(&page).output().expect("it starts");
        assert!(shown.status.success() && shown.stderr.is_empty(), "{}: {shown:?}", page.display());
        let text = String::from_utf8(shown.stdout).expect("text");
        assert!(text.contains("EXIT STATUS") && text.contains("EXAMPLES"), "{}: {text}", page.display());
    }
}

#[test]
fn a_page_that_is_not_there_or_cannot_be_written_is_refused() {
    let home = Home::with_rollback();
    assert!(home.run(&["man", "stats", "--dir", "x"]).refusal().contains("--dir"));
    assert!(
        home.run(&["man", "statsu"]).refusal().contains("no command statsu; did you mean `waltop man stat")
    );
    let said = home.run(&["man", "--dir", "notes.db/below"]);
    assert!(said.refusal().contains("cannot write the manual pages to notes.db/below"), "{said:?}");
}
