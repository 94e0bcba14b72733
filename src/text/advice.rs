//! An error as a fact and what the user can do about it, and the one line that both make.

/// An error in two parts. Its `Display` is [`Advised::line`].
pub trait Advised {
    /// What went wrong, and to what.
    fn fact(&self) -> String;

    /// What the user can do.
    fn advice(&self) -> Option<String>;

    /// Whether the same command continues where it stopped if it is run again. A caller that does that by itself
    /// prints [`Advised::line_for_retry`].
    fn is_resumable(&self) -> bool {
        false
    }

    /// Fact and advice as one line.
    fn line(&self) -> String {
        let again = self.is_resumable().then_some("run this again to resume");
        let advice = match (self.advice(), again) {
            (Some(advice), Some(again)) => Some(format!("{advice}, then {again}")),
            (advice, again) => advice.or(again.map(str::to_owned)),
        };
        joined(self.fact(), advice)
    }

    /// The same for a caller that runs the command again by itself.
    fn line_for_retry(&self) -> String {
        joined(self.fact(), self.advice())
    }
}

fn joined(fact: String, advice: Option<String>) -> String {
    match advice {
        Some(advice) => format!("{fact}; {advice}"),
        None => fact,
    }
}

/// Makes the `Display` of advised errors their line.
macro_rules! display_as_line {
    ($($error:ty),+) => {
        $(impl std::fmt::Display for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&$crate::text::Advised::line(self))
            }
        })+
    };
}
pub(crate) use display_as_line;

#[cfg(test)]
mod tests {
    use super::*;

    struct Failure {
        advice: Option<&'static str>,
        is_resumable: bool,
    }

    impl Advised for Failure {
        fn fact(&self) -> String {
            "it failed".to_owned()
        }

        fn advice(&self) -> Option<String> {
            self.advice.map(str::to_owned)
        }

        fn is_resumable(&self) -> bool {
            self.is_resumable
        }
    }

    #[test]
    fn a_line_joins_what_there_is() {
        for (advice, is_resumable, line, for_retry) in [
            (None, false, "it failed", "it failed"),
            (Some("mend it"), false, "it failed; mend it", "it failed; mend it"),
            (None, true, "it failed; run this again to resume", "it failed"),
            (
                Some("mend it"),
                true,
                "it failed; mend it, then run this again to resume",
                "it failed; mend it",
            ),
        ] {
            let failure = Failure { advice, is_resumable };
            assert_eq!((failure.line().as_str(), failure.line_for_retry().as_str()), (line, for_retry));
        }
    }
}
