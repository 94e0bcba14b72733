//! The sentences of each surface: one file each in `tests/all/golden`. `WALTOP_WRITE_DOCS=1` rewrites them; otherwise
//! they are compared. Other tests assert kinds and evidence, so that a new wording changes one file.

use std::{env, fmt::Display, fs, path::Path};

mod commands;
mod discoveries;
mod doctor;
mod errors;
mod findings;
mod notices;

/// Adds each example to `$lines`. There is no `_`: a new variant does not compile until it has an example.
macro_rules! examples {
    ($lines:expr, $type:ty { $($variant:pat => [$($example:expr),+ $(,)?]),+ $(,)? }) => {{
        let _ = |it: &$type| match it { $($variant => ()),+ };
        $(for example in [$($example),+] {
            assert!(matches!(&example, $variant), "{example:?} is no {}", stringify!($variant));
            $crate::golden::Lines::add(&mut $lines, stringify!($type), &example);
        })+
    }};
}
use examples;

/// Sentences under the type that they belong to.
#[derive(Default)]
struct Lines {
    text: String,
    heading: String,
}

impl Lines {
    fn add(&mut self, heading: &str, sentence: &impl Display) {
        if self.heading != heading {
            let gap = if self.text.is_empty() { "" } else { "\n" };
            heading.clone_into(&mut self.heading);
            self.text += &format!("{gap}{heading}\n");
        }
        for line in sentence.to_string().lines() {
            self.text += &format!("    {line}\n");
        }
    }
}

/// Compares `lines` with the file `name`, or rewrites it.
fn compare(name: &str, lines: &Lines) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/golden").join(name);
    if env::var_os("WALTOP_WRITE_DOCS").is_some() {
        fs::write(&file, &lines.text).expect("written");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == lines.text,
        "{} is out of date; write it with `WALTOP_WRITE_DOCS=1 cargo test --locked --lib golden` and review it",
        file.display()
    );
}
