//! Makes timelines of the lines of all hosts, on a named thread: an hour of a busy host takes longer than a frame.

use std::sync::{Arc, Mutex};

use crossbeam_channel::Receiver;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::{
    history::{TimeWindow, Timeline},
    hosts::HostPath,
    replay::{LinePast, ReplayedTimeline},
    sampler::Sample,
    threads,
};

/// The index of a database in the newest sample, and a window.
pub type TimelineRequest = (usize, TimeWindow);

/// The thread, until nothing asks any more.
#[derive(Debug)]
pub struct HostTimelines {
    pub names: Vec<Arc<str>>,
    /// The past of each host.
    pub pasts: Vec<Arc<Mutex<LinePast>>>,
    pub samples: watch::Receiver<Option<Arc<Sample>>>,
    pub requests: Receiver<TimelineRequest>,
    pub outbox: mpsc::UnboundedSender<ReplayedTimeline>,
}

impl HostTimelines {
    /// Answers the newest request, and drops those before it.
    pub fn run(&self) {
        while let Ok(mut request) = self.requests.recv() {
            while let Ok(newer) = self.requests.try_recv() {
                request = newer;
            }
            let (index, window) = request;
            let timeline = self.timeline(index, window).map(Arc::new);
            if self.outbox.send(ReplayedTimeline { index, window, timeline }).is_err() {
                return;
            }
        }
    }

    // The part `window` of the past of the database at `index` of the newest sample, as far as it was seen here.
    fn timeline(&self, index: usize, window: TimeWindow) -> Option<Timeline> {
        let sample = self.samples.borrow().clone()?;
        let host = sample.hosts.as_ref()?.of(index)?;
        let number = self.names.iter().position(|name| *name == host.name)?;
        let place = HostPath::of(&sample.snapshot.databases.get(index)?.path, [&*host.name])?;
        let past = threads::lock(self.pasts.get(number)?);
        past.timeline(&place.path.to_string_lossy(), window, host.time(Timestamp::now()))
    }
}
