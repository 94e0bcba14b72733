//! The search in the ingested documents: the list of those found, or the text of one.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};

use crate::{
    act::document_search::{self, FoundTexts},
    console::{
        app::{App, DocumentSearch, OpenDocument, SearchState, TextExtent},
        screen_map::{RowList, ScreenMap, ScreenTarget},
        widgets::{centred, first_row, framed, theme::Theme, typed},
    },
    text, units,
};

/// Lines of a document in the list: title and path, then the snippet.
const EACH: u16 = 2;
/// The frame, the query and the line about the state.
const BESIDE: u16 = 4;

pub fn render(
    frame: &mut Frame,
    area: Rect,
    app: &App,
    theme: &Theme,
    open: &DocumentSearch,
    map: &mut ScreenMap,
) -> TextExtent {
    let area = centred(area, area.width.min(110), area.height);
    frame.render_widget(Clear, area);
    if let Some(document) = &open.open {
        return read(frame, area, app, theme, document);
    }
    // Letters are text for the query, so the keys of the last line do not act.
    map.add(frame.area(), ScreenTarget::Nothing);
    map.add(area, ScreenTarget::List(RowList::Documents));
    let name = open.database.file_name().unwrap_or(open.database.as_os_str()).to_string_lossy();
    let title = format!(" Documents in {name}: Enter searches, then opens; ↑ ↓ move; Esc closes ");
    let inner = framed(frame, area, theme.focus, Span::styled(text::clean(&title), theme.title));
    let room = usize::from(inner.width);
    let mut line = Line::from(Span::styled(" search: ", theme.accent));
    line.extend(typed(&open.query, room.saturating_sub(11), Style::new(), theme));
    let mut lines = vec![line, state(open, room, theme)];
    if let SearchState::Found { found, .. } = &open.state {
        let hits = &found.hits;
        let visible = area.height.saturating_sub(BESIDE) / EACH;
        let first = first_row(open.selected, visible);
        let rows = Rect { y: inner.y + 2, height: visible * EACH, ..inner };
        map.add_rows(rows.intersection(inner), RowList::Documents, (first, hits.len()), EACH);
        for (at, hit) in hits.iter().enumerate().skip(first).take(visible.into()) {
            let (mark, style) =
                if at == open.selected { ("▸", theme.selected) } else { (" ", theme.title) };
            let head = format!("{mark}{}  {}", hit.title, hit.path);
            lines.push(Line::styled(text::pad(&head, room), style));
            lines.push(Line::raw(text::fit(&format!("    {}", hit.snippet), room)));
        }
    }
    frame.render_widget(Paragraph::new(lines), inner);
    TextExtent::default()
}

fn state(open: &DocumentSearch, room: usize, theme: &Theme) -> Line<'static> {
    let (text, style) = match &open.state {
        SearchState::Typing => {
            ("words; wor* is a beginning; also a OR b, -word, tag:x, path:x, kind:x".to_owned(), theme.muted)
        }
        SearchState::Waiting(query) => (format!("a worker searches for {query}…"), theme.muted),
        SearchState::Refused { why, .. } => (format!("✖ {why}"), theme.danger),
        SearchState::Found { query, found } if found.hits.is_empty() => {
            (format!("nothing found for {query}"), theme.warning)
        }
        // As many as are asked for: there may be more.
        SearchState::Found { query, found } if found.hits.len() >= document_search::MOST_FOUND => {
            (format!("the best {} documents for {query}{}", found.hits.len(), lacking(found)), theme.muted)
        }
        SearchState::Found { query, found } => {
            let documents = units::plural(found.hits.len() as u64, "document");
            (format!("{documents} for {query}, best first{}", lacking(found)), theme.muted)
        }
    };
    Line::styled(text::fit(&format!(" {text}"), room), style)
}

fn lacking(found: &FoundTexts) -> &'static str {
    match (found.lacks_words(), found.lacks_meaning()) {
        (true, true) => "; none has all of the words; no answer from the embeddings API",
        (true, false) => "; none has all of the words",
        (false, true) => "; by words alone: no answer from the embeddings API",
        (false, false) => "",
    }
}

fn read(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, open: &OpenDocument) -> TextExtent {
    let title = format!(" {}: Esc goes back, {} ", open.found.title, super::scrolling(app));
    let inner = framed(frame, area, theme.focus, Span::styled(text::clean(&title), theme.title));
    let room = usize::from(inner.width).saturating_sub(2);
    let mut lines = vec![Line::styled(text::fit(&format!(" {}", open.found.path), room), theme.muted)];
    match &open.text {
        None => lines.push(Line::styled(" reading…", theme.muted)),
        Some(Err(why)) => {
            lines.extend(
                text::wrap(why, room).into_iter().map(|it| Line::styled(format!(" {it}"), theme.danger)),
            );
            lines.push(Line::raw(format!(" {}", text::fit(&open.found.snippet, room))));
        }
        Some(Ok(document)) => {
            for line in document.text.lines() {
                lines.extend(wrapped(line, room).into_iter().map(Line::raw));
            }
            if document.is_cut {
                lines.push(Line::styled(" … only the beginning is shown", theme.warning));
            }
        }
    }
    super::scrolled(frame, inner, app, theme, lines)
}

/// A line of the document, whose indentation is kept unless it has to be wrapped.
fn wrapped(line: &str, room: usize) -> Vec<String> {
    let whole = text::clean(line);
    if text::fit(&whole, room) == whole {
        return vec![format!(" {whole}")];
    }
    text::wrap(&whole, room).into_iter().map(|part| format!(" {part}")).collect()
}
