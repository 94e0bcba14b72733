//! The search in the ingested documents. A worker searches; the console shows what it found, and the text of a file.

use std::path::PathBuf;

use crossterm::event::{Event, KeyCode, KeyEvent};
use tui_input::{Input, InputRequest, backend::crossterm::EventHandler};

use super::{App, Notice, Overlay, TextSearch, keys::PAGE};
use crate::act::{
    Effect,
    document_search::{DocumentText, FoundDocuments, FoundText, FoundTexts},
};

/// An open search. Letters are text for the query, except in an open document.
#[derive(Debug, Clone)]
pub struct DocumentSearch {
    pub database: PathBuf,
    pub query: Input,
    pub state: SearchState,
    /// The selected document of those found.
    pub selected: usize,
    pub open: Option<OpenDocument>,
}

#[derive(Debug, Clone)]
pub enum SearchState {
    /// Nothing was searched yet.
    Typing,
    /// A worker searches for this.
    Waiting(String),
    Found {
        query: String,
        found: FoundTexts,
    },
    Refused {
        query: String,
        why: String,
    },
}

/// A document that was found, over the list.
#[derive(Debug, Clone)]
pub struct OpenDocument {
    pub found: FoundText,
    /// `None` until it was read; an error says why it cannot be.
    pub text: Option<Result<DocumentText, String>>,
}

impl DocumentSearch {
    pub(super) fn select(&mut self, at: usize) {
        self.selected = at.min(self.hits().len().saturating_sub(1));
    }

    fn hits(&self) -> &[FoundText] {
        if let SearchState::Found { found, .. } = &self.state { &found.hits } else { &[] }
    }

    /// Whether the state is about what stands in the query now.
    fn is_searched(&self) -> bool {
        match &self.state {
            SearchState::Typing => false,
            SearchState::Waiting(query)
            | SearchState::Found { query, .. }
            | SearchState::Refused { query, .. } => query == self.query.value().trim(),
        }
    }

    pub(super) fn paste(&mut self, text: &str) {
        let line = text.trim_start().lines().next().unwrap_or_default();
        for character in line.chars().filter(|character| !character.is_control()) {
            self.query.handle(InputRequest::InsertChar(character));
        }
    }
}

impl App {
    #[must_use]
    pub(super) fn open_search(&mut self) -> Vec<Effect> {
        let Some(database) = self.database().filter(|it| it.files.db.is_some()) else {
            return vec![self.notify(Notice::NothingToSearch)];
        };
        let database = database.path.clone();
        // A dialog that is about to open would take what is typed.
        self.pending_pin = None;
        self.close_overlay();
        let search = DocumentSearch {
            database,
            query: Input::default(),
            state: SearchState::Typing,
            selected: 0,
            open: None,
        };
        self.overlay = Some(Overlay::Documents(Box::new(search)));
        Vec::new()
    }

    /// The open search, while its query gets the keys.
    pub(super) fn search_list(&mut self) -> Option<&mut DocumentSearch> {
        match &mut self.overlay {
            Some(Overlay::Documents(search)) if search.open.is_none() => Some(search),
            _ => None,
        }
    }

    pub(super) fn open_document(&self) -> Option<&OpenDocument> {
        if let Some(Overlay::Documents(search)) = &self.overlay { search.open.as_ref() } else { None }
    }

    /// Closes the open document, back to the list; returns whether there was one.
    pub(super) fn close_document(&mut self) -> bool {
        let Some(Overlay::Documents(search)) = &mut self.overlay else { return false };
        let was_open = search.open.take().is_some();
        if was_open {
            self.scroll = 0;
            self.search = TextSearch::default();
        }
        was_open
    }

    /// Handles a key while the list of a search is open.
    #[must_use]
    pub(super) fn search_list_key(&mut self, key: KeyEvent, is_interrupt: bool) -> Vec<Effect> {
        let Some(search) = self.search_list() else { return Vec::new() };
        let (at, last) = (search.selected, search.hits().len().saturating_sub(1));
        match key.code {
            KeyCode::Esc => {
                self.close_overlay();
                return vec![Effect::StopSearch];
            }
            _ if is_interrupt => {
                self.close_overlay();
                return vec![Effect::StopSearch];
            }
            KeyCode::Enter if search.is_searched() => return self.read_document(),
            KeyCode::Enter => return self.start_search(),
            KeyCode::Down | KeyCode::Tab => search.selected = (at + 1).min(last),
            KeyCode::Up | KeyCode::BackTab => search.selected = at.saturating_sub(1),
            KeyCode::PageDown => search.selected = at.saturating_add_signed(PAGE).min(last),
            KeyCode::PageUp => search.selected = at.saturating_add_signed(-PAGE),
            _ => {
                search.query.handle_event(&Event::Key(key));
            }
        }
        Vec::new()
    }

    #[must_use]
    fn start_search(&mut self) -> Vec<Effect> {
        let Some(search) = self.search_list() else { return Vec::new() };
        let query = search.query.value().trim().to_owned();
        if query.is_empty() {
            let why = "type at least one word".to_owned();
            search.state = SearchState::Refused { query, why };
            return Vec::new();
        }
        search.state = SearchState::Waiting(query.clone());
        search.selected = 0;
        vec![Effect::SearchDocuments { database: search.database.clone(), query }]
    }

    #[must_use]
    pub(super) fn read_document(&mut self) -> Vec<Effect> {
        let Some(search) = self.search_list() else { return Vec::new() };
        let Some(found) = search.hits().get(search.selected).cloned() else { return Vec::new() };
        let path = found.path.clone();
        search.open = Some(OpenDocument { found, text: None });
        self.scroll = 0;
        vec![Effect::ReadDocument(path)]
    }

    /// Shows what a worker found, if the search for it is still open.
    pub(super) fn documents_found(&mut self, found: FoundDocuments) {
        let Some(Overlay::Documents(search)) = &mut self.overlay else { return };
        let FoundDocuments { database, query, found } = found;
        let is_awaited = matches!(&search.state, SearchState::Waiting(awaited) if *awaited == query);
        if is_awaited && search.database == database {
            search.state = match found {
                Ok(found) => SearchState::Found { query, found },
                Err(why) => SearchState::Refused { query, why },
            };
        }
    }

    pub(super) fn document_read(&mut self, path: &str, text: Result<DocumentText, String>) {
        if let Some(Overlay::Documents(search)) = &mut self.overlay
            && let Some(open) = &mut search.open
            && open.found.path == path
        {
            open.text = Some(text);
        }
    }
}
