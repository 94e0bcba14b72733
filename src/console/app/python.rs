//! The stack of a Python process, in its open details.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::{
    act::{Effect, signal::SignalTarget},
    snapshot::Process,
};

use super::{App, DetailsSubject, Notice, Overlay, selection::target};

/// The stack that was asked for last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonStack {
    pub target: SignalTarget,
    /// When it was read, or asked for.
    pub at: Timestamp,
    /// Its lines, or why there are none; `None`: it is awaited.
    pub lines: Option<Result<Vec<String>, String>>,
}

impl App {
    /// The program that shows the stack of the process of the open details, if that process runs Python.
    pub(super) fn stack_program(&self) -> Option<(PathBuf, SignalTarget)> {
        let Some(Overlay::Details(DetailsSubject::Process(_))) = self.overlay else { return None };
        let process = self.stop_subject().filter(|process| runs_python(process))?;
        Some((self.setup.py_spy.clone()?, target(process)?))
    }

    #[must_use]
    pub(super) fn ask_stack(&mut self) -> Vec<Effect> {
        let Some((program, target)) = self.stack_program() else {
            return vec![self.notify(Notice::NoStack)];
        };
        self.python_stack = Some(PythonStack { target, at: self.now, lines: None });
        vec![Effect::PythonStack { program, target }]
    }

    pub(super) fn stack_arrived(&mut self, target: SignalTarget, lines: Result<Vec<String>, String>) {
        if let Some(stack) = self.python_stack.as_mut().filter(|stack| stack.target == target) {
            (stack.at, stack.lines) = (self.now, Some(lines));
        }
    }

    /// The stack of the process `target`, if it was asked for.
    pub fn stack_of(&self, target: SignalTarget) -> Option<&PythonStack> {
        self.python_stack.as_ref().filter(|stack| stack.target == target)
    }

    /// Whether a key shows the stack of `process`.
    pub fn offers_stack(&self, process: &Process) -> bool {
        self.setup.py_spy.is_some() && runs_python(process)
    }
}

fn runs_python(process: &Process) -> bool {
    let program = process.origin.executable.as_ref().and_then(|it| it.path.rsplit('/').next());
    program.unwrap_or(&process.name).starts_with("python")
}
