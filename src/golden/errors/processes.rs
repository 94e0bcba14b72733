use super::{Lines, SECONDS, cause, examples};
use crate::{
    act::{
        gate::NotArmed,
        signal::{AfterCheck, SignalRefusal, StopSignal, UnprovenProgram},
        worker::WorkerError,
    },
    config::ReadOnly,
    observe::proc::program::ProgramError,
    snapshot::StaleProtection,
};

const PID: i32 = 71_168;

pub fn add(lines: &mut Lines) {
    let unproven = |fact, after| SignalRefusal::Unproven { pid: PID, signal: StopSignal::Kill, fact, after };
    let protected = StaleProtection::Rule { rule: "server".to_owned() };
    examples!(*lines, SignalRefusal {
        SignalRefusal::Gone { .. } => [SignalRefusal::Gone { pid: PID }],
        SignalRefusal::Reused { .. } => [SignalRefusal::Reused { pid: PID }],
        SignalRefusal::Forbidden { .. } => [
            SignalRefusal::Forbidden { pid: PID, why: "Operation not permitted".to_owned() },
        ],
        SignalRefusal::Protected { .. } => [SignalRefusal::Protected { pid: PID, what: "waltop itself" }],
        SignalRefusal::Foreign { .. } => [SignalRefusal::Foreign { pid: PID }],
        SignalRefusal::Spared { .. } => [SignalRefusal::Spared { pid: PID, why: protected.clone() }],
        SignalRefusal::Split { .. } => [SignalRefusal::Split { pid: PID }],
        SignalRefusal::NotStale { .. } => [SignalRefusal::NotStale { pid: PID }],
        SignalRefusal::Elsewhere { .. } => [SignalRefusal::Elsewhere { pid: PID }],
        SignalRefusal::Nameless { .. } => [SignalRefusal::Nameless { pid: PID }],
        SignalRefusal::There { .. } => [
            SignalRefusal::There { pid: PID, why: "waltop on web1: 4821 is already gone".to_owned() },
        ],
        SignalRefusal::Unpinned { .. } => [SignalRefusal::Unpinned { pid: PID }],
        SignalRefusal::Unsupported { .. } => [SignalRefusal::Unsupported { pid: PID }],
        SignalRefusal::Unproven { .. } => [
            unproven(UnprovenProgram::OtherExecutable, AfterCheck::Untouched),
            unproven(UnprovenProgram::NoDescriptor, AfterCheck::Continued),
            unproven(UnprovenProgram::Changing, AfterCheck::StillStopped),
        ],
    });
    let why = || "Permission denied".to_owned();
    examples!(*lines, UnprovenProgram {
        UnprovenProgram::OtherExecutable => [UnprovenProgram::OtherExecutable],
        UnprovenProgram::NoDescriptor => [UnprovenProgram::NoDescriptor],
        UnprovenProgram::Unlisted(_) => [UnprovenProgram::Unlisted("executable")],
        UnprovenProgram::Unreadable { .. } => [UnprovenProgram::Unreadable { what: "executable", why: why() }],
        UnprovenProgram::Changing => [UnprovenProgram::Changing],
        UnprovenProgram::NotStopped { .. } => [UnprovenProgram::NotStopped { tid: PID, state: 'D' }],
        UnprovenProgram::Continued { .. } => [UnprovenProgram::Continued { tid: PID, state: 'R' }],
    });
    examples!(*lines, NotArmed {
        NotArmed::ReadOnly(_) => [NotArmed::ReadOnly(ReadOnly::Settings)],
        NotArmed::Disarmed => [NotArmed::Disarmed],
    });
    examples!(*lines, WorkerError {
        WorkerError::Start(_) => [WorkerError::Start(cause())],
        WorkerError::Refused(_) => [WorkerError::Refused("no checkpoint".to_owned())],
        WorkerError::Late(_) => [WorkerError::Late(SECONDS)],
        WorkerError::Answer(_) => [
            WorkerError::Answer(serde_json::from_str::<u8>("{").expect_err("it is cut off")),
        ],
    });
    examples!(*lines, ProgramError {
        ProgramError::Gone => [ProgramError::Gone],
        ProgramError::Unreadable { .. } => [ProgramError::Unreadable { what: "executable", source: cause() }],
        ProgramError::Changing => [ProgramError::Changing],
    });
}
