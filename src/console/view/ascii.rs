//! The screen in ASCII, for a locale whose character set is not UTF-8.

use ratatui::buffer::Buffer;

/// Replaces each character that ASCII does not have.
pub fn simplify(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let first = cell.symbol().chars().next().unwrap_or(' ');
            cell.set_char(ascii(first));
        }
    }
}

fn ascii(character: char) -> char {
    match character {
        '─' | '━' | '–' | '░' => '-',
        '═' => '=',
        '│' | '▏' => '|',
        '╭' | '╮' | '╰' | '╯' | '┼' | '├' | '┤' | '▄' | '▅' | '▆' => '+',
        '▸' | '≥' => '>',
        // Selected, without the focus.
        '▹' => ')',
        '·' => '.',
        '✖' => 'X',
        '×' => 'x',
        '✔' | '▾' => 'v',
        '▲' | '▴' => '^',
        '▁' => '_',
        '▂' | '▃' => ':',
        '▇' | '█' => '#',
        '…' | '╌' => '~',
        '≠' => '!',
        // Braille, of the curve of the log.
        '\u{2800}' => ' ',
        '\u{2801}'..='\u{28ff}' => '*',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    #[test]
    fn every_sign_of_the_screen_has_a_character() {
        let signs = "─━╌–░═│╭╮╰╯┼├┤▸≥▹·✖✔▲▴▾▁▂▃▄▅▆▇█…▏×≠⣿";
        let mut buffer = Buffer::empty(Rect::new(0, 0, 60, 1));
        buffer.set_string(0, 0, format!("a {signs}"), ratatui::style::Style::new());
        simplify(&mut buffer);
        let line: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert!(line.starts_with("a --~--=|+++++++>>).Xv^^v_::+++##~|x!*"), "{line}");
    }
}
