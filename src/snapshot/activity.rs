//! What a process does while it holds a lock or pins the log, counted over samples.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{text, units};

/// The activity of a process in the samples that were taken while it held a lock or pinned the log.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct HolderActivity {
    /// How many samples there are.
    pub samples: u32,
    /// Time from the first to the last, in ms.
    pub span_ms: f64,
    pub verdict: ActivityVerdict,
    /// The activities seen, most samples first.
    pub counts: Vec<ActivityCount>,
}

/// Whether the samples show one activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivityVerdict {
    /// At least 80 % of the samples show the first of the counted activities.
    Named,
    /// No activity has that many.
    Mixed,
    /// Fewer than 10 samples, or less than 1 s of them.
    TooFew,
}

/// How many samples show an activity.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ActivityCount {
    pub samples: u32,
    #[serde(flatten)]
    pub activity: Activity,
}

/// What a process does at the moment of a sample.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "kebab-case")]
pub enum Activity {
    /// On a processor, or waiting for one.
    Computing,
    /// In an uninterruptible wait, or in a call that writes a file to its disk.
    Disk,
    /// In a sleep that it asked for.
    Asleep,
    /// In SQLite's wait for the lock of another database.
    BusyWait {
        /// The databases that it has open and another process has locked.
        databases: Vec<String>,
    },
    /// In a read, or in a wait for one thing to read.
    Reading { from: WaitSource },
    /// In a write, or in a wait to write or to connect.
    Writing { to: WaitSource },
    /// In a wait for any of several things, as an event loop does.
    EventLoop {
        /// Some of the things, as the last sample shows them.
        sources: Vec<WaitSource>,
        /// How many more there are.
        more: u32,
    },
    /// Waiting for a child to end.
    Child {
        /// Its children.
        children: Vec<PeerProcess>,
    },
    /// Waiting for a thread or a lock of its own.
    Thread,
    /// Waiting for a lock on a file.
    FileLock { path: Option<String> },
    /// Stopped by a signal or a debugger.
    Stopped,
    /// Frozen with its control group.
    Frozen,
    /// Its threads do different things, and the one with the transaction is unknown.
    SeveralThreads,
    /// Asleep; the kernel does not show this user what it waits for.
    Hidden,
    /// In a call that has no class here.
    Other {
        /// The kernel function in which it sleeps, as the kernel names it.
        wchan: Option<String>,
        /// The number of the system call.
        syscall: Option<i64>,
    },
}

/// What a process waits for.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum WaitSource {
    /// A TCP connection.
    Tcp {
        local: String,
        /// Address and port of the other end.
        remote: String,
        /// The state of the connection, as `proc_net_tcp` names it.
        state: String,
        /// The process at the other end, if it is on this machine.
        peer: Option<PeerProcess>,
    },
    /// A Unix-domain socket.
    Unix {
        /// The path of the socket, or of its other end.
        path: Option<String>,
        peer: Option<PeerProcess>,
    },
    /// A socket of another kind, or one that is not listed.
    Socket,
    /// A pipe, with the processes that have its other end open.
    Pipe {
        peers: Vec<PeerProcess>,
    },
    Terminal {
        name: String,
    },
    File {
        path: String,
    },
    /// An object without a path, as the kernel names it.
    Object {
        name: String,
    },
    /// Its descriptor cannot be read, or was closed meanwhile.
    Unknown,
}

/// A process at the other end of a wait.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PeerProcess {
    pub pid: i32,
    pub name: String,
}

impl HolderActivity {
    /// The fewest samples that name an activity.
    pub const FEWEST: u32 = 10;
    /// The shortest time of samples that names an activity, in ms.
    pub const SHORTEST_MS: f64 = 1000.0;
    /// The share of the samples that an activity needs to be named, in percent.
    pub const SHARE: u32 = 80;

    /// Counts `samples`, oldest first, which span `span_ms`; `None` if there are none.
    pub fn of<'a>(samples: impl Iterator<Item = &'a Activity>, span_ms: f64) -> Option<Self> {
        let (mut counts, mut total) = (Vec::<ActivityCount>::new(), 0);
        for activity in samples {
            total += 1;
            match counts.iter_mut().find(|count| count.activity.is_like(activity)) {
                Some(count) => {
                    count.samples += 1;
                    count.activity.clone_from(activity);
                }
                None => counts.push(ActivityCount { samples: 1, activity: activity.clone() }),
            }
        }
        counts.sort_by_key(|count| std::cmp::Reverse(count.samples));
        let most = counts.first()?.samples;
        let verdict = if total < Self::FEWEST || span_ms < Self::SHORTEST_MS {
            ActivityVerdict::TooFew
        } else if most * 100 >= total * Self::SHARE {
            ActivityVerdict::Named
        } else {
            ActivityVerdict::Mixed
        };
        Some(Self { samples: total, span_ms, verdict, counts })
    }

    /// The activity that the samples name, with the number of samples that show it.
    pub fn named(&self) -> Option<&ActivityCount> {
        self.counts.first().filter(|_| self.verdict == ActivityVerdict::Named)
    }

    /// What it means that a transaction is open meanwhile; `None` if no activity is named, or it is no wait.
    pub fn consequence(&self) -> Option<&'static str> {
        self.named()?.activity.consequence()
    }
}

/// The named activity, and what it means; otherwise the most frequent ones.
impl fmt::Display for HolderActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = units::count(self.samples.into());
        if let Some(count) = self.named() {
            let share = units::count(count.samples.into());
            write!(f, "{} in {share} of {total} samples", count.activity)?;
            return self.consequence().map_or(Ok(()), |what| write!(f, ": {what}"));
        }
        f.write_str(if self.verdict == ActivityVerdict::Mixed { "mixed: " } else { "too few samples: " })?;
        for (index, count) in self.counts.iter().take(3).enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{} in {} of {total}", count.activity, units::count(count.samples.into()))?;
        }
        Ok(())
    }
}

impl Activity {
    /// Whether both count as one activity: the same class, and in a read or write the same object.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Reading { from: one }, Self::Reading { from: two })
            | (Self::Writing { to: one }, Self::Writing { to: two }) => one == two,
            (Self::Other { .. }, Self::Other { .. }) => self == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    fn consequence(&self) -> Option<&'static str> {
        match self {
            Self::Asleep => Some("a transaction is open across a sleep"),
            Self::Reading { from } | Self::Writing { to: from } => match from {
                WaitSource::Tcp { .. } | WaitSource::Unix { .. } | WaitSource::Socket => {
                    Some("a transaction is open across a network call")
                }
                WaitSource::Terminal { .. } => Some("a transaction is open while it waits for its user"),
                WaitSource::Pipe { .. } => Some("a transaction is open while it waits for another process"),
                WaitSource::File { .. } | WaitSource::Object { .. } | WaitSource::Unknown => None,
            },
            Self::EventLoop { .. } => Some("a transaction is open while its event loop waits"),
            Self::Child { .. } => Some("a transaction is open while a child runs"),
            Self::BusyWait { .. } => Some("it keeps this lock while it waits for the other"),
            Self::FileLock { .. } => Some("it keeps this lock while it waits for the file's"),
            Self::Thread => Some("a transaction is open while it waits for one of its threads"),
            Self::Disk => Some("its disk is what takes the time"),
            Self::Computing
            | Self::Stopped
            | Self::Frozen
            | Self::SeveralThreads
            | Self::Hidden
            | Self::Other { .. } => None,
        }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Computing => f.write_str("computing"),
            Self::Disk => f.write_str("waiting for the disk"),
            Self::Asleep => f.write_str("in a sleep of its own"),
            Self::BusyWait { databases } => {
                write!(f, "waiting for the lock of another database ({})", text::clean(&databases.join(", ")))
            }
            Self::Reading { from } => write!(f, "in a read from {from}"),
            Self::Writing { to } => write!(f, "in a write to {to}"),
            Self::EventLoop { sources, more } => event_loop(f, sources, *more),
            Self::Child { children } if children.is_empty() => f.write_str("waiting for a child"),
            Self::Child { children } => write!(f, "waiting for a child: {}", peers(children)),
            Self::Thread => f.write_str("waiting for a thread or a lock of its own"),
            Self::FileLock { path: Some(path) } => write!(f, "waiting for a lock on {}", text::clean(path)),
            Self::FileLock { path: None } => f.write_str("waiting for a lock on a file"),
            Self::Stopped => f.write_str("stopped"),
            Self::Frozen => f.write_str("frozen with its control group"),
            Self::SeveralThreads => f.write_str("with threads that do different things"),
            Self::Hidden => f.write_str("asleep; what it waits for is hidden from this user"),
            Self::Other { wchan, syscall } => other(f, wchan.as_deref(), *syscall),
        }
    }
}

fn event_loop(f: &mut fmt::Formatter<'_>, sources: &[WaitSource], more: u32) -> fmt::Result {
    if sources.is_empty() {
        return f.write_str("in an event loop");
    }
    f.write_str("in an event loop that watches ")?;
    for (index, source) in sources.iter().enumerate() {
        write!(f, "{}{source}", if index > 0 { ", " } else { "" })?;
    }
    if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
}

fn other(f: &mut fmt::Formatter<'_>, wchan: Option<&str>, syscall: Option<i64>) -> fmt::Result {
    match (wchan, syscall) {
        (Some(wchan), _) => write!(f, "asleep in {} of the kernel", text::clean(wchan)),
        (None, Some(number)) => write!(f, "asleep in system call {number}"),
        (None, None) => f.write_str("asleep"),
    }
}

impl fmt::Display for WaitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { remote, peer: Some(peer), .. } => write!(f, "TCP {remote} ({peer})"),
            Self::Tcp { remote, peer: None, .. } => write!(f, "TCP {remote}"),
            Self::Unix { path, peer } => {
                f.write_str("a Unix socket")?;
                if let Some(path) = path {
                    write!(f, " {}", text::clean(path))?;
                }
                peer.as_ref().map_or(Ok(()), |peer| write!(f, " ({peer})"))
            }
            Self::Socket => f.write_str("a socket"),
            Self::Pipe { peers: ends } if ends.is_empty() => f.write_str("a pipe"),
            Self::Pipe { peers: ends } => write!(f, "a pipe ({})", peers(ends)),
            Self::Terminal { name } => write!(f, "the terminal {}", text::clean(name)),
            Self::File { path } => f.write_str(&text::clean(path)),
            Self::Object { name } => write!(f, "{} of the kernel", text::clean(name)),
            Self::Unknown => f.write_str("a descriptor that cannot be read"),
        }
    }
}

impl fmt::Display for PeerProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, text::clean(&self.name))
    }
}

fn peers(peers: &[PeerProcess]) -> String {
    peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
