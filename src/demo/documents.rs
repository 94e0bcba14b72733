//! The sandbox's documents: generated, linked with one another, the same at every start.

use std::{fmt::Write as _, fs, io, path::Path};

const COUNT: usize = 320;
/// The words of their text.
const WORDS: &str = include_str!("../../assets/demo/words.txt");

/// Writes the documents into `folder`, in subfolders by subject.
///
/// # Errors
///
/// They cannot be written.
pub fn write(folder: &Path) -> io::Result<()> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut dice = RandomSequence(7);
    let titles: Vec<String> = (0..COUNT).map(|number| title(&words, &mut dice, number)).collect();
    for (number, title) in titles.iter().enumerate() {
        let subject = words[number % 8];
        let folder = folder.join(subject);
        fs::create_dir_all(&folder)?;
        let text = document(title, subject, &titles, &words, &mut dice);
        fs::write(folder.join(format!("{}.md", title.replace(' ', "-"))), text)?;
    }
    Ok(())
}

fn title(words: &[&str], dice: &mut RandomSequence, number: usize) -> String {
    format!("{} {} {number}", dice.pick(words), dice.pick(words))
}

fn document(
    title: &str,
    subject: &str,
    titles: &[String],
    words: &[&str],
    dice: &mut RandomSequence,
) -> String {
    let mut text = format!("---\ntitle: {title}\ntags: [{subject}]\n---\n\n# {title}\n");
    for _ in 0..3 + dice.roll(5) {
        text.push('\n');
        for _ in 0..30 + dice.roll(60) {
            text.push_str(dice.pick::<&str>(words));
            text.push(' ');
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "[[{}]] #{subject}", dice.pick(titles));
    }
    text
}

/// A linear congruential generator: its numbers need only look random (constants: Knuth's MMIX).
struct RandomSequence(u64);

impl RandomSequence {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}
