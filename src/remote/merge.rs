//! Makes one sample of the newest ones of all hosts.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use crossbeam_channel::{Receiver, Sender};
use jiff::Timestamp;
use tokio::sync::watch;

use super::link::LinkEvent;
use crate::{
    history::DatabaseTrend,
    hosts::{
        FoundTime, HostPath, HostTime, LinkFailure, LinkState, LostLink, MissedTimeReport, WatchedHost,
        WatchedHosts,
    },
    recording::{RecordingEvent, RecordingLine},
    replay::{LinePast, MissedTime, RecordedTime},
    sampler::Sample,
    snapshot::{Database, Snapshot},
    threads,
};

/// The thread that takes the events of all links.
#[derive(Debug)]
pub struct HostMerger {
    hosts: Vec<MergedHost>,
    /// The databases in the order in which they were first seen, so that none changes its place on the screen.
    places: Vec<DatabasePlace>,
    publish: watch::Sender<Option<Arc<Sample>>>,
    answered: Sender<Result<(), LinkFailure>>,
}

#[derive(Debug)]
struct MergedHost {
    name: Arc<str>,
    link: LinkState,
    connection: u32,
    has_answered: bool,
    /// When its last line came.
    heard_at: Timestamp,
    /// Its newest sample, without the databases.
    newest: Option<(Snapshot, HostTime)>,
    past: Arc<Mutex<LinePast>>,
    /// Takes the times without a link, to ask for them there.
    missed: Sender<MissedTime>,
}

/// A database of a host, as last seen.
#[derive(Debug)]
struct DatabasePlace {
    host: usize,
    path: PathBuf,
    database: Database,
    trend: DatabaseTrend,
}

impl HostMerger {
    pub fn new(
        names: &[Arc<str>],
        asks: Vec<Sender<MissedTime>>,
        publish: watch::Sender<Option<Arc<Sample>>>,
        answered: Sender<Result<(), LinkFailure>>,
    ) -> Self {
        let host = |(name, missed): (&Arc<str>, Sender<MissedTime>)| MergedHost {
            name: Arc::clone(name),
            link: LinkState::Connecting,
            connection: 0,
            has_answered: false,
            heard_at: Timestamp::now(),
            newest: None,
            past: Arc::default(),
            missed,
        };
        Self { hosts: names.iter().zip(asks).map(host).collect(), places: Vec::new(), publish, answered }
    }

    /// The past of each host.
    pub fn pasts(&self) -> Vec<Arc<Mutex<LinePast>>> {
        self.hosts.iter().map(|host| Arc::clone(&host.past)).collect()
    }

    /// Until all links have ended.
    pub fn run(mut self, inbox: &Receiver<(usize, LinkEvent)>) {
        while let Ok((number, event)) = inbox.recv() {
            if self.take(number, event) {
                self.publish.send_replace(Some(Arc::new(self.sample())));
            }
        }
    }

    // Whether the event changes what a console shows.
    fn take(&mut self, number: usize, event: LinkEvent) -> bool {
        let host = &mut self.hosts[number];
        let (answer, is_shown) = match event {
            LinkEvent::Connects => {
                if let LinkState::Lost(lost) = &mut host.link {
                    lost.retry_at = None;
                }
                (None, true)
            }
            LinkEvent::Begun(header) => {
                threads::lock(&host.past).begin(header);
                host.heard_at = Timestamp::now();
                (Some(Ok(())), false)
            }
            LinkEvent::Line(line, at) => {
                host.heard_at = at;
                (None, self.take_line(number, *line, at))
            }
            LinkEvent::Lost { why, retry_at } => {
                let since = host.link.lost().map_or(host.heard_at, |lost| lost.since);
                log::warn!("{why}");
                host.link = LinkState::Lost(LostLink { since, why: why.clone(), retry_at: Some(retry_at) });
                (Some(Err(why)), true)
            }
            LinkEvent::Recorded(recorded) => {
                host.take_recorded(*recorded);
                // The next sample shows it.
                (None, false)
            }
            LinkEvent::StaysMissed(missed, found) => {
                host.report(&missed, found);
                (None, false)
            }
        };
        let host = &mut self.hosts[number];
        if let Some(answer) = answer
            && !std::mem::replace(&mut host.has_answered, true)
        {
            // There is room for one answer of each host.
            let _ = self.answered.try_send(answer);
        }
        is_shown
    }

    fn take_line(&mut self, number: usize, line: RecordingLine, here: Timestamp) -> bool {
        let host = &mut self.hosts[number];
        let snapshot = match &line.event {
            RecordingEvent::Snapshot { snapshot } => Some((**snapshot).clone()),
            _ => None,
        };
        let missed = threads::lock(&host.past).add(line);
        // Of a link that is lost again and again, some times stay missed.
        missed.map(|missed| host.missed.try_send(missed));
        let Some(mut snapshot) = snapshot else { return false };
        if host.link != LinkState::Live {
            host.connection += 1;
        }
        if host.link.lost().is_some() {
            log::info!("the link to {} is there again", host.name);
        }
        host.link = LinkState::Live;
        let trends = threads::lock(&host.past).trends(&snapshot);
        let there = snapshot.taken_at;
        for (database, trend) in std::mem::take(&mut snapshot.databases).into_iter().zip(trends) {
            let path = database.path.clone();
            let database = Database { path: HostPath::name(&host.name, &path), ..database };
            let place = DatabasePlace { host: number, path, database, trend };
            let known = self.places.iter_mut().find(|it| (it.host, &it.path) == (number, &place.path));
            match known {
                Some(known) => *known = place,
                None => self.places.push(place),
            }
        }
        host.newest = Some((snapshot, HostTime { there, here }));
        true
    }

    fn sample(&self) -> Sample {
        let newest = || self.hosts.iter().filter_map(|host| host.newest.as_ref());
        let only = newest().next().filter(|_| self.hosts.len() == 1).map(|(snapshot, _)| snapshot);
        let names: Vec<_> = self.hosts.iter().map(|host| &*host.name).collect();
        let snapshot = Snapshot {
            taken_at: only.map_or_else(Timestamp::now, |it| it.taken_at),
            host: only.map_or_else(|| names.join(" "), |it| it.host.clone()),
            looker: only.and_then(|it| it.looker.clone()),
            databases: self.places.iter().map(|place| place.database.clone()).collect(),
            pidfiles: newest().flat_map(|(snapshot, _)| snapshot.pidfiles.clone()).collect(),
            // Of several hosts, each hold is at least as long as it is said to be unless all are traced.
            trace: newest().map(|(snapshot, _)| snapshot.trace).reduce(Option::and).flatten(),
            sampling: newest().find_map(|(snapshot, _)| snapshot.sampling),
            unseen: newest().flat_map(|(snapshot, _)| snapshot.unseen.clone()).collect(),
        };
        let hosts = WatchedHosts {
            hosts: self.hosts.iter().map(MergedHost::watched).collect(),
            of_database: self.places.iter().map(|place| place.host).collect(),
        };
        let trends = self.places.iter().map(|place| place.trend.clone()).collect();
        Sample { hosts: Some(hosts), ..Sample::of(snapshot, trends) }
    }
}

impl MergedHost {
    fn take_recorded(&mut self, recorded: RecordedTime) {
        let (missed, unwatched) = (recorded.missed.clone(), recorded.unwatched);
        let found = if recorded.is_known() { FoundTime::Recorded { unwatched } } else { FoundTime::Nothing };
        threads::lock(&self.past).fill(recorded);
        self.report(&missed, found);
    }

    fn report(&self, missed: &MissedTime, found: FoundTime) {
        let report = MissedTimeReport { host: self.name.to_string(), missed: missed.length(), found };
        log::info!("{report}");
    }

    fn watched(&self) -> WatchedHost {
        let newest = self.newest.as_ref().map(|(_, time)| *time);
        WatchedHost {
            name: Arc::clone(&self.name),
            link: self.link.clone(),
            connection: self.connection,
            newest,
        }
    }
}
