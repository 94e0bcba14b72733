//! The processes at the other end of a pipe or a socket.

use std::path::{Path, PathBuf};

use crate::{
    observe::proc::{self, Descriptor, ProcessFolder},
    snapshot::PeerProcess,
};

/// How many processes at the other end are named.
const MOST_NAMED: usize = 4;
/// How many descriptors of all processes together one search reads.
const MOST_SEARCHED: usize = 50_000;

/// How the kernel names the socket with this inode.
pub fn socket(inode: u64) -> PathBuf {
    PathBuf::from(format!("socket:[{inode}]"))
}

/// The processes other than `own` that have a descriptor on `target`, as the kernel names it, for which `is_other_end`
/// is true. Those of other users are visible to root only.
pub fn processes(
    proc: &Path,
    target: &Path,
    own: i32,
    is_other_end: &dyn Fn(&Descriptor) -> bool,
) -> Vec<PeerProcess> {
    let mut searched = 0;
    let mut found = Vec::new();
    for pid in proc::pids(proc).into_iter().flatten().filter(|pid| *pid != own) {
        let Ok(descriptors) = ProcessFolder::of(proc, pid).descriptors() else { continue };
        for descriptor in descriptors.flatten() {
            searched += 1;
            if descriptor.target().is_ok_and(|its| its == target) && is_other_end(&descriptor) {
                found.push(proc::named(proc, pid));
                break;
            }
        }
        if searched >= MOST_SEARCHED || found.len() == MOST_NAMED {
            break;
        }
    }
    found
}
