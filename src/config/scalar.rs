//! Values with their own syntax in a settings file: durations, sizes, paths, keys.

use std::{
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{Span, SpanRelativeTo};
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Unexpected, Visitor},
};

/// Ten years. A larger sum would overflow clocks.
const MAX_DURATION: Duration = Duration::from_hours(10 * 365 * 24);

/// A value as TOML writes it.
#[derive(Debug, Clone, Copy)]
pub enum Written<'a> {
    Text(&'a str),
    Integer(i64),
    Float(f64),
    Switch(bool),
}

/// Why a [`Written`] is not a value of the wanted type.
#[derive(Debug)]
pub enum ScalarError {
    /// It is not what [`Scalar::EXPECTED`] says.
    Form,
    Other(String),
}

/// A type that a single TOML value can represent.
pub trait Scalar: Sized {
    const EXPECTED: &'static str;

    fn of(written: Written<'_>) -> Result<Self, ScalarError>;
}

/// For `#[serde(deserialize_with = …)]`.
pub fn scalar<'de, D: Deserializer<'de>, T: Scalar>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(ScalarVisitor::<T>(PhantomData))
}

/// The same for an optional key, with `#[serde(default)]`.
pub fn optional<'de, D: Deserializer<'de>, T: Scalar>(deserializer: D) -> Result<Option<T>, D::Error> {
    scalar(deserializer).map(Some)
}

/// One value, or a list of values.
#[derive(Debug)]
pub enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<'de, T: Scalar> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// A [`Scalar`] as an element of a list.
#[derive(Debug)]
struct Element<T>(T);

impl<'de, T: Scalar> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer).map(Self)
    }
}

struct ScalarVisitor<T>(PhantomData<T>);

struct ListVisitor<T>(PhantomData<T>);

fn read<T: Scalar, E: de::Error>(written: Written<'_>) -> Result<T, E> {
    T::of(written).map_err(|error| match (error, written) {
        (ScalarError::Other(message), _) => E::custom(message),
        (ScalarError::Form, Written::Text(text)) => E::invalid_value(Unexpected::Str(text), &T::EXPECTED),
        (ScalarError::Form, Written::Integer(it)) => E::invalid_value(Unexpected::Signed(it), &T::EXPECTED),
        (ScalarError::Form, Written::Float(it)) => E::invalid_value(Unexpected::Float(it), &T::EXPECTED),
        (ScalarError::Form, Written::Switch(it)) => E::invalid_value(Unexpected::Bool(it), &T::EXPECTED),
    })
}

/// The methods of a visitor that pass each kind of value to `read`.
macro_rules! visit_written {
    ($each:expr) => {
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            read(Written::Text(text)).map($each)
        }
        fn visit_i64<E: de::Error>(self, integer: i64) -> Result<Self::Value, E> {
            read(Written::Integer(integer)).map($each)
        }
        fn visit_f64<E: de::Error>(self, float: f64) -> Result<Self::Value, E> {
            read(Written::Float(float)).map($each)
        }
        fn visit_bool<E: de::Error>(self, switch: bool) -> Result<Self::Value, E> {
            read(Written::Switch(switch)).map($each)
        }
    };
}

impl<T: Scalar> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    visit_written!(|one| one);
}

impl<'de, T: Scalar> Visitor<'de> for ListVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a list", T::EXPECTED)
    }

    visit_written!(OneOrMany::One);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(Element(element)) = list.next_element()? {
            elements.push(element);
        }
        Ok(OneOrMany::Many(elements))
    }
}

/// Base folders for paths in a settings file.
#[derive(Debug, Clone)]
pub struct BaseFolders {
    /// Replaces `~`.
    pub home: Option<PathBuf>,
    /// The folder of the file.
    pub folder: PathBuf,
}

impl BaseFolders {
    pub fn of(file: &Path) -> Self {
        Self {
            home: directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned()),
            folder: file.parent().unwrap_or(Path::new("")).to_owned(),
        }
    }

    /// `path` as an absolute path; an error if it starts with `~` and there is no home directory.
    pub fn absolute(&self, path: &Path) -> Result<PathBuf, &'static str> {
        match (path.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) => Ok(home.join(rest)),
            (Ok(_), None) => Err("it begins with ~, and there is no home directory; write the whole path"),
            (Err(_), _) => Ok(self.folder.join(path)),
        }
    }
}

/// A path that is absolute, below `~` or below the folder of its file.
#[derive(Debug, Clone)]
pub struct WrittenPath(pub PathBuf);

impl<'de> Deserialize<'de> for WrittenPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer)
    }
}

impl Scalar for WrittenPath {
    const EXPECTED: &'static str = "a path in quotes";

    fn of(written: Written<'_>) -> Result<Self, ScalarError> {
        let Written::Text(text) = written else { return Err(ScalarError::Form) };
        if text.trim().is_empty() {
            return Err(ScalarError::Form);
        }
        if text.contains('\0') {
            return Err(ScalarError::Other("a path cannot contain NUL".to_owned()));
        }
        if text.starts_with('~') && !Path::new(text).starts_with("~") {
            return Err(ScalarError::Other(format!("cannot expand {text}; write the whole path")));
        }
        Ok(Self(PathBuf::from(text)))
    }
}

/// Text that is not blank.
impl Scalar for String {
    const EXPECTED: &'static str = "text that is not blank";

    fn of(written: Written<'_>) -> Result<Self, ScalarError> {
        match written {
            Written::Text(text) if !text.trim().is_empty() => Ok(text.to_owned()),
            _ => Err(ScalarError::Form),
        }
    }
}

impl Scalar for Duration {
    const EXPECTED: &'static str = r#"a duration above zero, such as "500ms", "30s", "10m" or "24h""#;

    fn of(written: Written<'_>) -> Result<Self, ScalarError> {
        let Written::Text(text) = written else { return Err(ScalarError::Form) };
        duration_of(text).map_err(|error| match error {
            DurationError::Form => ScalarError::Form,
            DurationError::TooLong => ScalarError::Other("longer than ten years".to_owned()),
        })
    }
}

/// Why a text is not a usable duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Zero, negative, of months, or no duration at all.
    #[error("give a duration as in 500ms, 2s or 1m")]
    Form,
    #[error("that is longer than ten years; give a duration as in 500ms, 2s or 1m")]
    /// Longer than ten years.
    TooLong,
}

/// A duration above zero: `500ms`, `1m 30s`, `24h`, `7d` (days of 24 hours).
///
/// # Errors
///
/// It is something else, or longer than ten years.
pub fn duration_of(text: &str) -> Result<Duration, DurationError> {
    // To jiff 03:12:07 is a length of three hours; people write a time of day so.
    if text.contains(':') {
        return Err(DurationError::Form);
    }
    let span: Span = text.parse().map_err(|_| DurationError::Form)?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| DurationError::Form)?;
    match Duration::try_from(signed) {
        Ok(duration) if duration.is_zero() => Err(DurationError::Form),
        Ok(duration) if duration > MAX_DURATION => Err(DurationError::TooLong),
        Ok(duration) => Ok(duration),
        Err(_) => Err(DurationError::Form),
    }
}

/// A size above zero, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl Scalar for ByteSize {
    const EXPECTED: &'static str = r#"a size above zero, such as "64MiB", "64MB" or 67108864"#;

    fn of(written: Written<'_>) -> Result<Self, ScalarError> {
        let bytes = match written {
            Written::Text(text) => size_of(text).ok(),
            Written::Integer(bytes) => u64::try_from(bytes).ok(),
            _ => None,
        };
        bytes.filter(|&bytes| bytes > 0).map(Self).ok_or(ScalarError::Form)
    }
}

/// A text is not a usable size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give a size above nothing, as in 64MiB, 64MB or 67108864")]
pub struct SizeError;

/// A size above zero in bytes: `67108864`, `64MiB`, `64 MB`.
///
/// # Errors
///
/// It is something else, or does not fit into a `u64`.
pub fn size_of(text: &str) -> Result<u64, SizeError> {
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
        _ => return Err(SizeError),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|&bytes| bytes > 0).ok_or(SizeError)
}

/// A whole number from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u32);

impl Scalar for Count {
    const EXPECTED: &'static str = "a whole number from 1";

    fn of(written: Written<'_>) -> Result<Self, ScalarError> {
        let Written::Integer(count) = written else { return Err(ScalarError::Form) };
        let count = u32::try_from(count).ok().filter(|&count| count > 0);
        count.map(Self).ok_or(ScalarError::Form)
    }
}

/// A ratio above zero; 1 is the whole.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(pub f64);

impl Scalar for Share {
    const EXPECTED: &'static str = "a number above 0, such as 0.5";

    fn of(written: Written<'_>) -> Result<Self, ScalarError> {
        let share = match written {
            Written::Float(share) => share,
            Written::Integer(share) => f64::from(i32::try_from(share).map_err(|_| ScalarError::Form)?),
            _ => return Err(ScalarError::Form),
        };
        if share > 0.0 && share.is_finite() { Ok(Self(share)) } else { Err(ScalarError::Form) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings_file::SettingsFile;

    fn read<T: Scalar>(value: &str) -> Option<T> {
        let file = SettingsFile::new(Path::new("c.toml"), &format!("it = {value}"));
        let mut it: std::collections::HashMap<String, Element<T>> = file.parse().ok()?;
        it.remove("it").map(|element| element.0)
    }

    #[test]
    fn durations_are_written_as_people_do() {
        let of = |value| read::<Duration>(value).map(|it| it.as_millis());
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
    fn a_duration_too_long_for_any_clock_has_its_own_error() {
        assert_eq!(duration_of("3650d"), Ok(MAX_DURATION));
        for long in ["3651d", "90000h", "9000000000s", "5000000000000ms"] {
            assert_eq!(duration_of(long), Err(DurationError::TooLong), "{long}");
        }
        for nonsense in ["", "0s", "-2s", "two", "5", "1mo", "03:12:07", "99999999999999999999s"] {
            assert_eq!(duration_of(nonsense), Err(DurationError::Form), "{nonsense}");
        }
    }

    #[test]
    fn sizes_are_decimal_or_binary() {
        let of = |value| read::<ByteSize>(value).map(|it| it.0);
        assert_eq!(of(r#""64MiB""#), Some(67_108_864));
        assert_eq!(of(r#""64 mb""#), Some(64_000_000));
        assert_eq!(of("1_000"), Some(1000));
        assert_eq!(of("0x10"), Some(16));
        for nonsense in ["0", "-1", "1.5", r#""64 parsecs""#, r#""MiB""#, r#""-1MB""#, r#""99999999TiB""#] {
            assert_eq!(of(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn shares_and_counts_are_above_zero() {
        let of = |value| read::<Share>(value).map(|it| it.0);
        assert_eq!(["0.5", "2", "1e3"].map(of), [Some(0.5), Some(2.0), Some(1000.0)]);
        assert!(["0", "-0.5", "inf", "nan", r#""1""#].iter().all(|it| of(it).is_none()));
        let of = |value| read::<Count>(value).map(|it| it.0);
        assert_eq!(of("8"), Some(8));
        assert!(["0", "-8", "8.0", "4294967296", r#""8""#].iter().all(|it| of(it).is_none()));
    }

    #[test]
    fn a_path_is_absolute_below_home_or_below_the_file() {
        let base = BaseFolders { home: Some("/home/me".into()), folder: "/etc/waltop".into() };
        let of = |value| {
            let WrittenPath(path) = read(value)?;
            base.absolute(&path).ok().map(|it| it.display().to_string())
        };
        assert_eq!(of(r#""~/a.db""#).as_deref(), Some("/home/me/a.db"));
        assert_eq!(of(r#""/srv/a.db""#).as_deref(), Some("/srv/a.db"));
        assert_eq!(of(r#""a.db""#).as_deref(), Some("/etc/waltop/a.db"));
        assert!([r#""""#, r#""~you/a.db""#, "1", r#""a\u0000""#].iter().all(|it| of(it).is_none()));
        let homeless = BaseFolders { home: None, ..base };
        assert!(homeless.absolute(Path::new("~/a.db")).is_err());
    }
}
