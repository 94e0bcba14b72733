//! A time as a user writes it: `03:12:07`, `2026-11-30 03:12`, `10 min ago`.

use jiff::{SignedDuration, SpanRelativeTo, Timestamp, Zoned, civil};

/// A text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("give a time as in 03:12:07, \"2026-11-30 03:12:07\" or \"10 min ago\"")]
pub struct TimeError;

/// The time that `text` means at `now`, in the zone of `now`. A time without a date is the latest past one.
///
/// # Errors
///
/// It is no time, or none that exists.
pub fn time_of(text: &str, now: &Zoned) -> Result<Timestamp, TimeError> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("now") {
        return Ok(now.timestamp());
    }
    if let Some(ago) = text.strip_suffix("ago") {
        return before(ago.trim(), now);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    if let Ok(at) = text.parse::<civil::DateTime>()
        && text.len() > "2026-11-30".len()
    {
        return at.to_zoned(now.time_zone().clone()).map(|at| at.timestamp()).map_err(|_| TimeError);
    }
    let time: civil::Time = text.parse().map_err(|_| TimeError)?;
    let on = |date: civil::Date| date.to_datetime(time).to_zoned(now.time_zone().clone());
    let today = on(now.date()).map_err(|_| TimeError)?;
    if today.timestamp() <= now.timestamp() {
        return Ok(today.timestamp());
    }
    let yesterday = now.date().yesterday().map_err(|_| TimeError)?;
    on(yesterday).map(|at| at.timestamp()).map_err(|_| TimeError)
}

fn before(ago: &str, now: &Zoned) -> Result<Timestamp, TimeError> {
    let span: jiff::Span = ago.parse().map_err(|_| TimeError)?;
    let length: SignedDuration =
        span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| TimeError)?;
    now.timestamp().checked_sub(length).map_err(|_| TimeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<String, TimeError> {
        let now: Zoned = "2026-11-30T03:14:00+01:00[Europe/Berlin]".parse().expect("a time");
        time_of(text, &now).map(|at| at.to_string())
    }

    #[test]
    fn a_time_without_a_date_is_the_latest_past_one_in_the_local_zone() {
        for (text, expected) in [
            ("03:12:07", "2026-11-30T02:12:07Z"),
            ("03:12", "2026-11-30T02:12:00Z"),
            ("03:14:00", "2026-11-30T02:14:00Z"),
            ("03:14:01", "2026-11-29T02:14:01Z"),
            ("23:59:59.5", "2026-11-29T22:59:59.5Z"),
            ("2026-11-29 03:12:07", "2026-11-29T02:12:07Z"),
            ("2026-07-01T12:00", "2026-07-01T10:00:00Z"),
            ("2026-11-29T03:12:07Z", "2026-11-29T03:12:07Z"),
            ("10 min ago", "2026-11-30T02:04:00Z"),
            ("1h 30m ago", "2026-11-30T00:44:00Z"),
            ("2 days ago", "2026-11-28T02:14:00Z"),
            ("now", "2026-11-30T02:14:00Z"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "ago", "3 apples ago", "25:00", "2026-11-30", "yesterday", "-5m ago ago"] {
            assert_eq!(at(text), Err(TimeError), "{text}");
        }
    }
}
