//! What became known of a time without a link.

use std::fmt;

use jiff::SignedDuration;

use super::LinkFailure;
use crate::units;

/// What was learned of a time without a link once it was there again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedTimeReport {
    pub host: String,
    /// How long there was no link.
    pub missed: SignedDuration,
    pub found: FoundTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundTime {
    /// A recorder there has recorded all of it but `unwatched`.
    Recorded { unwatched: SignedDuration },
    /// No recorder there has recorded it.
    Nothing,
    /// The host could not be asked, or cannot answer.
    Unknown(LinkFailure),
}

impl fmt::Display for MissedTimeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, missed, found } = self;
        let length = |it: &SignedDuration| units::duration(units::milliseconds(it.unsigned_abs()));
        let missed = length(missed);
        match found {
            FoundTime::Recorded { unwatched } => {
                write!(f, "the recorder on {host} has recorded the {missed} without a link")?;
                if unwatched.is_zero() {
                    return Ok(());
                }
                write!(f, ", but {} of them were not watched", length(unwatched))
            }
            FoundTime::Nothing => {
                write!(
                    f,
                    "no recorder on {host} has recorded the {missed} without a link: they stay not watched"
                )
            }
            FoundTime::Unknown(why) => {
                write!(f, "the {missed} without a link to {host} stay not watched: {why}")
            }
        }
    }
}
