//! Ingested documents as resources: `waltop://document/DATABASE/NAME`, both percent-encoded.

use std::{borrow::Cow, ffi::OsString, path::Path};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rmcp::{
    model::{ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
    service::{RequestContext, RoleServer},
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    reading::{LONGEST_PART, SQL_DEADLINE},
    served_paths::ServedPaths,
    untrusted,
    workers::{CallError, WorkerOrder, Workers},
};

const SCHEME: &str = "waltop://document/";
/// What RFC 3986 leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Documents of one page of the list.
const PAGE: usize = 200;
const MARKDOWN: &str = "text/markdown";

/// How a client makes the address of a document.
pub fn template() -> ResourceTemplate {
    ResourceTemplate::new(format!("{SCHEME}{{database}}/{{name}}"), "document")
        .with_title("Ingested document")
        .with_description("The text of an ingested document, by its database and its name there.")
        .with_mime_type(MARKDOWN)
}

/// The documents of the databases of a server, for one request.
pub struct DocumentShelf<'a> {
    pub databases: &'a ServedPaths,
    pub workers: &'a Workers,
    pub context: &'a RequestContext<RoleServer>,
}

impl DocumentShelf<'_> {
    /// A page of the documents of all databases. `cursor` is that of the page before: a database, and the last name.
    ///
    /// # Errors
    ///
    /// The cursor is not one, or too many calls wait.
    pub async fn list(&self, cursor: Option<&str>) -> Result<ListResourcesResult, CallError> {
        let databases = self.databases.paths();
        let (first, mut after) = match cursor {
            None => (0, ""),
            Some(cursor) => cursor
                .split_once(' ')
                .and_then(|(index, after)| Some((index.parse().ok()?, after)))
                .ok_or_else(|| {
                    CallError::Refused("invalid cursor; list again from the beginning".to_owned())
                })?,
        };
        for (index, database) in databases.iter().enumerate().skip(first) {
            let page = match self.names(database, after).await {
                Ok(page) => page,
                // It has no documents.
                Err(CallError::Refused(_)) => DocumentPage::default(),
                Err(error) => return Err(error),
            };
            after = "";
            if page.documents.is_empty() {
                continue;
            }
            let resources = page.documents.iter().map(|document| document.resource(database)).collect();
            let mut result = ListResourcesResult::with_all_items(resources);
            result.next_cursor = match page.next_after {
                Some(name) => Some(format!("{index} {name}")),
                None => (index + 1 < databases.len()).then(|| format!("{} ", index + 1)),
            };
            return Ok(result);
        }
        Ok(ListResourcesResult::default())
    }

    /// The document at the address `uri`, or its beginning.
    ///
    /// # Errors
    ///
    /// It is no address of a document that this server serves.
    pub async fn read(&self, uri: &str) -> Result<ReadResourceResult, CallError> {
        #[derive(Deserialize)]
        struct DocumentText {
            text: String,
            next_offset: Option<u64>,
        }
        let (database, name) = parsed(uri).ok_or_else(|| {
            CallError::Refused(format!(
                "{uri} is no document of waltop: {SCHEME}DATABASE/NAME is one, percent-encoded"
            ))
        })?;
        let database = self.databases.named(Some(&database)).map_err(CallError::Refused)?;
        let words = ["read", "--json", "--db"].map(OsString::from);
        let options = [format!("--length={LONGEST_PART}"), "--".to_owned(), name].map(OsString::from);
        let document: DocumentText =
            self.ask([words.as_slice(), &[database.into()], &options].concat()).await?;
        let mut meta = untrusted::mark();
        if let Some(offset) = document.next_offset {
            // The tool `read` continues there.
            meta.0.insert("waltop/next_offset".to_owned(), offset.into());
        }
        let contents = ResourceContents::text(untrusted::clean(&document.text), uri).with_mime_type(MARKDOWN);
        Ok(ReadResourceResult::new(vec![contents.with_meta(meta)]))
    }

    async fn names(&self, database: &Path, after: &str) -> Result<DocumentPage, CallError> {
        let words = ["read", "--list", "--json"].map(OsString::from);
        let options =
            [format!("--limit={PAGE}"), format!("--after={after}"), "--db".to_owned()].map(OsString::from);
        self.ask([words.as_slice(), &options, &[database.into()]].concat()).await
    }

    async fn ask<T: DeserializeOwned>(&self, words: Vec<OsString>) -> Result<T, CallError> {
        let order = WorkerOrder::reading(words, SQL_DEADLINE);
        let answer = self.workers.run(&order, self.context.ct.cancelled()).await?;
        Ok(serde_json::from_value(answer)?)
    }
}

#[derive(Debug, Default, Deserialize)]
struct DocumentPage {
    documents: Vec<PageEntry>,
    next_after: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PageEntry {
    path: String,
    title: String,
    bytes: u64,
}

impl PageEntry {
    fn resource(&self, database: &Path) -> Resource {
        Resource::new(address(database, &self.path), untrusted::clean(&self.path))
            .with_title(untrusted::clean(&self.title))
            .with_mime_type(MARKDOWN)
            .with_size(self.bytes)
            .with_meta(untrusted::mark())
    }
}

fn address(database: &Path, name: &str) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    format!("{SCHEME}{}/{}", encoded(&database.to_string_lossy()), encoded(name))
}

fn parsed(uri: &str) -> Option<(String, String)> {
    let (database, name) = uri.strip_prefix(SCHEME)?.split_once('/')?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned);
    Some((decoded(database)?, decoded(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_back_to_its_document() {
        for (database, name) in [("/srv/a b.db", "notes/ü/50 %.md"), ("/a.db", "x?y#z/../w")] {
            let uri = address(Path::new(database), name);
            assert!(uri.is_ascii() && !uri.contains([' ', '?', '#']), "{uri}");
            assert_eq!(parsed(&uri), Some((database.to_owned(), name.to_owned())));
        }
        for uri in ["file:///etc/passwd", "waltop://document/x", "waltop://document/%ff/x"] {
            assert_eq!(parsed(uri), None, "{uri}");
        }
    }
}
