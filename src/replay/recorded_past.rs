//! The past of databases that a recorder records while a console shows their present.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::{
    history::{TimeBase, TimeWindow},
    recording::{LONGEST_SILENCE, RecorderHost, Recording},
    threads,
};

use super::{
    RecordedFinding, ReplayedTimeline,
    cursor::RecordingCursor,
    past::{self, PastPart},
    recorded_findings::recorded_findings,
};

/// A window that follows the present is read again after this many times what reading it took.
const REST: u32 = 10;

/// A request for a part of the past: the index of a database, and the window.
type PastRequest = (usize, TimeWindow);

/// The recording of a recorder that runs beside the console.
#[derive(Debug)]
pub struct RecordedPast {
    /// Since when it reaches back, once it is found.
    first: Arc<OnceLock<Timestamp>>,
    /// The findings there, once they are known and until they are taken.
    findings: Arc<Mutex<Vec<RecordedFinding>>>,
    requests: Sender<PastRequest>,
}

impl RecordedPast {
    /// Searches `folder` for the recording of a recorder that writes it now, with all of `databases` in it. A thread of
    /// its own does that, so that the start of a console does not wait for it. `outbox` gets the answers. `None` if there
    /// is no such folder, or the system refuses a thread.
    pub fn find(
        folder: &Path,
        databases: &[PathBuf],
        here: RecorderHost,
        outbox: mpsc::UnboundedSender<ReplayedTimeline>,
    ) -> Option<Self> {
        if !folder.is_dir() {
            return None;
        }
        let (requests, inbox) = crossbeam_channel::unbounded();
        let (folder, databases) = (folder.to_owned(), databases.to_owned());
        let reader = PastReader { folder, databases, here, outbox };
        let (first, findings) = (Arc::new(OnceLock::new()), Arc::default());
        let (found, known) = (Arc::clone(&first), Arc::clone(&findings));
        threads::start("waltop-past", move || {
            if let Some(since) = recorded_since(&reader.folder, &reader.databases) {
                found.get_or_init(|| since);
                let (folder, databases) = (reader.folder.clone(), reader.databases.clone());
                // Without them a finding is as old as the console.
                let _ = threads::start("waltop-findings", move || {
                    let read = Recording::open(&folder).and_then(|it| recorded_findings(&it, &databases));
                    *threads::lock(&known) = read.unwrap_or_default();
                });
                reader.run(&inbox);
            }
        })
        .ok()?;
        Some(Self { first, findings, requests })
    }

    /// Since when the recording reaches back; `None` if there is none, or it is not found yet.
    pub fn first(&self) -> Option<Instant> {
        self.first.get().map(|first| base(*first).instant)
    }

    /// The findings that go on in the recording. They come once, when they are known.
    pub fn take_findings(&self) -> Vec<RecordedFinding> {
        std::mem::take(&mut threads::lock(&self.findings))
    }

    /// Asks for a part of the past. Its answer comes through the channel.
    pub fn ask(&self, index: usize, window: TimeWindow) {
        // A thread that has ended answers nothing.
        let _ = self.requests.send((index, window));
    }
}

/// Since when the recording in `folder` reaches back, if it is written now and has all of `databases`.
fn recorded_since(folder: &Path, databases: &[PathBuf]) -> Option<Timestamp> {
    let recording = Recording::open(folder).ok()?;
    let (first, last) = recording.span().ok()??;
    let recorded = recording.databases();
    let has_all = databases.iter().all(|path| recorded.iter().any(|known| Path::new(known) == path));
    (has_all && Timestamp::now().duration_since(last) <= LONGEST_SILENCE).then_some(first)
}

struct PastReader {
    folder: PathBuf,
    databases: Vec<PathBuf>,
    here: RecorderHost,
    outbox: mpsc::UnboundedSender<ReplayedTimeline>,
}

impl PastReader {
    // Until the console is gone.
    fn run(&self, inbox: &Receiver<PastRequest>) {
        let mut read: Option<(ReplayedTimeline, Instant)> = None;
        while let Ok(mut request) = inbox.recv() {
            // Only the newest counts.
            while let Ok(newer) = inbox.try_recv() {
                request = newer;
            }
            let known = read.take().filter(|(last, until)| {
                let is_same = (last.index, last.window) == request && request.1.end.is_none();
                is_same && Instant::now() < *until
            });
            let (answer, until) = if let Some(known) = known {
                known
            } else {
                let began = Instant::now();
                let Some(answer) = self.timeline(request, inbox) else { continue };
                (answer, Instant::now() + began.elapsed() * REST)
            };
            if self.outbox.send(answer.clone()).is_err() {
                return;
            }
            read = Some((answer, until));
        }
    }

    // `None` if a newer request came meanwhile.
    fn timeline(
        &self,
        (index, window): PastRequest,
        inbox: &Receiver<PastRequest>,
    ) -> Option<ReplayedTimeline> {
        let recording = Recording::open(&self.folder).ok();
        let cursor = recording.and_then(|it| RecordingCursor::new(it, None).ok());
        let (Some(cursor), Some(path)) = (cursor, self.databases.get(index)) else {
            return Some(ReplayedTimeline { index, window, timeline: None });
        };
        let (path, newest) = (path.to_string_lossy(), Timestamp::now());
        let part = PastPart { path: &path, window, newest, here: Some(&self.here) };
        let timeline = past::timeline(&cursor, base(cursor.span().0), &part, || inbox.is_empty())?;
        Some(ReplayedTimeline { index, window, timeline: Some(Arc::new(timeline)) })
    }
}

// `at` on the clock of instants.
fn base(at: Timestamp) -> TimeBase {
    let (instant, now) = (Instant::now(), Timestamp::now());
    let ago: Duration = now.duration_since(at).try_into().unwrap_or_default();
    instant.checked_sub(ago).map_or(TimeBase { instant, at: now }, |instant| TimeBase { instant, at })
}

#[cfg(test)]
mod tests {
    use super::{super::tests::recorded, *};

    #[test]
    fn a_recording_that_is_not_written_now_is_no_past_of_the_present() {
        let (dir, _) = recorded();
        assert_eq!(recorded_since(dir.path(), &["/srv/notes.db".into()]), None, "it is old");
        assert_eq!(recorded_since(&dir.path().join("missing"), &[]), None);
        let (outbox, _) = mpsc::unbounded_channel();
        let missing = dir.path().join("missing");
        assert!(RecordedPast::find(&missing, &[], RecorderHost::default(), outbox).is_none());
    }
}
