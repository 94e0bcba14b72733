//! Where the samples of a console come from: the present, a recording, or other hosts.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Instant,
};

use crossbeam_channel::Sender;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::{
    act::ActionOutcome,
    history::{LockHistory, TimeWindow, Timeline},
    recording::{Recorder, RecorderHost, RetentionLimits},
    remote::{RemoteHosts, SshHost},
    replay::{RecordedFinding, RecordedPast, Replay, ReplayCommand, ReplayOutput, ReplayedTimeline},
    sampler::{Sample, Sampler, SamplerCommand},
    threads,
};

/// What a console shows, and what it asks for more.
pub struct SampleSource {
    pub origin: SampleOrigin,
    /// The newest sample.
    pub samples: watch::Receiver<Option<Arc<Sample>>>,
    /// The parts of the past that a recording or the lines of hosts give.
    pub timelines: mpsc::UnboundedReceiver<ReplayedTimeline>,
}

pub enum SampleOrigin {
    /// The source of the timeline of each database stands beside the sampler, which may be in the middle of a sample
    /// while a key waits for its answer.
    Present(Sampler, PresentPast, RecordingSetup),
    Recording(Replay),
    Hosts(RemoteHosts),
}

/// The past of the present: what this process has sampled, and what a recorder beside it has recorded.
pub struct PresentPast {
    histories: Vec<Arc<Mutex<LockHistory>>>,
    recorded: Option<RecordedPast>,
}

/// Where and how a console records.
#[derive(Debug, Clone)]
pub struct RecordingSetup {
    pub folder: PathBuf,
    pub host: RecorderHost,
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
        databases: &[PathBuf],
        recording: RecordingSetup,
    ) -> Self {
        let (outbox, timelines) = mpsc::unbounded_channel();
        let recorded = RecordedPast::find(&recording.folder, databases, recording.host.clone(), outbox);
        let past = PresentPast { histories, recorded };
        Self { origin: SampleOrigin::Present(sampler, past, recording), samples: newest, timelines }
    }

    pub fn recording(replay: Replay, output: ReplayOutput) -> Self {
        let ReplayOutput { samples, timelines } = output;
        Self { origin: SampleOrigin::Recording(replay), samples, timelines }
    }

    pub fn hosts(hosts: RemoteHosts, timelines: mpsc::UnboundedReceiver<ReplayedTimeline>) -> Self {
        let samples = hosts.samples();
        Self { origin: SampleOrigin::Hosts(hosts), samples, timelines }
    }
}

impl PresentPast {
    /// What was sampled here, if that reaches far enough, else what was recorded.
    fn timeline(&self, index: usize, window: TimeWindow) -> TimelineAnswer {
        let now = Instant::now();
        let history = self.histories.get(index).map(|history| threads::lock(history));
        let recorded = self.recorded.as_ref().and_then(|recorded| Some((recorded, recorded.first()?)));
        if let Some((recorded, _)) = recorded {
            let begins = window.end.unwrap_or(now).checked_sub(window.span);
            let sampled_since = history.as_ref().and_then(|history| history.begins());
            if sampled_since.is_none_or(|since| begins.is_none_or(|begins| begins < since)) {
                recorded.ask(index, window);
                return TimelineAnswer::Later;
            }
        }
        let mut timeline = history.and_then(|history| history.timeline(window, (now, Timestamp::now())));
        if let (Some(timeline), Some((_, first))) = (&mut timeline, recorded) {
            timeline.oldest = timeline.oldest.min(first);
        }
        TimelineAnswer::Now(timeline.map(Arc::new))
    }
}

impl SampleOrigin {
    /// Neither a recording nor another host has a sampler here.
    pub fn order(&self, command: SamplerCommand) {
        if let Self::Present(sampler, ..) = self {
            sampler.order(command);
        }
    }

    pub fn orders(&self) -> Option<Sender<SamplerCommand>> {
        if let Self::Present(sampler, ..) = self { Some(sampler.orders()) } else { None }
    }

    /// Records what is sampled from now on, or stops that.
    pub fn record(&self, is_on: bool) -> ActionOutcome {
        let Self::Present(sampler, _, RecordingSetup { folder, host }) = self else {
            return ActionOutcome::bad("only this machine is recorded here".to_owned());
        };
        if !is_on {
            sampler.order(SamplerCommand::Record(None));
            return ActionOutcome::good("recording has ended".to_owned());
        }
        match Recorder::start(folder, RetentionLimits::default(), host.clone()) {
            Ok(recorder) => {
                sampler.order(SamplerCommand::Record(Some(Box::new(recorder))));
                ActionOutcome::good(format!("records into {}", folder.display()))
            }
            Err(error) => ActionOutcome::bad(error.to_string()),
        }
    }

    /// The hosts on which processes and databases are, if that is not this machine.
    pub fn hosts(&self) -> Option<&[SshHost]> {
        if let Self::Hosts(hosts) = self { Some(hosts.hosts()) } else { None }
    }

    /// Since when findings have been there, as a recorder beside the console has seen them. They come once.
    pub fn take_findings(&self) -> Vec<RecordedFinding> {
        match self {
            Self::Present(_, PresentPast { recorded: Some(recorded), .. }, _) => recorded.take_findings(),
            _ => Vec::new(),
        }
    }

    /// The present has nothing to move in.
    pub fn replay(&self, command: ReplayCommand) {
        if let Self::Recording(replay) = self {
            replay.order(command);
        }
    }

    pub fn timeline(&self, index: usize, window: TimeWindow) -> TimelineAnswer {
        match self {
            Self::Present(_, past, _) => past.timeline(index, window),
            Self::Recording(replay) => {
                replay.order(ReplayCommand::Timeline { index, window });
                TimelineAnswer::Later
            }
            Self::Hosts(hosts) => {
                hosts.ask_timeline(index, window);
                TimelineAnswer::Later
            }
        }
    }
}
