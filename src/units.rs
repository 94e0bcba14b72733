//! Sizes, durations and counts for people, in the same format everywhere.

use std::time::Duration;

/// `duration` in ms, with fractions.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// How long something has been seen to last, in ms, as a clause after it; empty if that is unknown.
pub fn for_at_least(ms: Option<f64>) -> String {
    ms.map(|ms| format!(" for at least {}", duration(ms))).unwrap_or_default()
}

/// `bytes` with a decimal unit and three digits: `160 kB`, `5.65 MB`, `78.2 MB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // 999.5 would be rounded to four digits.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{} {}", three_digits(value), UNITS[unit])
}

/// A rate in whole numbers from 10 on, and with one digit below: `11,306`, `0.4`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest integer in range, and NaN becomes 0"
)]
pub fn per_second(rate: f64) -> String {
    if rate < 9.95 { format!("{rate:.1}") } else { count(rate.round() as u64) }
}

/// `bytes` per second, as [`bytes`] writes them: `11.2 MB/s`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest integer in range, and NaN becomes 0"
)]
pub fn byte_rate(per_second: f64) -> String {
    format!("{}/s", bytes(per_second.round() as u64))
}

/// `ms` in at most two units: `0.4 ms`, `44 ms`, `1.6 s`, `1 m 2 s`, `3 d 20 h`. A duration that is negative or not a
/// number becomes `0 ms`.
pub fn duration(ms: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest integer in range, and NaN becomes 0"
    )]
    let whole = |value: f64| value.round() as u64;
    if ms.is_nan() || ms < 0.05 {
        return "0 ms".to_owned();
    }
    if ms < 9.95 {
        return trim_zero(&format!("{ms:.1}"), "ms");
    }
    if ms < 999.5 {
        return format!("{} ms", whole(ms));
    }
    if ms < 59_950.0 {
        return trim_zero(&format!("{:.1}", ms / 1000.0), "s");
    }
    let seconds = whole(ms / 1000.0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if hours == 0 {
        two_units(minutes, "m", seconds % 60, "s")
    } else if days == 0 {
        two_units(hours, "h", minutes % 60, "m")
    } else {
        two_units(days, "d", hours % 24, "h")
    }
}

/// `count` with its digits in groups of three: `18,219`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `number` with its noun, in the singular for one: `1 frame`, `18,219 frames`, `2 processes`.
pub fn plural(number: u64, noun: &str) -> String {
    let ending = match number {
        1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", count(number))
}

fn three_digits(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

fn trim_zero(number: &str, unit: &str) -> String {
    format!("{} {unit}", number.strip_suffix(".0").unwrap_or(number))
}

fn two_units(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_a_fraction_only_where_they_are_small() {
        assert_eq!([0.04, 9.94, 9.96, 11_305.8].map(per_second), ["0.0", "9.9", "10", "11,306"]);
        assert_eq!(byte_rate(11_200_000.0), "11.2 MB/s");
    }

    #[test]
    fn sizes_have_three_digits() {
        let sizes =
            [0, 999, 1000, 163_840, 5_650_000, 78_200_032, 999_499, 999_500, 115_000_000_000, u64::MAX];
        assert_eq!(
            sizes.map(bytes),
            [
                "0 B", "999 B", "1.00 kB", "164 kB", "5.65 MB", "78.2 MB", "999 kB", "1.00 MB", "115 GB",
                "18.4 EB"
            ]
        );
    }

    #[test]
    fn durations_change_their_unit_where_they_outgrow_it() {
        let durations = [
            0.0,
            0.04,
            0.36,
            7.0,
            9.96,
            43.7,
            999.4,
            999.6,
            1_600.0,
            59_940.0,
            59_960.0,
            62_000.0,
            3_599_600.0,
            331_200_000.0,
        ];
        assert_eq!(
            durations.map(duration),
            [
                "0 ms", "0 ms", "0.4 ms", "7 ms", "10 ms", "44 ms", "999 ms", "1 s", "1.6 s", "59.9 s",
                "1 m", "1 m 2 s", "1 h", "3 d 20 h"
            ]
        );
        assert_eq!([f64::NAN, -1.0].map(duration), ["0 ms", "0 ms"]);
    }

    #[test]
    fn counts_are_grouped_and_agree_with_their_noun() {
        assert_eq!(
            [0, 812, 1446, 18_219, 1_000_000].map(count),
            ["0", "812", "1,446", "18,219", "1,000,000"]
        );
        assert_eq!([0, 1, 2000].map(|it| plural(it, "frame")), ["0 frames", "1 frame", "2,000 frames"]);
        assert_eq!(
            [0, 1, 2000].map(|it| plural(it, "process")),
            ["0 processes", "1 process", "2,000 processes"]
        );
    }
}
