//! Other hosts over ssh: a link each, whose lines become the samples of one console. waltop there samples and judges; here
//! nothing is judged again. A host without a link keeps its last sample, which says so.

mod failure;
mod link;
mod merge;
mod missed;
mod ssh;
mod ssh_process;
mod timelines;

use std::{ffi::OsString, io, path::PathBuf, sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender};
use tokio::sync::{mpsc, watch};

use crate::{
    config::TraceMode, history::TimeWindow, hosts::LinkFailure, replay::ReplayedTimeline, sampler::Sample,
    threads,
};

pub use failure::{of_command, of_start};
use link::HostLink;
use merge::HostMerger;
use missed::MissedTimeReader;
pub use ssh::{HostError, SshHost};
use timelines::{HostTimelines, TimelineRequest};

/// Events that wait for the thread that merges them.
const AHEAD: usize = 64;
/// Times without a link to one host that wait to be asked for there.
const MISSED_AHEAD: usize = 8;
/// How long an end waits for the links.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is sampled on each host.
#[derive(Debug, Clone)]
pub struct StreamRequest {
    /// As named there.
    pub databases: Vec<PathBuf>,
    pub recursive: bool,
    pub every: Duration,
    pub sampling: bool,
    pub trace: Option<TraceMode>,
}

impl StreamRequest {
    fn words(&self) -> Vec<OsString> {
        let every = format!("{}ms", self.every.as_millis());
        let mut words: Vec<OsString> = ["stream", "--json", "--every"].map(Into::into).into();
        words.push(every.into());
        words.extend(self.recursive.then(|| "--recursive".into()));
        words.extend((!self.sampling).then(|| "--no-sampling".into()));
        words.extend(self.trace.map(|trace| format!("--trace={}", trace.name()).into()));
        words.push("--".into());
        words.extend(self.databases.iter().map(|path| path.clone().into()));
        words
    }
}

/// The links to all hosts. They end when this is dropped.
#[derive(Debug)]
pub struct RemoteHosts {
    hosts: Vec<SshHost>,
    names: Vec<Arc<str>>,
    timelines: Sender<TimelineRequest>,
    samples: watch::Receiver<Option<Arc<Sample>>>,
    // Dropping it ends the links.
    ending: Option<Sender<()>>,
    /// Each closes with the thread of a link.
    done: Vec<Receiver<()>>,
    /// What each host has answered first.
    answers: Receiver<Result<(), LinkFailure>>,
}

impl RemoteHosts {
    /// Begins to connect to `hosts`, which are different ones. What is returned beside it gets the timelines that are asked
    /// for.
    ///
    /// # Errors
    ///
    /// The operating system refuses a thread.
    pub fn start(
        hosts: Vec<SshHost>,
        request: &StreamRequest,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<ReplayedTimeline>)> {
        let (outbox, inbox) = crossbeam_channel::bounded(AHEAD);
        let (ending, ended) = crossbeam_channel::bounded(0);
        let (publish, samples) = watch::channel(None);
        let (answered, answers) = crossbeam_channel::bounded(hosts.len());
        let names: Vec<Arc<str>> = hosts.iter().map(|host| host.name().into()).collect();
        let (asks, missed): (Vec<_>, Vec<_>) =
            hosts.iter().map(|_| crossbeam_channel::bounded(MISSED_AHEAD)).unzip();
        let merger = HostMerger::new(&names, asks, publish, answered);
        let (timelines, requests) = crossbeam_channel::unbounded();
        let (answers_to, shown) = mpsc::unbounded_channel();
        let maker = HostTimelines {
            names: names.clone(),
            pasts: merger.pasts(),
            samples: samples.clone(),
            requests,
            outbox: answers_to,
        };
        threads::start("waltop-timelines", move || maker.run())?;
        let mut done = vec![threads::start_watched("waltop-hosts", move || merger.run(&inbox))?];
        for ((number, host), requests) in hosts.iter().cloned().enumerate().zip(missed) {
            let (outbox, ending) = (outbox.clone(), ended.clone());
            let reader = MissedTimeReader {
                host: host.clone(),
                requests,
                outbox: outbox.clone(),
                number,
                ending: ending.clone(),
            };
            done.push(threads::start_watched(&format!("waltop-past-{number}"), move || reader.run())?);
            let link = HostLink { host, words: request.words(), outbox, number, ending };
            done.push(threads::start_watched(&format!("waltop-ssh-{number}"), move || link.run())?);
        }
        let links = Self { hosts, names, timelines, samples, ending: Some(ending), done, answers };
        Ok((links, shown))
    }

    /// Waits until each host has sent its first line or failed. Returns the failures.
    pub fn first_failures(&self) -> Vec<LinkFailure> {
        self.names.iter().filter_map(|_| self.answers.recv().ok()?.err()).collect()
    }

    pub fn hosts(&self) -> &[SshHost] {
        &self.hosts
    }

    /// The newest sample.
    pub fn samples(&self) -> watch::Receiver<Option<Arc<Sample>>> {
        self.samples.clone()
    }

    /// Asks for the part `window` of the past of the database at `index` of the newest sample. It comes through the
    /// channel of [`Self::start`].
    pub fn ask_timeline(&self, index: usize, window: TimeWindow) {
        // A thread that has ended answers nothing.
        let _ = self.timelines.send((index, window));
    }
}

impl Drop for RemoteHosts {
    fn drop(&mut self) {
        self.ending = None;
        for done in &self.done {
            let _ = done.recv_timeout(PATIENCE);
        }
    }
}
