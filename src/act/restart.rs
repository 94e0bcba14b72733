//! How a process that gets a signal can be started again.

use std::{fmt, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::signal::{SignalTarget, start_ticks};
use crate::{
    observe::{process_command, process_directory},
    text,
};

/// The command line and the folder of a process. Its text is a line for a shell.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RestartCommand {
    /// Empty if it cannot be read.
    words: Vec<String>,
    /// `None` if it cannot be read.
    folder: Option<String>,
}

impl RestartCommand {
    /// Reads it from the `/proc` at `proc`; `None` if `target` is gone.
    pub fn read(target: SignalTarget, proc: &Path) -> Option<Self> {
        let words = process_command(proc, target.pid).unwrap_or_default();
        let folder = process_directory(proc, target.pid).map(|it| it.to_string_lossy().into_owned());
        // Read last, so that both are of this process.
        (start_ticks(target.pid, proc) == Some(target.start_ticks)).then_some(Self { words, folder })
    }
}

impl fmt::Display for RestartCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { words, folder } = self;
        match folder {
            Some(folder) => write!(f, "cd {} && ", text::shell_word(folder))?,
            None => f.write_str("(in its folder, which could not be read) ")?,
        }
        if words.is_empty() {
            return f.write_str("(its command, which could not be read)");
        }
        let quoted: Vec<String> = words.iter().map(|word| text::shell_word(word)).collect();
        f.write_str(&quoted.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_runs_the_same_command_in_the_same_folder() {
        let line = |words: &[&str], folder: Option<&str>| {
            let words = words.iter().map(|&word| word.to_owned()).collect();
            RestartCommand { words, folder: folder.map(str::to_owned) }.to_string()
        };
        assert_eq!(
            line(&["python3", "-u", "my holder.py", ""], Some("/srv/my app")),
            "cd '/srv/my app' && python3 -u 'my holder.py' ''"
        );
        assert_eq!(line(&["a\nb"], None), r"(in its folder, which could not be read) $'a\x0ab'");
        assert_eq!(line(&[], Some("/")), "cd / && (its command, which could not be read)");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_shell_gets_the_words_that_the_process_has() {
        use std::{env, process::Command};

        let proc = Path::new("/proc");
        let pid = i32::try_from(std::process::id()).expect("a PID fits");
        let own = SignalTarget { pid, start_ticks: start_ticks(pid, proc).expect("it lives") };
        let own_words: Vec<String> = env::args().collect();
        let read = RestartCommand::read(own, proc).expect("it lives");
        assert_eq!(
            (read.words, read.folder),
            (own_words, Some(env::current_dir().expect("a folder").display().to_string()))
        );
        let another = SignalTarget { start_ticks: own.start_ticks + 1, ..own };
        assert_eq!(RestartCommand::read(another, proc), None, "another process has the PID");

        let words =
            ["printf", "%s|", "it's", "a b", "", "$HOME \\", "x\ty\n", "é"].map(str::to_owned).to_vec();
        let line = RestartCommand { words, folder: Some("/".to_owned()) }.to_string();
        let printed = Command::new("bash").args(["-c", &line]).output().expect("bash runs").stdout;
        assert_eq!(String::from_utf8_lossy(&printed), "it's|a b||$HOME \\|x\ty\n|é|");
    }
}
