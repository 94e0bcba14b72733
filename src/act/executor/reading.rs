//! The effects that only read: previews of folders, and the search in documents.

use std::{path::PathBuf, sync::Arc};

use tokio::time::sleep;

use super::{
    super::{
        EffectReport,
        document_search::{self, FoundDocuments},
        preview::{self, COUNTING, FolderPreview, FolderQuery, MOST_RUNNING},
        py_spy,
        signal::SignalTarget,
        worker,
    },
    EffectExecutor,
};
use crate::{ingest::StopFlag, text, threads};

impl EffectExecutor {
    /// Previews a folder in a thread, in place of the one before; the answer is [`EffectReport::Preview`].
    pub fn preview(&mut self, query: FolderQuery) {
        self.preview.raise();
        let (stop, running) = (StopFlag::default(), Arc::clone(&self.previews));
        self.preview = stop.clone();
        let (typed, folder) = (query.typed.clone(), query.folder.clone());
        let refuse = |why: String| FolderPreview { typed, folder, documents: Err(why), names: Vec::new() };
        if Arc::strong_count(&running) > MOST_RUNNING + 1 {
            let why = "earlier counts have not ended: a file system does not answer".to_owned();
            return self.send(EffectReport::Preview(refuse(why)));
        }
        let (outbox, deadline) = (self.outbox.clone(), stop.clone());
        let work = move || {
            // The console may have quit; then the answer is not needed.
            let _ = outbox.send(EffectReport::Preview(preview::preview(query, &stop)));
            drop(running);
        };
        if let Err(error) = threads::start("preview", work) {
            return self.send(EffectReport::Preview(refuse(error.to_string())));
        }
        tokio::spawn(async move {
            sleep(COUNTING).await;
            deadline.raise();
        });
    }

    /// Searches in a worker, in place of the search before; the answer is [`EffectReport::DocumentsFound`].
    pub fn search(&mut self, database: PathBuf, query: String) {
        self.stop_search();
        let outbox = self.outbox.clone();
        let task = tokio::spawn(async move {
            let found = worker::search(&database, &query).await.map_err(|why| text::clean(&why.to_string()));
            // The console may have quit; then the answer is not needed.
            let _ = outbox.send(EffectReport::DocumentsFound(FoundDocuments { database, query, found }));
        });
        self.search = Some(task.abort_handle());
    }

    /// Asks `py-spy` at `program` for a stack; the answer is [`EffectReport::PythonStack`].
    pub fn python_stack(&self, program: PathBuf, target: SignalTarget) {
        let (outbox, proc) = (self.outbox.clone(), self.proc.clone());
        tokio::spawn(async move {
            let lines = py_spy::dump(&program, &proc, target).await;
            // The console may have quit; then the answer is not needed.
            let _ = outbox.send(EffectReport::PythonStack { target, lines });
        });
    }

    /// Ends the running search and its worker.
    pub fn stop_search(&mut self) {
        if let Some(task) = self.search.take() {
            task.abort();
        }
    }

    /// Reads a document in a thread; the answer is [`EffectReport::DocumentRead`].
    pub fn read_document(&self, path: String) {
        let (outbox, asked) = (self.outbox.clone(), path.clone());
        let work = move || {
            let text = document_search::read(&path);
            // The console may have quit; then the answer is not needed.
            let _ = outbox.send(EffectReport::DocumentRead { path, text });
        };
        if let Err(error) = threads::start("document", work) {
            let text = Err(format!("cannot read it: {error}"));
            self.send(EffectReport::DocumentRead { path: asked, text });
        }
    }
}
