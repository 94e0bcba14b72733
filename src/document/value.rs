//! Durations, sizes, shares and paths, as people write them into a file of settings.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{Span, SpanRelativeTo};

use super::{Error, Item};

/// Longer than anything that is meant, and short enough to be added to any time without a second thought.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

/// What paths in a file of settings are relative to.
#[derive(Debug, Clone)]
pub struct Base {
    /// What `~` means.
    pub home: Option<PathBuf>,
    /// The file's own folder.
    pub folder: PathBuf,
}

impl Base {
    /// What paths in the file `file` of this user are relative to.
    #[must_use]
    pub fn of(file: &Path) -> Self {
        Self {
            home: directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned()),
            folder: file.parent().unwrap_or(Path::new("")).to_owned(),
        }
    }
}

/// A duration above nothing: `"500ms"`, `"1m 30s"`, `"24h"`, `"7d"` (days of 24 hours).
///
/// # Errors
///
/// Where it is something else, or longer than ten years.
pub fn duration(item: &Item<'_>) -> Result<Duration, Error> {
    match item.is_text().map_or(Err(NoDuration::Other), duration_of) {
        Ok(duration) => Ok(duration),
        Err(NoDuration::TooLong) => Err(item.wrong("is longer than ten years")),
        Err(NoDuration::Other) => {
            Err(item.wrong(r#"takes a duration above nothing, as in "500ms", "30s", "10m" or "24h""#))
        }
    }
}

/// Why a text is no duration that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDuration {
    /// It is nothing, negative, of months, or no duration at all.
    #[error("give a duration as in 500ms, 2s or 1m")]
    Other,
    /// Nobody means that, and no clock goes that far.
    #[error("that is longer than ten years; give a duration as in 500ms, 2s or 1m")]
    TooLong,
}

/// The same as a text alone, wherever it comes from.
///
/// # Errors
///
/// Where it is something else, or longer than ten years.
pub fn duration_of(text: &str) -> Result<Duration, NoDuration> {
    let span: Span = text.parse().map_err(|_| NoDuration::Other)?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| NoDuration::Other)?;
    match Duration::try_from(signed) {
        Ok(duration) if duration.is_zero() => Err(NoDuration::Other),
        Ok(duration) if duration > LONGEST => Err(NoDuration::TooLong),
        Ok(duration) => Ok(duration),
        Err(_) => Err(NoDuration::Other),
    }
}

/// A size above nothing, in bytes: `67108864`, `"64MiB"`, `"64 MB"`.
///
/// # Errors
///
/// Where it is something else, or more than there are bytes.
pub fn bytes(item: &Item<'_>) -> Result<u64, Error> {
    let bytes = match (item.is_text(), item.is_whole()) {
        (Some(text), _) => bytes_of(text),
        (_, whole) => whole.and_then(|whole| u64::try_from(whole).ok()),
    };
    let wrong = || item.wrong(r#"takes a size above nothing, as in "64MiB", "64MB" or 67108864"#);
    bytes.filter(|&bytes| bytes > 0).ok_or_else(wrong)
}

/// Why a text is no size that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give a size above nothing, as in 64MiB, 64MB or 67108864")]
pub struct NoSize;

/// The same as a text alone, wherever it comes from.
///
/// # Errors
///
/// Where it is something else, or more than there are bytes.
pub fn size_of(text: &str) -> Result<u64, NoSize> {
    bytes_of(text).filter(|&bytes| bytes > 0).ok_or(NoSize)
}

fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A share above nothing: `0.5`.
///
/// # Errors
///
/// Where it is something else.
pub fn share(item: &Item<'_>) -> Result<f64, Error> {
    let wrong = || item.wrong("takes a number above 0, as in 0.5");
    item.is_number().filter(|share| *share > 0.0 && share.is_finite()).ok_or_else(wrong)
}

/// A whole number from 1.
///
/// # Errors
///
/// Where it is something else.
pub fn count(item: &Item<'_>) -> Result<u32, Error> {
    let count = item.is_whole().and_then(|whole| u32::try_from(whole).ok());
    count.filter(|&count| count > 0).ok_or_else(|| item.wrong("takes a whole number from 1"))
}

/// A path: absolute, below `~`, or below the folder of the file that it stands in.
///
/// # Errors
///
/// Where it is no text, empty, or begins with the home of somebody else.
pub fn path(item: &Item<'_>, base: &Base) -> Result<PathBuf, Error> {
    let text = item.words()?;
    if text.contains('\0') {
        return Err(item.wrong("holds a NUL, which no path does"));
    }
    let path = Path::new(text);
    match (path.strip_prefix("~"), &base.home) {
        (Ok(rest), Some(home)) => Ok(home.join(rest)),
        (Ok(_), None) => {
            Err(item.wrong("begins with ~, and there is no home directory; write the whole path"))
        }
        (Err(_), _) if text.starts_with('~') => {
            Err(item.wrong("begins with the home of a user; write the whole path"))
        }
        (Err(_), _) => Ok(base.folder.join(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    fn read<T>(value: &str, read: impl FnOnce(&Item<'_>) -> Result<T, Error>) -> Option<T> {
        let document = Document::new(Path::new("c.toml"), &format!("it = {value}"));
        document.with(|table| read(&table.need("it")?)).ok()
    }

    #[test]
    fn durations_are_written_as_people_do() {
        let of = |value| read(value, duration).map(|it| it.as_millis());
        assert_eq!(of(r#""500ms""#), Some(500));
        assert_eq!(of(r#""1m 30s""#), Some(90_000));
        assert_eq!(of(r#""24h""#), of(r#""1d""#));
        for nonsense in [
            r#""""#,
            r#""0s""#,
            r#""-2s""#,
            r#""two""#,
            r#""5""#,
            "5",
            r#""1mo""#,
            r#""90000h""#,
            "[]",
            "1.5",
        ] {
            assert_eq!(of(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_duration_too_long_for_any_clock_is_told_apart() {
        assert_eq!(duration_of("3650d"), Ok(LONGEST));
        for long in ["3651d", "90000h", "9000000000s", "5000000000000ms"] {
            assert_eq!(duration_of(long), Err(NoDuration::TooLong), "{long}");
        }
        for nonsense in ["", "0s", "-2s", "two", "5", "1mo", "99999999999999999999s"] {
            assert_eq!(duration_of(nonsense), Err(NoDuration::Other), "{nonsense}");
        }
    }

    #[test]
    fn sizes_are_decimal_or_binary() {
        let of = |value| read(value, bytes);
        assert_eq!(of(r#""64MiB""#), Some(67_108_864));
        assert_eq!(of(r#""64 mb""#), Some(64_000_000));
        assert_eq!(of("1_000"), Some(1000));
        assert_eq!(of("0x10"), Some(16));
        for nonsense in ["0", "-1", "1.5", r#""64 parsecs""#, r#""MiB""#, r#""-1MB""#, r#""99999999TiB""#] {
            assert_eq!(of(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn shares_and_counts_are_above_nothing() {
        assert_eq!(["0.5", "2", "1e3"].map(|it| read(it, share)), [Some(0.5), Some(2.0), Some(1000.0)]);
        assert!(["0", "-0.5", "inf", "nan", r#""1""#].iter().all(|it| read(it, share).is_none()));
        assert_eq!(read("8", count), Some(8));
        assert!(["0", "-8", "8.0", "4294967296", r#""8""#].iter().all(|it| read(it, count).is_none()));
    }

    #[test]
    fn a_path_is_absolute_below_home_or_below_the_file() {
        let base = Base { home: Some("/home/me".into()), folder: "/etc/waltop".into() };
        let of = |value| read(value, |item| path(item, &base)).map(|it| it.display().to_string());
        assert_eq!(of(r#""~/a.db""#).as_deref(), Some("/home/me/a.db"));
        assert_eq!(of(r#""/srv/a.db""#).as_deref(), Some("/srv/a.db"));
        assert_eq!(of(r#""a.db""#).as_deref(), Some("/etc/waltop/a.db"));
        assert!([r#""""#, r#""~you/a.db""#, "1", r#""a\u0000""#].iter().all(|it| of(it).is_none()));
    }
}
