//! Addresses in prose, without brackets: the extended autolinks of GitHub's Markdown
//! (<https://github.github.com/gfm/#autolinks-extension->).

use linkify::{LinkFinder, LinkKind};

/// What an address without a scheme begins with.
const WWW: &str = "www.";

/// The addresses in `text`: those with `http` or `https`, and those that begin with `www.`, which get `http`.
pub(super) fn addresses(text: &str) -> impl Iterator<Item = String> {
    // Most texts have none, and the search for a bare domain looks at each dot.
    let may_have_one = text.contains("://") || text.contains(WWW);
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Url]).url_must_have_scheme(false);
    let found: Vec<String> = if may_have_one {
        finder
            .links(text)
            .filter(|link| begins_a_word(text, link.start()))
            .filter_map(|it| address(it.as_str()))
            .collect()
    } else {
        Vec::new()
    };
    found.into_iter()
}

fn begins_a_word(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    before.is_none_or(|it| it.is_whitespace() || !it.is_alphanumeric())
}

fn address(link: &str) -> Option<String> {
    let small: String = link.chars().take("https://".len()).flat_map(char::to_lowercase).collect();
    if small.starts_with("https://") || small.starts_with("http://") {
        return Some(link.to_owned());
    }
    let has_domain =
        |rest: &str| rest.split(['/', '?', '#']).next().is_some_and(|domain| domain.contains('.'));
    (small.starts_with(WWW) && has_domain(&link[WWW.len()..])).then(|| format!("http://{link}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_end_where_prose_goes_on() {
        for (text, expected) in [
            ("see https://example.org.", &["https://example.org"][..]),
            (
                "(https://example.org/a_(b)), http://x.org/?q=1&r=2!",
                &["https://example.org/a_(b)", "http://x.org/?q=1&r=2"],
            ),
            (
                "www.example.org/x and HTTPS://EXAMPLE.ORG",
                &["http://www.example.org/x", "HTTPS://EXAMPLE.ORG"],
            ),
            ("例https://example.org/路径 end", &[]),
            ("a file.md, 1.2.3, ftp://example.org, example.org, www.x", &[]),
        ] {
            assert_eq!(addresses(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }
}
