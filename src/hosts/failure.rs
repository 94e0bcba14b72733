//! Why there is no link to a host, and what to do about it.

use std::time::Duration;

use crate::{recording::FormatVersion, units};

/// Each is one line: what is wrong, then the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkFailure {
    #[error("cannot run {program}: {why}; install the ssh client, or name it with --ssh")]
    NoSsh { program: String, why: String },
    #[error("the host key of {host} is not known here: run `ssh {host}` once, and accept it after a check")]
    UnknownHostKey { host: String },
    #[error(
        "the host key of {host} has changed: ask its administrator whether that is meant, then `ssh-keygen -R` the \
         old one"
    )]
    ChangedHostKey { host: String },
    #[error(
        "{host} accepts no key of yours, and waltop types no password: run `ssh-copy-id {host}`, or load the key with \
         ssh-add"
    )]
    NoKey { host: String },
    #[error("there is no host {host}: check the name, or add it to ~/.ssh/config")]
    NoHost { host: String },
    #[error("{host} refuses the connection: check that sshd runs there, and its port in ~/.ssh/config")]
    Refused { host: String },
    #[error("{host} does not answer: check the network, and that the host is up")]
    NoAnswer { host: String },
    /// Another reason, in the words of ssh.
    #[error("ssh to {host}: {why}; try `ssh {host}`")]
    Ssh { host: String, why: String },
    #[error(
        "{host} has no `{command}` in the PATH of a command over ssh: install the static binary there, `scp waltop \
         {host}: && ssh {host} sudo install waltop /usr/local/bin/`, or give --remote-command its path"
    )]
    NoWaltop { host: String, command: String },
    #[error(
        "the waltop on {host} is too old for --host: install this version ({}) there, `scp waltop {host}: && ssh \
         {host} sudo install waltop /usr/local/bin/`",
        env!("CARGO_PKG_VERSION")
    )]
    OldWaltop { host: String },
    #[error(
        "waltop {version} on {host} writes format {major}, and this waltop ({}) reads format {}: install one version on \
         both, `scp waltop {host}: && ssh {host} sudo install waltop /usr/local/bin/`",
        env!("CARGO_PKG_VERSION"),
        FormatVersion::CURRENT.major
    )]
    OtherFormat { host: String, version: String, major: u32 },
    /// What the waltop there says of its end.
    #[error("waltop on {host}: {why}")]
    Remote { host: String, why: String },
    #[error("{host} answers, but not as waltop: try `ssh {host} {command} --version`")]
    NoStream { host: String, command: String },
    #[error("{host} has sent nothing for {}", units::duration(units::milliseconds(*.0)), host = .1)]
    Silent(Duration, String),
    #[error("the connection to {host} has ended")]
    Ended { host: String },
}

impl LinkFailure {
    /// Whether another attempt may succeed without a change by the user.
    pub fn is_of_connection(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::NoAnswer { .. }
                | Self::Silent(..)
                | Self::Ended { .. }
                | Self::Ssh { .. }
        )
    }
}
