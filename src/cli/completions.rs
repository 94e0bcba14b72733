//! `waltop completions`: a script with which a shell completes commands, options, findings and files.
//!
//! The scripts are those of `clap_complete`, with what they leave out: its script for bash offers options in the place of
//! file names, that for zsh completes no database before a command, and those of the others complete no positional
//! argument.

use std::fmt::Write as _;

use clap::{
    Arg, Command, CommandFactory, ValueHint,
    builder::{PossibleValue, PossibleValuesParser},
};
use clap_complete::{Generator, Shell};

use super::{Cli, print_line};
use crate::{
    config::profile,
    diagnose::{RULES, pages::FindingPage},
};

#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> anyhow::Result<u8> {
    print_line(script(args.shell)?.trim_end())?;
    Ok(0)
}

fn script(shell: Shell) -> anyhow::Result<String> {
    let mut offered = offered(&Cli::command(), shell);
    offered.set_bin_name("waltop");
    offered.build();
    let mut script = Vec::new();
    shell.try_generate(&offered, &mut script)?;
    let mut script = String::from_utf8(script)?;
    match shell {
        Shell::Bash => script += BASH_WORDS,
        Shell::Zsh => {
            // The functions stand before the first call, at the end of the script.
            script = script.replacen(ZSH_COMMANDS, ZSH_COMMANDS_OR_DATABASES, 1);
            script = script.replacen(ZSH_BEGIN, &format!("{ZSH_BEGIN}{ZSH_FIRST_WORD}"), 1);
            // With one colon more no option completes behind the first of several words.
            script = script.replace("'*::", "'*:");
        }
        Shell::Fish => script += &fish_values(&offered),
        _ => {}
    }
    Ok(script)
}

/// `command` as completions offer it: without what its help hides, and with the values that are taken for text.
fn offered(command: &Command, shell: Shell) -> Command {
    let is_root = command.get_name() == "waltop";
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set()).map(completed);
    let args = shown.filter(|arg| !arg.is_positional() || takes_position(arg, is_root, shell));
    let below = command.get_subcommands().filter(|it| !it.is_hide_set()).map(|it| offered(it, shell));
    let mut offered = Command::new(command.get_name().to_owned());
    if let Some(version) = command.get_version() {
        offered = offered.version(version.to_owned());
    }
    let offered = offered
        .about(command.get_about().cloned().unwrap_or_default())
        .args(args)
        .subcommands(below)
        .disable_help_subcommand(true);
    match shell {
        Shell::Elvish | Shell::PowerShell if command.get_name() == "explain" => with_findings(offered),
        _ => offered,
    }
}

/// Whether the generator of the script knows what to do with the positional argument `arg`.
fn takes_position(arg: &Arg, is_root: bool, shell: Shell) -> bool {
    match shell {
        // It offers the placeholder as a word.
        Shell::Bash => !arg.get_possible_values().is_empty(),
        // It takes the first word for a database, and only the second one for a command.
        Shell::Zsh => !is_root,
        _ => true,
    }
}

/// `arg` with the values that completions offer for it, or with the kind of its files.
fn completed(arg: &Arg) -> Arg {
    let arg = arg.clone();
    let name = arg.get_value_names().and_then(<[_]>::first).map(ToString::to_string).unwrap_or_default();
    match name.as_str() {
        "FINDING or ERROR" => arg.value_parser(PossibleValuesParser::new(findings())),
        "PROFILE" => arg.value_parser(PossibleValuesParser::new(profile::built_in_names())),
        "COMMAND" if !arg.is_last_set() => {
            let names = super::COMMANDS.iter().map(|it| it.command);
            arg.value_parser(PossibleValuesParser::new(names))
        }
        "DB" | "FILE" | "DIR|FILE" => arg.value_hint(ValueHint::FilePath),
        "DIR" => arg.value_hint(ValueHint::DirPath),
        _ => arg,
    }
}

/// The findings, each with its summary.
fn findings() -> impl Iterator<Item = PossibleValue> {
    RULES
        .iter()
        .map(|rule| PossibleValue::new(rule.kind().as_str()).help(FindingPage::of(rule.kind()).summary()))
}

/// `explain` with a command for each finding, since the script of the shell has no other words.
fn with_findings(explain: Command) -> Command {
    // Without what they require: there is no subject below a finding.
    let option = |arg: &Arg| {
        Arg::new(arg.get_id().clone())
            .long(arg.get_long().unwrap_or_default().to_owned())
            .help(arg.get_help().cloned().unwrap_or_default())
            .value_hint(arg.get_value_hint())
    };
    let options: Vec<Arg> = explain.get_opts().map(option).collect();
    let finding = |it: PossibleValue| {
        let about = it.get_help().cloned().unwrap_or_default();
        Command::new(it.get_name().to_owned()).about(about).args(&options)
    };
    explain.subcommands(findings().map(finding))
}

/// A word that begins without a dash is no option: where no other word fits, bash completes a file name, with its quotes.
const BASH_WORDS: &str = r#"
_waltop_words() {
    _waltop "$@"
    [[ $2 == -* ]] && return
    local word words=()
    for word in "${COMPREPLY[@]}"; do
        [[ $word == -* ]] || words+=("$word")
    done
    COMPREPLY=("${words[@]}")
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _waltop_words -o nosort -o bashdefault -o default waltop
else
    complete -F _waltop_words -o bashdefault -o default waltop
fi
"#;

/// How the script names what may stand in the place of the command.
const ZSH_COMMANDS: &str = r#"":: :_waltop_commands""#;
const ZSH_COMMANDS_OR_DATABASES: &str = r#"":: :_waltop_first_word""#;
const ZSH_BEGIN: &str = "autoload -U is-at-least\n";
const ZSH_FIRST_WORD: &str = r"
(( $+functions[_waltop_first_word] )) ||
_waltop_first_word() {
    _alternative 'commands:command:_waltop_commands' 'databases:database:_files'
}
";

/// The values of positional arguments, which the generator for fish leaves out.
fn fish_values(offered: &Command) -> String {
    let mut lines = String::new();
    for command in offered.get_subcommands() {
        for value in command.get_positionals().flat_map(Arg::get_possible_values) {
            let (name, about) =
                (value.get_name(), value.get_help().map(ToString::to_string).unwrap_or_default());
            let about = about.replace('\\', r"\\").replace('\'', r"\'");
            let _ = writeln!(
                lines,
                "complete -c waltop -n \"__fish_waltop_using_subcommand {}\" -f -a \"{name}\" -d '{about}'",
                command.get_name()
            );
        }
    }
    lines
}
