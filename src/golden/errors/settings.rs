use super::{Lines, cause, examples, path};
use crate::{
    config::{
        ConfigError, DurationError, ReadOnly, SizeError, profile::ProfileError, settings_file::SettingsError,
    },
    console::{ConsoleError, log_file::LogFileError},
    demo::DemoError,
    hosts::LinkFailure,
    keymap::KeyError,
    replay::ReplayError,
    snapshot::UnknownFinding,
    state::places::NoHome,
};

pub fn add(lines: &mut Lines) {
    examples!(*lines, SettingsError {
        SettingsError::Missing { .. } => [SettingsError::Missing { path: file() }],
        SettingsError::Unreadable { .. } => [SettingsError::Unreadable { path: file(), cause: cause() }],
        SettingsError::NotAFile { .. } => [SettingsError::NotAFile { path: file(), what: "a directory" }],
        SettingsError::Line { .. } => [
            SettingsError::Line { path: file(), line: 3, what: "unknown key `them`; did you mean `theme`?".to_owned() },
        ],
    });
    examples!(*lines, ProfileError {
        ProfileError::Unknown { .. } => [ProfileError::Unknown {
            name: "quee".to_owned(),
            nearest: "queue".to_owned(),
            folder: "/home/me/.config/waltop/profiles".into(),
        }],
        ProfileError::Taken { .. } => [ProfileError::Taken { path: "/srv/queue.toml".into() }],
        ProfileError::File(_) => [ProfileError::File(SettingsError::Missing { path: file() })],
    });
    examples!(*lines, ConfigError {
        ConfigError::NoHome(_) => [ConfigError::NoHome(NoHome)],
        ConfigError::File(_) => [ConfigError::File(SettingsError::Missing { path: file() })],
        ConfigError::Profile(_) => [ConfigError::Profile(ProfileError::Taken { path: "/srv/queue.toml".into() })],
    });
    examples!(*lines, DurationError {
        DurationError::Form => [DurationError::Form],
        DurationError::TooLong => [DurationError::TooLong],
    });
    examples!(*lines, SizeError { SizeError => [SizeError] });
    examples!(*lines, ReadOnly {
        ReadOnly::Settings => [ReadOnly::Settings],
        ReadOnly::Replay => [ReadOnly::Replay],
    });
    examples!(*lines, KeyError {
        KeyError::Unknown { .. } => [
            KeyError::Unknown { written: "F13".to_owned(), nearest: "F12".to_owned() },
        ],
        KeyError::Same { .. } => [KeyError::Same { written: "Ctrl-I".to_owned(), sent: "Tab" }],
    });
    examples!(*lines, UnknownFinding {
        UnknownFinding { .. } => [UnknownFinding { name: "pined-wal".to_owned(), nearest: "pinned-wal" }],
    });
    examples!(*lines, ConsoleError {
        ConsoleError::NoTerminal => [ConsoleError::NoTerminal],
        ConsoleError::Io(_) => [ConsoleError::Io(cause())],
        ConsoleError::Replay(_) => [ConsoleError::Replay(ReplayError::Thread(cause()))],
        ConsoleError::Link(_) => [ConsoleError::Link(LinkFailure::NoHost { host: "web1".to_owned() })],
        ConsoleError::LogFile(_) => [ConsoleError::LogFile(LogFileError::OtherDatabase(path()))],
    });
    examples!(*lines, LogFileError {
        LogFileError::Kind { .. } => [LogFileError::Kind { path: log(), what: "a directory" }],
        LogFileError::SidecarName { .. } => [
            LogFileError::SidecarName { path: "/srv/notes.db-wal".into(), suffix: "-wal" },
        ],
        LogFileError::Database { .. } => [LogFileError::Database { path: log(), database: path() }],
        LogFileError::OtherDatabase(_) => [LogFileError::OtherDatabase(path())],
        LogFileError::OtherContent(_) => [LogFileError::OtherContent(log())],
        LogFileError::Open { .. } => [LogFileError::Open { path: log(), cause: cause() }],
    });
    examples!(*lines, DemoError {
        DemoError::NoTerminal => [DemoError::NoTerminal],
        DemoError::Io(_) => [DemoError::Io(cause())],
        DemoError::Actor { .. } => [DemoError::Actor { role: "reader", answer: "error: disk I/O error".to_owned() }],
    });
}

fn file() -> std::path::PathBuf {
    "/home/me/config.toml".into()
}

fn log() -> std::path::PathBuf {
    "/home/me/waltop.log".into()
}
