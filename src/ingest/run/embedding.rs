//! The phase after the documents are in: vectors for those without one, and edges between near ones.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{IngestError, IngestRun, gap_after};
use crate::{
    ingest::{
        embed::{
            EmbedOptions, EmbedRefusal, EmbeddingSummary, ExistingVectors,
            calls::{EmbedAnswer, EmbedCalls, WantedVector},
            sections::{MOST_SECTIONS, SectionedDocument},
        },
        neighbours::NeighbourCheck,
        store::{
            self, DocumentStore,
            vectors::{BATCH, EmbeddedDocument, ListPosition, StoredVectors},
        },
    },
    snapshot::FailedFile,
    state::journal::{JournalEvent, RunOutcome},
    units::milliseconds,
};

/// The longest time before a vector is written: a crash loses at most that much.
const FLUSH: Duration = Duration::from_secs(1);

/// How often the phase checks whether the run has to stop.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// After this many strikes without a success in between, waltop gives up on the embedder. A text that it rejects is one
/// strike.
const STRIKES: u32 = 200;

/// Strikes for a text that failed after several tries.
const FAILED: u32 = 20;

/// State between the store and the embedder.
struct EmbeddingPhase<'a> {
    options: &'a EmbedOptions,
    neighbours: NeighbourCheck,
    told: EmbeddingSummary,
    ready: VecDeque<EmbeddedDocument>,
    flushed: Instant,
    strikes: u32,
    dimension: Option<usize>,
}

impl IngestRun<'_> {
    /// Embeds documents without a vector and writes the edges, as far as the request asks for it. An unusable embedder
    /// is reported, and is no error: the documents are in.
    pub(super) fn embed_all(&mut self, store: &mut DocumentStore) -> Result<RunOutcome, IngestError> {
        let Some(options) = self.request.embed.clone() else { return Ok(RunOutcome::Completed) };
        let begun = Instant::now();
        let mut phase = EmbeddingPhase {
            options: &options,
            neighbours: NeighbourCheck::of(store.path(), &self.request.proc),
            told: EmbeddingSummary {
                model: options.model.clone(),
                wanted: 0,
                embedded: 0,
                edges_changed: 0,
                elapsed_ms: 0.0,
                held_ms: 0.0,
                error: None,
            },
            ready: VecDeque::new(),
            flushed: begun,
            strikes: 0,
            dimension: None,
        };
        let ended = match self.discard(store, &mut phase).and_then(|()| self.fill(store, &mut phase)) {
            Ok(()) => self.relate(store, &mut phase),
            Err(error) => Err(error),
        };
        phase.told.elapsed_ms = milliseconds(begun.elapsed());
        let error = phase.told.error.clone();
        self.summary.embedding = Some(phase.told);
        match ended {
            Err(IngestError::Store(store::StoreError::Stopped)) => return Ok(RunOutcome::Stopped),
            other => other?,
        }
        if let Some(reason) = error {
            self.progress.embedding_ended(&reason);
            self.record(JournalEvent::EmbeddingEnded { reason })?;
        }
        Ok(RunOutcome::Completed)
    }

    fn discard(
        &mut self,
        store: &mut DocumentStore,
        phase: &mut EmbeddingPhase<'_>,
    ) -> Result<(), IngestError> {
        if phase.options.have == ExistingVectors::Kept {
            return Ok(());
        }
        loop {
            self.check_stopped()?;
            let stored = store.discard_vectors(&phase.options.model, self.most())?;
            let more = stored.files > 0;
            self.after_commit(store, phase, stored, more)?;
            if !more {
                return Ok(());
            }
        }
    }

    fn fill(&mut self, store: &mut DocumentStore, phase: &mut EmbeddingPhase<'_>) -> Result<(), IngestError> {
        let options = phase.options;
        let model = &options.model;
        phase.told.wanted = store.count_unembedded(model)?;
        self.record(JournalEvent::Embedding { model: model.clone(), files: phase.told.wanted })?;
        if phase.told.wanted == 0 {
            return Ok(());
        }
        self.progress.embedded(0, phase.told.wanted);
        phase.dimension = store.dimension(model)?;
        let mut calls = match EmbedCalls::start(options, self.stop) {
            Ok(calls) => calls,
            Err(error) => {
                phase.told.error = Some(format!("cannot call the embedder: {error}"));
                return Ok(());
            }
        };
        let mut place = ListPosition::default();
        let mut page: VecDeque<WantedVector> = VecDeque::new();
        let mut more = true;
        while phase.told.error.is_none() {
            if self.stop.is_raised() {
                // Existing answers have already been paid for.
                self.flush(store, phase)?;
                return Err(store::StoreError::Stopped.into());
            }
            while more && calls.has_room() {
                if page.is_empty() {
                    page = store.unembedded(model, &mut place, options.chars.get())?.into();
                }
                match page.pop_front() {
                    Some(wanted) => calls.give(wanted),
                    None => more = false,
                }
            }
            if calls.is_idle() {
                break;
            }
            if let Some(answer) = calls.next(STOP_CHECK) {
                self.answered(phase, answer)?;
            }
            if phase.is_due() {
                self.flush(store, phase)?;
            }
        }
        drop(calls);
        self.flush(store, phase)
    }

    fn answered(
        &mut self,
        phase: &mut EmbeddingPhase<'_>,
        EmbedAnswer { wanted, vectors }: EmbedAnswer,
    ) -> Result<(), IngestError> {
        let refusal = match vectors {
            Ok(vectors) => return self.embedded(phase, wanted, vectors),
            Err(refusal) => refusal,
        };
        phase.strikes += match &refusal {
            EmbedRefusal::Text(_) => 1,
            EmbedRefusal::Later { .. } | EmbedRefusal::Late(_) => FAILED,
            EmbedRefusal::Unreachable(reason) | EmbedRefusal::Never(reason) => {
                phase.told.error = Some(reason.clone());
                return Ok(());
            }
        };
        if phase.strikes >= STRIKES {
            phase.told.error = Some(format!("one document after the other failed, at last: {refusal}"));
        }
        self.warned(FailedFile { path: wanted.name, reason: format!("not embedded: {refusal}") })
    }

    fn embedded(
        &mut self,
        phase: &mut EmbeddingPhase<'_>,
        wanted: WantedVector,
        vectors: Vec<Vec<f32>>,
    ) -> Result<(), IngestError> {
        phase.strikes = 0;
        for vector in &vectors {
            let dimension = *phase.dimension.get_or_insert(vector.len());
            if dimension != vector.len() {
                phase.told.error = Some(format!(
                    "the vectors of {} in this database have {dimension} numbers and this one has {}: name another \
                     model, or make all of them anew with --embed-anew",
                    phase.options.model,
                    vector.len()
                ));
                return Ok(());
            }
        }
        let SectionedDocument { sections, is_cut } = wanted.document;
        let starts = sections.iter().map(|section| section.start);
        phase.ready.extend(EmbeddedDocument::new(wanted.id, wanted.hash, starts.zip(vectors).collect()));
        if !is_cut {
            return Ok(());
        }
        let reason =
            format!("only its first {MOST_SECTIONS} sections were embedded: set a larger --embed-chars");
        self.warned(FailedFile { path: wanted.name, reason })
    }

    /// Writes all vectors that are ready.
    fn flush(
        &mut self,
        store: &mut DocumentStore,
        phase: &mut EmbeddingPhase<'_>,
    ) -> Result<(), IngestError> {
        while !phase.ready.is_empty() {
            let stored = store.write_vectors(&phase.options.model, &mut phase.ready, self.most())?;
            phase.told.embedded += stored.files;
            self.record(JournalEvent::Embedded {
                files: stored.files,
                bytes: stored.bytes,
                cost: stored.cost.into(),
            })?;
            self.progress.embedded(phase.told.embedded, phase.told.wanted);
            let more = !phase.ready.is_empty();
            self.after_commit(store, phase, stored, more)?;
        }
        phase.flushed = Instant::now();
        Ok(())
    }

    fn relate(
        &mut self,
        store: &mut DocumentStore,
        phase: &mut EmbeddingPhase<'_>,
    ) -> Result<(), IngestError> {
        let Some(from) = phase.options.neighbours else { return Ok(()) };
        let model = &phase.options.model;
        let vectors = store.vectors(model)?;
        let Some(nearest) = vectors.nearest(from, &store.semantic_edges()?, self.stop) else {
            return Err(store::StoreError::Stopped.into());
        };
        drop(vectors);
        let mut queue: VecDeque<_> = nearest.into();
        while !queue.is_empty() {
            self.check_stopped()?;
            let stored = store.write_nearest(model, from, &mut queue, self.most())?;
            phase.told.edges_changed += stored.edges;
            self.record(JournalEvent::Related { files: stored.files, cost: stored.cost.into() })?;
            self.after_commit(store, phase, stored, !queue.is_empty())?;
        }
        Ok(())
    }

    /// Runs after each transaction of the phase.
    fn after_commit(
        &mut self,
        store: &mut DocumentStore,
        phase: &mut EmbeddingPhase<'_>,
        stored: StoredVectors,
        more: bool,
    ) -> Result<(), IngestError> {
        phase.told.held_ms += milliseconds(stored.cost.hold);
        self.count(stored.cost);
        if !self.checkpoint_log(store)? {
            return Err(store::StoreError::Stopped.into());
        }
        if more {
            self.leave_room(gap_after(stored.cost, &phase.neighbours).0);
        }
        Ok(())
    }

    /// How long rows are written under the lock: half of the limit, because the commit needs time too.
    fn most(&self) -> Duration {
        self.request.hold / 2
    }

    fn check_stopped(&self) -> Result<(), IngestError> {
        if self.stop.is_raised() { Err(store::StoreError::Stopped.into()) } else { Ok(()) }
    }
}

impl EmbeddingPhase<'_> {
    /// Whether the ready vectors have to be written.
    fn is_due(&self) -> bool {
        let vectors = self.ready.iter().map(EmbeddedDocument::vectors).sum::<usize>();
        vectors >= BATCH || !self.ready.is_empty() && self.flushed.elapsed() >= FLUSH
    }
}
