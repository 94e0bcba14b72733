use super::{Lines, SECONDS, examples};
use jiff::SignedDuration;

use crate::{
    hosts::{FoundTime, LinkFailure, MissedTimeReport},
    remote::HostError,
};

pub fn add(lines: &mut Lines) {
    let host = || "web1".to_owned();
    let command = || "waltop".to_owned();
    examples!(*lines, HostError {
        HostError::Name(_) => [HostError::Name("-oProxyCommand=x".to_owned())],
        HostError::Ssh(_) => [HostError::Ssh("ssh 'x".to_owned())],
        HostError::RemoteCommand => [HostError::RemoteCommand],
    });
    examples!(*lines, LinkFailure {
        LinkFailure::NoSsh { .. } => [
            LinkFailure::NoSsh { program: "ssh".to_owned(), why: "entity not found".to_owned() },
        ],
        LinkFailure::UnknownHostKey { .. } => [LinkFailure::UnknownHostKey { host: host() }],
        LinkFailure::ChangedHostKey { .. } => [LinkFailure::ChangedHostKey { host: host() }],
        LinkFailure::NoKey { .. } => [LinkFailure::NoKey { host: host() }],
        LinkFailure::NoHost { .. } => [LinkFailure::NoHost { host: host() }],
        LinkFailure::Refused { .. } => [LinkFailure::Refused { host: host() }],
        LinkFailure::NoAnswer { .. } => [LinkFailure::NoAnswer { host: host() }],
        LinkFailure::Ssh { .. } => [
            LinkFailure::Ssh { host: host(), why: "Bad configuration option: colour".to_owned() },
        ],
        LinkFailure::NoWaltop { .. } => [LinkFailure::NoWaltop { host: host(), command: command() }],
        LinkFailure::OldWaltop { .. } => [LinkFailure::OldWaltop { host: host() }],
        LinkFailure::OtherFormat { .. } => [
            LinkFailure::OtherFormat { host: host(), version: "9.0.0".to_owned(), major: 9 },
        ],
        LinkFailure::Remote { .. } => [
            LinkFailure::Remote { host: host(), why: "no such file: notes.db".to_owned() },
        ],
        LinkFailure::NoStream { .. } => [LinkFailure::NoStream { host: host(), command: command() }],
        LinkFailure::Silent(..) => [LinkFailure::Silent(SECONDS, host())],
        LinkFailure::Ended { .. } => [LinkFailure::Ended { host: host() }],
    });
    let report = |found| MissedTimeReport { host: host(), missed: SignedDuration::from_secs(38), found };
    let recorded = |seconds| FoundTime::Recorded { unwatched: SignedDuration::from_secs(seconds) };
    examples!(*lines, MissedTimeReport {
        MissedTimeReport { found: FoundTime::Recorded { .. }, .. } => [report(recorded(0)), report(recorded(12))],
        MissedTimeReport { found: FoundTime::Nothing, .. } => [report(FoundTime::Nothing)],
        MissedTimeReport { found: FoundTime::Unknown(_), .. } => [
            report(FoundTime::Unknown(LinkFailure::Refused { host: host() })),
        ],
    });
}
