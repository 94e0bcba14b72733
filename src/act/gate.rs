//! Whether the console may change anything now, and the only way from a [`ConfirmedAction`] to its execution.

use crate::config::{Permit, ReadOnly};

use super::ConfirmedAction;

/// The console's safety switch. A read-only console has no permit in it, and nothing can add one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionGate {
    ReadOnly(ReadOnly),
    Disarmed(Permit),
    Armed(Permit),
}

/// A [`ConfirmedAction`] that was confirmed while the console was armed: nothing else can be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmedEffect {
    act: ConfirmedAction,
    permit: Permit,
}

/// Why an action is not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotArmed {
    /// This console can change nothing.
    #[error("{0}")]
    ReadOnly(#[from] ReadOnly),
    /// The user has disarmed the console.
    #[error("actions are disarmed")]
    Disarmed,
}

impl ActionGate {
    /// The state of a new console: armed if it may act at all.
    pub fn new(permit: Result<Permit, ReadOnly>) -> Self {
        permit.map_or_else(Self::ReadOnly, Self::Armed)
    }

    /// Disarms it, or arms it again.
    ///
    /// # Errors
    ///
    /// It is read-only.
    pub fn take_turn(&mut self) -> Result<(), ReadOnly> {
        *self = match *self {
            Self::ReadOnly(why) => return Err(why),
            Self::Disarmed(permit) => Self::Armed(permit),
            Self::Armed(permit) => Self::Disarmed(permit),
        };
        Ok(())
    }

    /// Whether it may act now.
    pub fn is_armed(self) -> bool {
        matches!(self, Self::Armed(_))
    }

    /// Whether it cannot even be armed.
    pub fn is_read_only(self) -> bool {
        matches!(self, Self::ReadOnly(_))
    }

    /// The permit to act now.
    ///
    /// # Errors
    ///
    /// It is read-only or disarmed.
    pub fn permit(self) -> Result<Permit, NotArmed> {
        match self {
            Self::ReadOnly(why) => Err(why.into()),
            Self::Disarmed(_) => Err(NotArmed::Disarmed),
            Self::Armed(permit) => Ok(permit),
        }
    }

    /// Confirms `act` for the user.
    ///
    /// # Errors
    ///
    /// It is read-only or disarmed.
    pub fn confirm(self, act: ConfirmedAction) -> Result<ConfirmedEffect, NotArmed> {
        self.permit().map(|permit| ConfirmedEffect { act, permit })
    }
}

impl ConfirmedEffect {
    /// The action.
    pub fn act(&self) -> &ConfirmedAction {
        &self.act
    }

    /// The action, and the permit to carry it out.
    pub fn into_parts(self) -> (ConfirmedAction, Permit) {
        (self.act, self.permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, state::places::Places};

    #[test]
    fn a_console_acts_only_while_it_is_armed() {
        let permit = || Config::new(Places::under("/nowhere".as_ref())).permit();
        let mut gate = ActionGate::new(permit());
        assert!(gate.is_armed() && !gate.is_read_only() && gate.permit().is_ok());
        gate.take_turn().expect("it may act");
        assert!(!gate.is_armed() && !gate.is_read_only());
        assert!(matches!(gate.permit(), Err(NotArmed::Disarmed)));
        gate.take_turn().expect("it may act");
        assert!(gate.is_armed() && gate.permit().is_ok());
    }
}
