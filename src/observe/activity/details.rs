//! What a blocked thread waits for: the objects behind its descriptors, and the processes at their other ends.

use std::{
    cell::RefCell,
    collections::HashMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    classify::{LOOP, WaitDetails},
    other_end,
};
use crate::{
    file_format::{PENDING_BYTE, RESERVED_BYTE, WRITE_BYTE},
    observe::{
        lock_table,
        proc::{self, PolledDescriptor, ProcessFolder},
    },
    snapshot::{Activity, WaitSource},
};

/// How many things that an event loop watches are named.
const MOST_NAMED: usize = 4;
/// How many of them are looked up.
const MOST_LOOKED_UP: usize = 32;
/// How many descriptors of a process are searched for other databases.
const MOST_SEARCHED: usize = 1024;

/// The details of the waits of one process.
pub struct ProcessWaits<'a> {
    proc: &'a Path,
    pid: i32,
    folder: ProcessFolder,
    /// The inodes of the files of the watched databases: a wait for them is no wait for another database.
    own_files: &'a [u64],
    known: &'a KnownSources,
}

/// What was found behind descriptors, for the holds of one process: a search for the other end of a pipe reads the
/// descriptors of every process.
#[derive(Debug, Default)]
pub struct KnownSources(RefCell<HashMap<PathBuf, WaitSource>>);

impl<'a> ProcessWaits<'a> {
    pub fn new(proc: &'a Path, pid: i32, own_files: &'a [u64], known: &'a KnownSources) -> Self {
        Self { proc, pid, folder: ProcessFolder::with_files(proc, pid), own_files, known }
    }

    fn any_of(&self, polled: &[PolledDescriptor]) -> Activity {
        match polled {
            [] => LOOP,
            [one] if one.is_for_writing => Activity::Writing { to: self.source(one.number) },
            [one] => Activity::Reading { from: self.source(one.number) },
            several => self.watching(several.iter().map(|polled| polled.number)),
        }
    }

    // An event loop also watches what only wakes it up: those descriptors lead to nobody, and are not named.
    fn watching(&self, descriptors: impl Iterator<Item = i32>) -> Activity {
        let mut descriptors: Vec<i32> = descriptors.collect();
        descriptors.sort_unstable();
        descriptors.dedup();
        let looked_up = descriptors.iter().take(MOST_LOOKED_UP).map(|number| self.source(*number));
        let mut sources: Vec<WaitSource> = looked_up.filter(leads_somewhere).collect();
        let beyond =
            descriptors.len().saturating_sub(MOST_LOOKED_UP) + sources.len().saturating_sub(MOST_NAMED);
        sources.truncate(MOST_NAMED);
        Activity::EventLoop { sources, more: u32::try_from(beyond).unwrap_or(u32::MAX) }
    }

    fn target_of(&self, number: i32) -> Option<PathBuf> {
        self.folder.descriptor(number).target().ok()
    }

    fn find(&self, number: i32, target: &Path) -> WaitSource {
        let text = target.to_string_lossy();
        let numbered = |kind: &str| -> Option<u64> {
            text.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
        };
        if let Some(inode) = numbered("socket") {
            return self.socket(inode);
        }
        if numbered("pipe").is_some() {
            // Both ends of a pipe have the same name, and a child may have inherited this one.
            let is_reader = !self.folder.descriptor(number).is_writable();
            let is_other_end = |descriptor: &proc::Descriptor| descriptor.is_writable() == is_reader;
            return WaitSource::Pipe {
                peers: other_end::processes(self.proc, target, self.pid, &is_other_end),
            };
        }
        if is_terminal(&text) {
            return WaitSource::Terminal { name: text.into_owned() };
        }
        if target.is_absolute() {
            WaitSource::File { path: text.into_owned() }
        } else {
            WaitSource::Object { name: text.into_owned() }
        }
    }

    fn socket(&self, inode: u64) -> WaitSource {
        if let Some(socket) = self.folder.tcp_socket(|socket| socket.inode == inode) {
            let is_its_end = |other: &proc::TcpSocket| {
                other.local == socket.remote && other.remote == socket.local && other.inode != 0
            };
            // The other end is in the table of this machine only if the connection does not leave it.
            let other = self.folder.tcp_socket(is_its_end).map(|other| other_end::socket(other.inode));
            let peers = other.map(|other| other_end::processes(self.proc, &other, self.pid, &|_| true));
            return WaitSource::Tcp {
                local: socket.local.to_string(),
                remote: socket.remote.to_string(),
                state: socket.state.to_owned(),
                peer: peers.and_then(|peers| peers.into_iter().next()),
            };
        }
        let Some(own) = self.folder.unix_socket(inode) else { return WaitSource::Socket };
        let peer = peer_of_unix_socket(inode);
        let path = own.path.or_else(|| self.folder.unix_socket(peer?)?.path);
        let peers =
            peer.map(|peer| other_end::processes(self.proc, &other_end::socket(peer), self.pid, &|_| true));
        WaitSource::Unix { path, peer: peers.and_then(|peers| peers.into_iter().next()) }
    }
}

impl WaitDetails for ProcessWaits<'_> {
    fn source(&self, number: i32) -> WaitSource {
        let Some(target) = self.target_of(number) else { return WaitSource::Unknown };
        if let Some(known) = self.known.0.borrow().get(&target) {
            return known.clone();
        }
        let source = self.find(number, &target);
        self.known.0.borrow_mut().insert(target, source.clone());
        source
    }

    fn polled(&self, address: u64, count: u64) -> Activity {
        self.folder.polled(address, count).map_or(LOOP, |polled| self.any_of(&polled))
    }

    fn selected(&self, count: u64, reading: u64, writing: u64) -> Activity {
        self.folder.selected(count, reading, writing).map_or(LOOP, |selected| self.any_of(&selected))
    }

    fn event_loop(&self, number: i32) -> Activity {
        self.folder.watched_by(number).map_or(LOOP, |watched| self.watching(watched.into_iter()))
    }

    fn children(&self) -> Activity {
        Activity::Child { children: proc::children(self.proc, self.pid) }
    }

    fn path(&self, number: i32) -> Option<String> {
        Some(self.target_of(number)?.to_string_lossy().into_owned())
    }

    fn locked_databases(&self) -> Vec<String> {
        let Ok(descriptors) = self.folder.descriptors() else { return Vec::new() };
        let mut files: HashMap<u64, PathBuf> = HashMap::new();
        for descriptor in descriptors.flatten().take(MOST_SEARCHED) {
            let Ok(file) = descriptor.metadata() else { continue };
            if file.is_file()
                && !self.own_files.contains(&file.ino())
                && let Ok(path) = descriptor.target()
            {
                files.insert(file.ino(), path);
            }
        }
        let inodes: Vec<u64> = files.keys().copied().collect();
        let table = lock_table::read(self.proc, &inodes).unwrap_or_default();
        let mut locked: Vec<String> = Vec::new();
        for row in table.rows.iter().filter(|row| row.is_write && row.pid != Some(self.pid)) {
            let is_writer = [WRITE_BYTE, PENDING_BYTE, RESERVED_BYTE].iter().any(|byte| row.covers(*byte));
            if is_writer && let Some(path) = files.get(&row.inode) {
                let path = path.to_string_lossy();
                locked.push(path.strip_suffix("-shm").unwrap_or(&path).to_owned());
            }
        }
        locked.sort_unstable();
        locked.dedup();
        locked
    }
}

#[cfg(target_os = "linux")]
fn peer_of_unix_socket(inode: u64) -> Option<u64> {
    super::unix_socket::peer_of(inode)
}

#[cfg(not(target_os = "linux"))]
fn peer_of_unix_socket(_: u64) -> Option<u64> {
    None
}

fn leads_somewhere(source: &WaitSource) -> bool {
    match source {
        WaitSource::Object { .. } => false,
        WaitSource::Pipe { peers } => !peers.is_empty(),
        WaitSource::Unix { path, peer } => path.is_some() || peer.is_some(),
        WaitSource::Tcp { .. }
        | WaitSource::Socket
        | WaitSource::Terminal { .. }
        | WaitSource::File { .. }
        | WaitSource::Unknown => true,
    }
}

fn is_terminal(path: &str) -> bool {
    path.starts_with("/dev/pts/") || path.starts_with("/dev/tty") || path == "/dev/console"
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests;
