//! Why a link has ended, by what ssh and the program there report.

use std::{
    io,
    process::{ExitStatus, Stdio},
};

use super::ssh::SshHost;
use crate::{hosts::LinkFailure, recording::RecordingHeader, text};

/// The exit code of ssh itself; any other is that of the command there.
const OF_SSH: i32 = 255;
/// The exit codes of a shell that cannot run a command.
const NOT_RUN: [i32; 2] = [126, 127];

/// A failure of the host of this name.
type FailureOf = fn(String) -> LinkFailure;

/// What ssh writes, in lower case, and what that means. It has no code for each.
const COMPLAINTS: [(&str, FailureOf); 8] = [
    ("host identification has changed", |host| LinkFailure::ChangedHostKey { host }),
    ("host key verification failed", |host| LinkFailure::UnknownHostKey { host }),
    ("permission denied", |host| LinkFailure::NoKey { host }),
    ("could not resolve hostname", |host| LinkFailure::NoHost { host }),
    ("connection refused", |host| LinkFailure::Refused { host }),
    ("timed out", |host| LinkFailure::NoAnswer { host }),
    ("no route to host", |host| LinkFailure::NoAnswer { host }),
    ("network is unreachable", |host| LinkFailure::NoAnswer { host }),
];

/// ssh could not be started.
pub fn of_start(host: &SshHost, error: &io::Error) -> LinkFailure {
    LinkFailure::NoSsh { program: text::clean(host.program()), why: error.to_string() }
}

/// What came first is no line of a stream.
pub fn no_stream(host: &SshHost) -> LinkFailure {
    LinkFailure::NoStream { host: host.name().to_owned(), command: host.remote_command().to_owned() }
}

/// The format is another one.
pub fn of_version(host: &SshHost, header: &RecordingHeader) -> LinkFailure {
    LinkFailure::OtherFormat {
        host: host.name().to_owned(),
        version: text::fit(&header.waltop, 20),
        major: header.format.major,
    }
}

/// ssh has ended with `status` and written `complaint`; `has_begun` if waltop there has sent its first line before.
pub fn of_end(host: &SshHost, status: Option<ExitStatus>, complaint: &str, has_begun: bool) -> LinkFailure {
    let name = host.name().to_owned();
    let last = last_line(complaint);
    match (status.and_then(|status| status.code()), last) {
        (Some(OF_SSH), _) => of_ssh(host, complaint, has_begun),
        (Some(code), _) if NOT_RUN.contains(&code) && !has_begun => {
            LinkFailure::NoWaltop { host: name, command: host.remote_command().to_owned() }
        }
        (Some(2), _) if !has_begun && !has_stream(host) => LinkFailure::OldWaltop { host: name },
        (Some(1..), Some(why)) => LinkFailure::Remote { host: name, why },
        (Some(_), _) if !has_begun => no_stream(host),
        _ => LinkFailure::Ended { host: name },
    }
}

/// A command there has ended with `status` and without an answer.
pub fn of_command(host: &SshHost, status: ExitStatus, complaint: &str) -> LinkFailure {
    let name = host.name().to_owned();
    match (status.code(), last_line(complaint)) {
        (Some(OF_SSH), _) => of_ssh(host, complaint, false),
        (Some(code), _) if NOT_RUN.contains(&code) => {
            LinkFailure::NoWaltop { host: name, command: host.remote_command().to_owned() }
        }
        (_, Some(why)) => LinkFailure::Remote { host: name, why },
        (_, None) => LinkFailure::Ended { host: name },
    }
}

/// What the failure of ssh itself means.
fn of_ssh(host: &SshHost, complaint: &str, has_begun: bool) -> LinkFailure {
    let name = host.name().to_owned();
    let lower = complaint.to_lowercase();
    let found = COMPLAINTS.iter().find(|(words, _)| lower.contains(words));
    match (found, last_line(complaint)) {
        (Some((_, failure)), _) => failure(name),
        (None, Some(why)) if !has_begun => LinkFailure::Ssh { host: name, why },
        (None, _) => LinkFailure::Ended { host: name },
    }
}

/// The last line of what a program has written to stderr, without the name of waltop.
fn last_line(complaint: &str) -> Option<String> {
    let line = complaint.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(text::fit(line.strip_prefix("waltop: ").unwrap_or(line), 300))
}

// Whether the waltop there has the command, of which it then has a manual page.
fn has_stream(host: &SshHost) -> bool {
    let words = ["man", "stream"].map(Into::into);
    let mut command = host.command(&words);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> SshHost {
        SshHost::new("web1", "ssh", "waltop").expect("a host")
    }

    #[test]
    fn what_ssh_writes_leads_to_its_kind() {
        let name = || "web1".to_owned();
        // As OpenSSH 9.2 writes them.
        for (complaint, expected) in [
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\r\n",
                LinkFailure::ChangedHostKey { host: name() },
            ),
            (
                "No ED25519 host key is known for [::1]:2222 and you have requested strict checking.\r\nHost key \
                 verification failed.\r\n",
                LinkFailure::UnknownHostKey { host: name() },
            ),
            ("me@web1: Permission denied (publickey,password).\r\n", LinkFailure::NoKey { host: name() }),
            (
                "ssh: Could not resolve hostname web1: Name or service not known\r\n",
                LinkFailure::NoHost { host: name() },
            ),
            (
                "ssh: connect to host web1 port 22: Connection refused\r\n",
                LinkFailure::Refused { host: name() },
            ),
            (
                "ssh: connect to host web1 port 22: Connection timed out\r\n",
                LinkFailure::NoAnswer { host: name() },
            ),
            (
                "/x/config: line 1: Bad configuration option: colour\r\n",
                LinkFailure::Ssh {
                    host: name(),
                    why: "/x/config: line 1: Bad configuration option: colour".to_owned(),
                },
            ),
        ] {
            assert_eq!(of_ssh(&host(), complaint, false), expected, "{complaint}");
        }
        let closed = "Connection to web1 closed by remote host.\r\n";
        assert_eq!(of_ssh(&host(), closed, true), LinkFailure::Ended { host: name() });
    }
}
