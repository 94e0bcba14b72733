//! Where the samples of a console come from: the present, or a recording.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use crossbeam_channel::Sender;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::{
    history::{LockHistory, TimeWindow, Timeline},
    replay::{Replay, ReplayCommand, ReplayOutput, ReplayedTimeline},
    sampler::{Sample, Sampler, SamplerCommand},
    threads,
};

/// What a console shows, and what it asks for more.
pub struct SampleSource {
    pub origin: SampleOrigin,
    /// The newest sample.
    pub samples: watch::Receiver<Option<Arc<Sample>>>,
    /// The parts of the past that a recording sends.
    pub timelines: mpsc::UnboundedReceiver<ReplayedTimeline>,
}

pub enum SampleOrigin {
    /// The source of the timeline of each database stands beside the sampler, which may be in the middle of a sample
    /// while a key waits for its answer.
    Present(Sampler, Vec<Arc<Mutex<LockHistory>>>),
    Recording(Replay),
}

/// A part of the past that was asked for.
pub enum TimelineAnswer {
    /// `None` if the locks are not sampled.
    Now(Option<Arc<Timeline>>),
    /// It comes with [`SampleSource::timelines`].
    Later,
}

impl SampleSource {
    pub fn present(
        sampler: Sampler,
        newest: watch::Receiver<Option<Arc<Sample>>>,
        histories: Vec<Arc<Mutex<LockHistory>>>,
    ) -> Self {
        let (_, timelines) = mpsc::unbounded_channel();
        Self { origin: SampleOrigin::Present(sampler, histories), samples: newest, timelines }
    }

    pub fn recording(replay: Replay, output: ReplayOutput) -> Self {
        let ReplayOutput { samples, timelines } = output;
        Self { origin: SampleOrigin::Recording(replay), samples, timelines }
    }
}

impl SampleOrigin {
    /// A recording has no sampler.
    pub fn order(&self, command: SamplerCommand) {
        if let Self::Present(sampler, _) = self {
            sampler.order(command);
        }
    }

    pub fn orders(&self) -> Option<Sender<SamplerCommand>> {
        if let Self::Present(sampler, _) = self { Some(sampler.orders()) } else { None }
    }

    /// The present has nothing to move in.
    pub fn replay(&self, command: ReplayCommand) {
        if let Self::Recording(replay) = self {
            replay.order(command);
        }
    }

    pub fn timeline(&self, index: usize, window: TimeWindow) -> TimelineAnswer {
        match self {
            Self::Present(_, histories) => TimelineAnswer::Now(histories.get(index).and_then(|history| {
                threads::lock(history).timeline(window, (Instant::now(), Timestamp::now())).map(Arc::new)
            })),
            Self::Recording(replay) => {
                replay.order(ReplayCommand::Timeline { index, window });
                TimelineAnswer::Later
            }
        }
    }
}
