//! One descriptor of a process, and its relation to a database.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use crate::{
    observe::{
        files::{BirthId, FileSighting},
        lock_table::LockRow,
        opener::{DatabaseOpener, OpenerTarget},
        proc::{Descriptor, DescriptorInfo, ProcessFolder},
    },
    paths::FileId,
};

/// A descriptor on a file, with what a sample has read of it.
pub struct OpenDescriptor<'a> {
    pub pid: i32,
    pub proc: &'a Path,
    pub process: &'a ProcessFolder,
    pub descriptor: &'a Descriptor,
    /// The path of its file, as the kernel names it.
    pub text: &'a [u8],
    pub id: FileId,
    pub birth: Option<BirthId>,
    /// Bytes of a file that no folder lists any more; 0 if one does.
    pub last_bytes: u64,
}

impl OpenDescriptor<'_> {
    /// Records in `opener` what it has open of `target`, if anything.
    pub fn note(&self, opener: &mut Option<DatabaseOpener>, target: &OpenerTarget) {
        let is_at = |sight: Option<&FileSighting>| sight.is_some_and(|sight| sight.id == self.id);
        if let Some(which) = target.sights.iter().position(|&sight| is_at(sight)) {
            // No process locks `-wal`, and it adds nothing to the main file, which is opened first. Another waltop may
            // read both at once: its descriptors on them are counted.
            let is_beside = |opener: &DatabaseOpener| {
                which == 1 && opener.handles.is_some_and(|handles| handles.db > opener.glances)
            };
            let is_known = opener.as_ref().is_some_and(is_beside);
            // Most descriptors belong to connections that may write. Their `fdinfo` adds only open-file-description
            // locks, and the lock table shows whether there are any. Reading it costs more than all other parts of a
            // sample.
            let is_plain = is_known || !target.is_cut && target.ofd_rows.is_empty() && self.is_writable();
            let info = if is_plain { Some(DescriptorInfo::default()) } else { self.descriptor.info() };
            // It was closed during the sample.
            let Some(info) = info else { return };
            let opener = opener.get_or_insert_default();
            opener.note_file(self.id);
            let handles = opener.handles.get_or_insert_default();
            let is_writable = self.is_writable() || !(is_plain || info.is_read_only);
            opener.writable += u32::from(is_writable);
            opener.writable_log += u32::from(is_writable && which == 1);
            if which != 1 {
                opener.lockable.push((which, self.descriptor.number().to_string_lossy().into_owned()));
            }
            opener.glances += u32::from(which != 2 && info.is_glance);
            match which {
                0 => {
                    handles.db += 1;
                    opener.read_only_db += u32::from(info.is_read_only);
                    opener.has_moved |= info.is_read_only && info.has_moved;
                }
                1 => handles.wal += 1,
                _ => {
                    handles.shm += 1;
                    opener.read_only_shm += u32::from(info.is_read_only);
                }
            }
            let is_needed = |row: &LockRow| row.is_ofd || target.is_cut;
            opener.taken_locks.extend(info.locks.into_iter().filter(is_needed));
        } else if let Some((which, place)) = self.outdated(target) {
            let info = self.descriptor.info().unwrap_or_default();
            // A waltop that copies it.
            if info.is_glance {
                return;
            }
            let opener = opener.get_or_insert_default();
            let is_new = !opener.files.contains(&self.id);
            opener.note_file(self.id);
            opener.moved_to.extend(place.filter(|place| !opener.moved_to.contains(place)));
            opener.handles.get_or_insert_default();
            opener.writable_replaced += u32::from(which != 2 || !info.is_read_only);
            opener.writable += u32::from(!info.is_read_only);
            let name = target.paths[which].to_string_lossy().into_owned();
            if which != 2 && self.last_bytes > 0 {
                // Several descriptors may be on one file.
                opener.deleted_bytes += if is_new { self.last_bytes } else { 0 };
                if !opener.deleted.contains(&name) {
                    opener.deleted.push(name.clone());
                }
            }
            if !opener.replaced.contains(&name) {
                opener.replaced.push(name);
            }
        }
    }

    // The index of the target's file that the descriptor was opened on, and its current path, if it has one.
    fn outdated(&self, target: &OpenerTarget) -> Option<(usize, Option<String>)> {
        if let Some(which) = self.replaced(target) {
            return Some((which, None));
        }
        let which = target.moved(self.pid, self.birth?, self.text)?;
        Some((which, Some(String::from_utf8_lossy(self.text).into_owned())))
    }

    // The index of the target's file that the descriptor was opened on before that file was deleted or replaced. Only
    // the path is left as evidence, so a process with another file system at that path must not match. A real file name
    // may also end with the kernel's mark of deletion: such a file still exists.
    fn replaced(&self, target: &OpenerTarget) -> Option<usize> {
        let path = self.text.strip_suffix(b" (deleted)")?;
        let which = target.paths.iter().position(|ours| ours.as_os_str().as_bytes() == path)?;
        let there = fs::metadata(OsStr::from_bytes(self.text));
        if target.namespace.is_none() && there.is_ok_and(|there| FileId::of(&there) == self.id) {
            return None;
        }
        let mut devices = target.sights.iter().flatten().map(|sight| sight.id.device).peekable();
        let is_on_ours = if devices.peek().is_some() {
            devices.any(|device| device == self.id.device)
        } else {
            // If none of the files is left, their folder shows the device.
            let folder = target.paths[which].parent().and_then(|folder| folder.metadata().ok());
            folder.is_some_and(|folder| folder.dev() == self.id.device)
        };
        (is_on_ours || shares_mounts(self.proc, self.process, target)).then_some(which)
    }

    fn is_writable(&self) -> bool {
        self.descriptor.is_writable()
    }
}

/// The names by which one process has the main files and sidecars open.
#[derive(Default)]
pub struct OpenedNames {
    // The target, and the name without a mark of deletion.
    mains: HashSet<(usize, Vec<u8>)>,
    // The target of the link, and whether the descriptor is writable.
    sidecars: Vec<(Vec<u8>, FileId, bool)>,
}

impl OpenedNames {
    /// Records the name of `descriptor`, if it is one of those.
    pub fn note(&mut self, descriptor: &OpenDescriptor, targets: &[OpenerTarget]) {
        let text = descriptor.text;
        let is_main = |target: &OpenerTarget| target.sights[0].is_some_and(|sight| sight.id == descriptor.id);
        self.mains.extend(
            (0..).zip(targets).filter(|(_, target)| is_main(target)).map(|(at, _)| (at, text.to_vec())),
        );
        if text.ends_with(b"-wal") || text.ends_with(b"-shm") {
            self.sidecars.push((text.to_vec(), descriptor.id, descriptor.is_writable()));
        }
    }

    /// A log or an index beside a name of this main file that is not the one beside the path. A deleted one counts as a
    /// replaced file. If the process `shares_mounts` with waltop, a file at that very path is the one beside it: it was
    /// created after the sample had read the path, as the first connection creates it after the last one has closed.
    pub fn judge(
        &self,
        at: usize,
        opener: &mut DatabaseOpener,
        target: &OpenerTarget,
        shares_mounts: impl Fn() -> bool,
    ) {
        for (text, id, is_writable) in &self.sidecars {
            let (name, suffix) = text.split_at(text.len() - 4);
            let which = if suffix == b"-wal" { 1 } else { 2 };
            let is_beside_main = self.mains.contains(&(at, name.to_vec()));
            let is_current = target.sights[which].is_some_and(|sight| sight.id == *id);
            let is_at_path = || text == target.paths[which].as_os_str().as_bytes() && shares_mounts();
            if is_beside_main && !is_current && !is_at_path() {
                opener.other_log.push(String::from_utf8_lossy(text).into_owned());
                opener.other_files.push(format!("{}:{}", id.device, id.inode));
                opener.writable += u32::from(*is_writable);
            }
        }
        for list in [&mut opener.other_log, &mut opener.other_files] {
            list.sort();
            list.dedup();
        }
    }
}

/// Whether `process` is in the mount namespace of the paths of `target`, as far as that is visible.
pub fn shares_mounts(proc: &Path, process: &ProcessFolder, target: &OpenerTarget) -> bool {
    let own = || ProcessFolder::own(proc).mount_namespace();
    let ours = target.namespace.map_or_else(own, |it| Ok(it.to_owned()));
    match (process.mount_namespace(), ours) {
        (Ok(theirs), Ok(ours)) => theirs == ours,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        observe::{
            proc::fake::FakeProc,
            processes::tests::{READS, Scene, WRITES},
        },
        snapshot::HandleCounts,
    };

    // What process 70 has open, whose descriptor was opened with `info` on the file `which` that was replaced since.
    fn opener_of_replaced(which: usize, info: &str) -> DatabaseOpener {
        let (scene, proc) = (Scene::new(), FakeProc::new());
        let path = &scene.paths[which];
        proc.process(70).descriptor(70, 3, path, info);
        let process = ProcessFolder::of(proc.path(), 70);
        let metadata = path.metadata().expect("it is there");
        let id = FileId { inode: 1, ..FileId::of(&metadata) };
        let descriptor = OpenDescriptor {
            pid: 70,
            proc: proc.path(),
            process: &process,
            descriptor: &process.descriptor(3),
            text: &[path.as_os_str().as_bytes(), b" (deleted)"].concat(),
            id,
            birth: None,
            last_bytes: 4096,
        };
        let mut opener = None;
        descriptor.note(&mut opener, &scene.target());
        let opener = opener.expect("it has the file open");
        let name = path.to_string_lossy().into_owned();
        assert_eq!((&opener.replaced, &opener.files), (&vec![name.clone()], &vec![id]));
        assert_eq!(
            opener.deleted,
            if which == 2 { vec![] } else { vec![name] },
            "an index has no data to lose"
        );
        opener
    }

    #[test]
    fn who_has_a_replaced_file_open_is_a_client_unless_it_only_reads_an_index() {
        for (which, info, is_client, writable) in [
            (0, READS, true, 0),
            (1, READS, true, 0),
            (1, WRITES, true, 1),
            (2, READS, false, 0),
            (2, WRITES, true, 1),
        ] {
            let opener = opener_of_replaced(which, info);
            assert_eq!(!opener.is_observer(), is_client, "file {which}, {info}");
            assert_eq!(opener.writable, writable, "file {which}, {info}");
        }
    }

    const GLANCES: &str = "flags:\t0104000\n";

    // What process 70 has open, whose descriptors were opened on the files of `target` with these `fdinfo`, in this order.
    fn opener_of(scene: &Scene, target: &OpenerTarget, open: &[(usize, &str)]) -> Option<DatabaseOpener> {
        let proc = FakeProc::new();
        proc.process(70);
        let process = ProcessFolder::of(proc.path(), 70);
        let mut opener = None;
        for (number, (which, info)) in (3..).zip(open) {
            let path = &scene.paths[*which];
            proc.descriptor(70, number, path, info);
            let descriptor = OpenDescriptor {
                pid: 70,
                proc: proc.path(),
                process: &process,
                descriptor: &process.descriptor(number.cast_signed()),
                text: path.as_os_str().as_bytes(),
                id: FileId::of(&path.metadata().expect("it is there")),
                birth: None,
                last_bytes: 0,
            };
            descriptor.note(&mut opener, target);
        }
        opener
    }

    #[test]
    fn each_descriptor_counts_for_what_it_may_do() {
        let scene = Scene::new();
        let of =
            |open: &[(usize, &str)]| opener_of(&scene, &scene.target(), open).expect("it has files open");
        let opener = of(&[(0, WRITES), (0, READS), (2, READS), (2, WRITES)]);
        assert_eq!(opener.handles, Some(HandleCounts { db: 2, wal: 0, shm: 2 }));
        assert_eq!(
            (opener.read_only_db, opener.read_only_shm, opener.writable, opener.writable_log),
            (1, 1, 2, 0)
        );
        let lockable: Vec<_> =
            opener.lockable.iter().map(|(which, number)| (*which, number.as_str())).collect();
        assert_eq!(lockable, [(0, "3"), (0, "4"), (2, "5"), (2, "6")]);
        assert_eq!((opener.files.len(), opener.glances), (2, 0));
        let logs = of(&[(1, WRITES), (1, READS), (1, WRITES)]);
        assert_eq!(
            (logs.handles, logs.writable, logs.writable_log),
            (Some(HandleCounts { db: 0, wal: 3, shm: 0 }), 2, 2)
        );
        assert!(logs.lockable.is_empty(), "no process locks a log");
        let waltop = of(&[(0, GLANCES), (1, GLANCES), (2, GLANCES)]);
        assert_eq!((waltop.glances, waltop.read_only_shm, waltop.writable), (2, 1, 0));
        assert!(waltop.is_observer());
    }

    #[test]
    fn locks_of_a_descriptor_are_taken_from_it_only_where_the_table_cannot_show_them() {
        let scene = Scene::new();
        let row =
            |kind: &str, owner: &str| format!("lock:\t1: {kind}  ADVISORY  READ {owner} 00:01:5 128 128\n");
        let info = format!("{WRITES}{}{}", row("POSIX", "70"), row("OFDLCK", "-1"));
        let taken = |target: OpenerTarget| {
            let opener = opener_of(&scene, &target, &[(2, info.as_str())]).expect("it has the index open");
            opener.taken_locks.iter().map(|row| row.is_ofd).collect::<Vec<_>>()
        };
        assert_eq!(taken(scene.target()), [true]);
        assert_eq!(taken(OpenerTarget { is_cut: true, ..scene.target() }), [false, true]);
    }

    #[test]
    fn a_log_beside_another_name_of_the_main_file_is_another_log() {
        let (scene, folder) =
            (Scene::new(), tempfile::TempDir::new_in(Scene::new().parent()).expect("a folder"));
        let main = folder.path().join("link.db");
        std::fs::hard_link(&scene.paths[0], &main).expect("a link");
        let log = folder.path().join("link.db-wal");
        std::fs::write(&log, "").expect("written");
        let open = |path: &Path, is_writable: bool| {
            std::fs::OpenOptions::new().read(true).write(is_writable).open(path).expect("it opens")
        };
        let judged = |log: &Path, is_writable: bool| {
            let process = ProcessFolder::own("/proc".as_ref());
            let mut names = OpenedNames::default();
            for file in [open(&main, true), open(log, is_writable)] {
                let descriptor = process.descriptor(std::os::fd::AsRawFd::as_raw_fd(&file));
                let text = descriptor.target().expect("a link");
                let descriptor = OpenDescriptor {
                    pid: 70,
                    proc: "/proc".as_ref(),
                    process: &process,
                    descriptor: &descriptor,
                    text: text.as_os_str().as_bytes(),
                    id: FileId::of(&file.metadata().expect("it is open")),
                    birth: None,
                    last_bytes: 0,
                };
                names.note(&descriptor, &[scene.target()]);
                names.note(&descriptor, &[scene.target()]);
            }
            let mut opener = DatabaseOpener::default();
            names.judge(0, &mut opener, &scene.target(), || true);
            names.judge(1, &mut opener, &scene.target(), || true);
            (opener.other_log, opener.other_files.len(), opener.writable > 0)
        };
        let text = |path: &Path| path.canonicalize().expect("it is there").display().to_string();
        assert_eq!(judged(&log, true), (vec![text(&log)], 1, true));
        assert_eq!(judged(&log, false), (vec![text(&log)], 1, false));
        let index = folder.path().join("link.db-shm");
        std::fs::write(&index, "").expect("written");
        assert_eq!(judged(&index, true), (vec![text(&index)], 1, true));
        for beside in ["other.db-wal", "link.db-journal"] {
            let path = folder.path().join(beside);
            std::fs::write(&path, "").expect("written");
            assert_eq!(judged(&path, true), (vec![], 0, false), "{beside}");
        }
        let same = folder.path().join("same.db-wal");
        std::fs::hard_link(&scene.paths[1], &same).expect("a link");
        std::fs::rename(&same, &log).expect("moved");
        assert_eq!(
            judged(&log, true),
            (vec![], 0, false),
            "it is the log of this database under another name"
        );
    }
}
