//! Whether the console may change anything at the moment, and the one way from an [`ConfirmedAction`] to something that is done.

use crate::config::{Permit, ReadOnly};

use super::ConfirmedAction;

/// The console's safety catch. A read-only console has no permit in it, and nothing can put one there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionGate {
    ReadOnly(ReadOnly),
    Disarmed(Permit),
    Armed(Permit),
}

/// An [`ConfirmedAction`] that was confirmed while the console might act: nothing else can be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmedEffect {
    act: ConfirmedAction,
    permit: Permit,
}

/// Why an act is not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotArmed {
    /// Nothing can be changed by this console.
    #[error("{0}")]
    ReadOnly(#[from] ReadOnly),
    /// The user has taken the actions away from himself.
    #[error("actions are disarmed")]
    Disarmed,
}

impl ActionGate {
    /// As a console begins: armed where it may act at all.
    pub fn new(permit: Result<Permit, ReadOnly>) -> Self {
        permit.map_or_else(Self::ReadOnly, Self::Armed)
    }

    /// Disarms it, or arms it again.
    ///
    /// # Errors
    ///
    /// Where it is read-only.
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

    /// Whether it could act if it were armed.
    pub fn is_read_only(self) -> bool {
        matches!(self, Self::ReadOnly(_))
    }

    /// The leave to act now.
    ///
    /// # Errors
    ///
    /// Where it is read-only or disarmed.
    pub fn permit(self) -> Result<Permit, NotArmed> {
        match self {
            Self::ReadOnly(why) => Err(why.into()),
            Self::Disarmed(_) => Err(NotArmed::Disarmed),
            Self::Armed(permit) => Ok(permit),
        }
    }

    /// `act`, as confirmed by the user.
    ///
    /// # Errors
    ///
    /// Where it is read-only or disarmed.
    pub fn confirm(self, act: ConfirmedAction) -> Result<ConfirmedEffect, NotArmed> {
        self.permit().map(|permit| ConfirmedEffect { act, permit })
    }
}

impl ConfirmedEffect {
    /// What is to be done.
    pub fn act(&self) -> &ConfirmedAction {
        &self.act
    }

    /// What is to be done, and the leave to do it.
    pub fn into_parts(self) -> (ConfirmedAction, Permit) {
        (self.act, self.permit)
    }
}
