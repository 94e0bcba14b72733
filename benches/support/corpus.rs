//! Documents as people keep them, made up: the same ones each time.
//!
//! Two collections of real Markdown, of 547 and 4,949 documents, gave the figures: 4.5 and 5.2 kB on average, 590 and
//! 710 words, 264 and 186 of them different; and in a document 0.1 and 1.5 wikilinks, 0.2 and 1.4 links to files, 0.1
//! and 3.5 to the web, 1.2 and 0.3 tags. These have as many of each as the richer of the two.

use std::{fs, io, path::Path};

const FOLDER: usize = 24;
const WORDS: u64 = 30_000;

/// Writes `count` notes into folders under `root`: front matter, headings, prose, links, wikilinks and tags, from
/// half a kilobyte to some sixteen, five on average.
pub fn write(root: &Path, count: usize) -> io::Result<()> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for number in 0..count {
        let folder = root.join(format!("{:03}-{}", number / FOLDER, word((number / FOLDER) as u64)));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("note-{number}.md")), note(&mut dice, number, count))?;
    }
    Ok(())
}

fn note(dice: &mut Dice, number: usize, count: usize) -> String {
    let mut text = String::new();
    if dice.below(3) == 0 {
        let (one, other) = (dice.word(), dice.word());
        text += &format!(
            "---\ntitle: {one} {other}\ntags: [{one}, {other}]\nup: '[[note-{}]]'\n---\n",
            number / 2
        );
    }
    text += &format!("# {} {}\n\n", dice.word(), dice.word());
    // Sizes of notes are spread over orders of magnitude.
    let length = 500 << dice.below(6);
    while text.len() < length {
        match dice.below(100) {
            0..6 => text += &format!("## {} {}\n\n", dice.word(), dice.word()),
            6..8 => text += &format!("See [[note-{}]] for more. ", dice.below(count as u64)),
            8..11 => {
                let other = dice.below(count as u64);
                let folder = other / FOLDER as u64;
                text += &format!("As [told](../{folder:03}-{}/note-{other}.md) before. ", word(folder));
            }
            11..18 => {
                text += &format!("It is [on the web](https://{}.example/{}). ", dice.word(), dice.word());
            }
            18 => text += &format!("Filed under #{}. ", dice.word()),
            19..21 => {
                text += &format!("```sh\n{} --{} {}\n```\n\n", dice.word(), dice.word(), dice.below(1000));
            }
            21..27 => text += "\n\n",
            _ => {
                let words: Vec<String> = (0..6 + dice.below(14)).map(|_| dice.word()).collect();
                text += &format!("{}. ", words.join(" "));
            }
        }
    }
    text
}

/// A made-up word; each number has one.
fn word(number: u64) -> String {
    const FIRST: [&str; 16] =
        ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "st", "tr", "pl"];
    const THEN: [&str; 8] = ["a", "e", "i", "o", "u", "ar", "en", "ö"];
    // Of two syllables at least.
    let mut left = number + 128;
    let mut word = String::new();
    while left > 0 {
        word += FIRST[(left % 16) as usize];
        word += THEN[(left / 16 % 8) as usize];
        left /= 128;
    }
    word
}

/// Numbers as from dice, always the same (xorshift64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Few words are common and most are rare, as in any language.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn word(&mut self) -> String {
        let share = self.below(1 << 32) as f64 / (1_u64 << 32) as f64;
        word((WORDS as f64).powf(share.powf(2.5)) as u64)
    }
}
