//! Other hosts over ssh: a link each, whose lines become the samples of one console. waltop there samples and judges; here
//! nothing is judged again. A host without a link keeps its last sample, which says so.

mod failure;
mod link;
mod merge;
mod missed;
mod ssh;
mod ssh_process;

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    config::TraceMode,
    history::{TimeWindow, Timeline},
    hosts::{HostPath, LinkFailure},
    replay::LinePast,
    sampler::Sample,
    threads,
};

pub use failure::{of_command, of_start};
use link::HostLink;
use merge::HostMerger;
use missed::MissedTimeReader;
pub use ssh::{HostError, SshHost};

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
    pasts: Vec<Arc<Mutex<LinePast>>>,
    samples: watch::Receiver<Option<Arc<Sample>>>,
    // Dropping it ends the links.
    ending: Option<Sender<()>>,
    /// Each closes with the thread of a link.
    done: Vec<Receiver<()>>,
    /// What each host has answered first.
    answers: Receiver<Result<(), LinkFailure>>,
}

impl RemoteHosts {
    /// Begins to connect to `hosts`, which are different ones.
    ///
    /// # Errors
    ///
    /// The operating system refuses a thread.
    pub fn start(hosts: Vec<SshHost>, request: &StreamRequest) -> io::Result<Self> {
        let (outbox, inbox) = crossbeam_channel::bounded(AHEAD);
        let (ending, ended) = crossbeam_channel::bounded(0);
        let (publish, samples) = watch::channel(None);
        let (answered, answers) = crossbeam_channel::bounded(hosts.len());
        let names: Vec<Arc<str>> = hosts.iter().map(|host| host.name().into()).collect();
        let (asks, requests): (Vec<_>, Vec<_>) =
            hosts.iter().map(|_| crossbeam_channel::bounded(MISSED_AHEAD)).unzip();
        let merger = HostMerger::new(&names, asks, publish, answered);
        let pasts = merger.pasts();
        let mut done = vec![threads::start_watched("waltop-hosts", move || merger.run(&inbox))?];
        for ((number, host), requests) in hosts.iter().cloned().enumerate().zip(requests) {
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
        Ok(Self { hosts, names, pasts, samples, ending: Some(ending), done, answers })
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

    /// The part `window` of the past of the database at `index` of the newest sample, as far as it was seen here.
    pub fn timeline(&self, index: usize, window: TimeWindow) -> Option<Timeline> {
        let sample = self.samples.borrow().clone()?;
        let host = sample.hosts.as_ref()?.of(index)?;
        let number = self.names.iter().position(|name| *name == host.name)?;
        let place = HostPath::of(&sample.snapshot.databases.get(index)?.path, [&*host.name])?;
        let past = threads::lock(self.pasts.get(number)?);
        past.timeline(&place.path.to_string_lossy(), window, host.time(Timestamp::now()))
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
