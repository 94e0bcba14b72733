//! The ssh command line of a host. waltop uses the user's configuration of ssh, and asks for nothing: a password, a
//! passphrase or a new host key is an error here.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    process::Command,
};

use crate::text;

/// What is set whatever the user's configuration says: no question, and an end when the host is gone.
const OPTIONS: [&str; 4] =
    ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3"];

/// A host, and how waltop is run there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHost {
    name: String,
    /// The ssh program and its options.
    ssh: Vec<String>,
    /// The words before those of a command of waltop, for the shell there.
    remote_command: String,
}

/// Why a host cannot be named so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("--host {0:?} is no host: give a name of ~/.ssh/config, a host name, or user@host")]
    Name(String),
    #[error("--ssh {0:?} has a quote that is not closed, or no word: give the program and its options")]
    Ssh(String),
    #[error("--remote-command is empty: give the words before `stream`, as in 'sudo -n waltop'")]
    RemoteCommand,
}

impl SshHost {
    /// The words with which waltop is run on a host.
    pub const REMOTE_COMMAND: &str = "waltop";
    /// The ssh program.
    pub const SSH: &str = "ssh";

    /// The host `name`.
    ///
    /// # Errors
    ///
    /// It is no name of a host: ssh would take a leading `-` for an option, and its configuration can run commands with
    /// the name in them.
    pub fn new(name: &str, ssh: &str, remote_command: &str) -> Result<Self, HostError> {
        let is_plain = |c: char| c.is_alphanumeric() || "._-@:%[]".contains(c);
        if name.is_empty() || name.starts_with('-') || !name.chars().all(is_plain) {
            return Err(HostError::Name(text::clean(name)));
        }
        let words = shlex::split(ssh).filter(|words| !words.is_empty());
        let ssh = words.ok_or_else(|| HostError::Ssh(text::clean(ssh)))?;
        if remote_command.trim().is_empty() {
            return Err(HostError::RemoteCommand);
        }
        Ok(Self { name: name.to_owned(), ssh, remote_command: remote_command.trim().to_owned() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ssh program.
    pub fn program(&self) -> &str {
        &self.ssh[0]
    }

    /// The first word of waltop's command there, or the program behind `sudo`.
    pub fn remote_command(&self) -> &str {
        &self.remote_command
    }

    /// Runs `waltop WORDS…` on the host.
    pub fn command(&self, words: &[OsString]) -> Command {
        let mut command = Command::new(&self.ssh[0]);
        command.args(&self.ssh[1..]);
        // No terminal there: its end would not end what runs in it, and it changes the lines.
        command.arg("-T");
        for option in OPTIONS {
            command.args(["-o", option]);
        }
        command.args(["--", &self.name]).arg(self.line(words));
        command
    }

    // The line for the shell of the host.
    fn line(&self, words: &[OsString]) -> OsString {
        let mut line = self.remote_command.clone().into_bytes();
        for word in words {
            line.push(b' ');
            line.extend(quoted(word));
        }
        OsString::from_vec(line)
    }
}

/// `word` for the shell there. No argument has a NUL, so quoting cannot fail.
fn quoted(word: &OsStr) -> Vec<u8> {
    shlex::bytes::try_quote(word.as_bytes()).map_or_else(|_| Vec::new(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Result<SshHost, HostError> {
        SshHost::new(name, "ssh -F 'my config'", "sudo -n waltop")
    }

    #[test]
    fn a_name_that_ssh_or_a_shell_could_take_for_something_else_is_no_host() {
        for name in ["", "-oProxyCommand=x", "a b", "a;b", "$(x)", "a'b", "a\nb", "`x`"] {
            assert!(matches!(host(name), Err(HostError::Name(_))), "{name}");
        }
        for name in ["web1", "me@web1.example.org", "10.0.0.7", "me@[fe80::1%eth0]", "häuser"] {
            assert_eq!(host(name).map(|it| it.name().to_owned()), Ok(name.to_owned()));
        }
        assert_eq!(SshHost::new("a", "ssh 'x", "waltop"), Err(HostError::Ssh("ssh 'x".to_owned())));
        assert_eq!(SshHost::new("a", " ", "waltop"), Err(HostError::Ssh(" ".to_owned())));
        assert_eq!(SshHost::new("a", "ssh", " "), Err(HostError::RemoteCommand));
    }

    #[test]
    fn arguments_reach_waltop_there_as_they_are() {
        let words = ["stream", "--json", "--", "/srv/a b.db", "it's $HOME.db", ""];
        let words = words.map(OsString::from);
        let line = host("web1").expect("a host").line(&words).into_string().expect("text");
        let (start, rest) = line.split_at("sudo -n waltop".len());
        assert_eq!(start, "sudo -n waltop");
        let shell = Command::new("sh").args(["-c", &format!("printf '%s\\n'{rest}")]).output();
        let printed = String::from_utf8(shell.expect("a shell").stdout).expect("text");
        assert_eq!(printed.lines().collect::<Vec<_>>(), words.map(|it| it.into_string().expect("text")));
    }

    #[test]
    fn the_host_stands_behind_the_options_of_the_user_and_of_waltop() {
        let command = host("web1").expect("a host").command(&["stream".into()]);
        let args: Vec<_> = command.get_args().map(|it| it.to_string_lossy().into_owned()).collect();
        assert_eq!(args[..2], ["-F", "my config"]);
        assert_eq!(args[args.len() - 3..], ["--", "web1", "sudo -n waltop stream"]);
        assert!(args.contains(&"BatchMode=yes".to_owned()));
    }
}
