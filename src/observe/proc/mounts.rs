//! The mounts of this process: the device under which the kernel lists a file's locks, and the kind of its file system.

use std::{
    ffi::OsString,
    fs::File,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::StatVfsMountFlags;

use super::ProcessFolder;
use crate::{
    bounded::{self, ReadLimits},
    snapshot::{Filesystem, ProcMount},
};

/// A device as the kernel numbers it: major, minor.
pub type DeviceNumber = (u32, u32);

/// The mounts, as `proc_pid_mountinfo(5)` lists them.
///
/// The lock table names a file by its superblock's device. On btrfs, and on overlays over several file systems, `stat`
/// reports another one. `mountinfo` has it (field 3, decimal).
#[derive(Debug, Default)]
pub struct MountTable(Vec<MountPoint>);

// A namespace has 100,000 mounts at most (`fs.mount-max`).
const BOUNDS: ReadLimits = ReadLimits { bytes: 32 << 20, time: Duration::from_secs(1) };

#[derive(Debug)]
struct MountPoint {
    point: PathBuf,
    device: DeviceNumber,
    // `None` if the line does not state it.
    kind: Option<String>,
}

impl MountTable {
    /// The mounts listed under the `/proc` at `proc`; none if they cannot be read, or are too many.
    pub fn read(proc: &Path) -> Self {
        Self::of_process(&ProcessFolder::own(proc))
    }

    /// The mounts of `process`; none if they cannot be read, or are too many.
    pub fn of_process(process: &ProcessFolder) -> Self {
        let mut mounts = Vec::new();
        let is_whole = read_lines(process, |line| mounts.extend(mount(line)));
        // A path below a missing mount would be attributed to another device.
        Self(if is_whole { mounts } else { Vec::new() })
    }

    /// The device of the superblock that `path` is on.
    pub fn device_of(&self, path: &Path) -> Option<DeviceNumber> {
        self.of(path).map(|mount| mount.device)
    }

    /// Whether no other machine and no process has to answer for `path`: it is on a block device, or on a file system
    /// without one that the kernel keeps itself.
    pub fn is_local(&self, path: &Path) -> bool {
        const WITHOUT_DEVICE: [&str; 5] = ["tmpfs", "ramfs", "overlay", "btrfs", "zfs"];
        let is_kept =
            |mount: &MountPoint| mount.kind.as_deref().is_some_and(|it| WITHOUT_DEVICE.contains(&it));
        self.of(path).is_some_and(|mount| mount.device.0 != 0 || is_kept(mount))
    }

    /// The first mount point of a file system of that `kind`.
    pub fn mounted_at(&self, kind: &str) -> Option<PathBuf> {
        self.all_of(kind).next().map(Path::to_owned)
    }

    /// The mount points of all file systems of that `kind`.
    pub fn all_of(&self, kind: &str) -> impl Iterator<Item = &Path> {
        self.0
            .iter()
            .filter(move |mount| mount.kind.as_deref() == Some(kind))
            .map(|mount| mount.point.as_path())
    }

    /// The file system of `path`, with the free space that `statvfs` reports for the folder of `access`, the path by
    /// which waltop reaches it; `None` if the mounts do not show it. Whether locks match is determined by the sample.
    pub fn filesystem(&self, path: &Path, access: &Path) -> Option<Filesystem> {
        let mount = self.of(path)?;
        let state = access.parent().and_then(|folder| rustix::fs::statvfs(folder).ok());
        let read_only = state.as_ref().map(|it| it.f_flag.contains(StatVfsMountFlags::RDONLY));
        // Some file systems without blocks report 0 for everything, which means nothing.
        let space = state.filter(|it| it.f_blocks > 0);
        Some(Filesystem {
            kind: mount.kind.clone()?,
            mounted_at: mount.point.clone(),
            read_only,
            bytes: space.as_ref().map(|it| it.f_blocks.saturating_mul(it.f_frsize)),
            free_bytes: space.as_ref().map(|it| it.f_bavail.saturating_mul(it.f_frsize)),
            locks_match: None,
        })
    }

    // The deepest mount point above the path; of several on one point, the last is on top.
    fn of(&self, path: &Path) -> Option<&MountPoint> {
        let above = self.0.iter().filter(|mount| path.starts_with(&mount.point));
        above.max_by_key(|mount| mount.point.as_os_str().len())
    }
}

/// Each overlay that `process` sees: its mount point, and its upper directory as the process that mounted it named it.
pub fn overlays(process: &ProcessFolder) -> Vec<(PathBuf, PathBuf)> {
    let mut overlays = Vec::new();
    read_lines(process, |line| overlays.extend(overlay(line)));
    overlays
}

/// How the `/proc` at `proc` is mounted; as if without options where the mounts do not show it.
pub fn proc_mount(proc: &Path) -> ProcMount {
    let mut found = ProcMount::default();
    read_lines(&ProcessFolder::own(proc), |line| {
        // Of several on one point, the last is on top.
        if let Some(options) = options_of_proc(line, proc) {
            found = options;
        }
    });
    found
}

fn options_of_proc(line: &[u8], proc: &Path) -> Option<ProcMount> {
    if mount(line)?.point != proc {
        return None;
    }
    let mut fields = line.split(|&byte| byte == b' ');
    let of_mount = fields.nth(5)?;
    let mut behind = fields.skip_while(|&field| field != b"-").skip(1);
    if behind.next()? != b"proc" {
        return None;
    }
    let of_superblock = behind.nth(1)?;
    let options = || [of_mount, of_superblock].into_iter().flat_map(|list| list.split(|&byte| byte == b','));
    let hidepid = options().find_map(|option| option.strip_prefix(b"hidepid="));
    Some(ProcMount {
        hidepid: hidepid.map(|value| String::from_utf8_lossy(value).into_owned()),
        is_read_only: options().any(|option| option == b"ro"),
    })
}

// Returns whether every line of the mounts of a process was read.
fn read_lines(process: &ProcessFolder, mut take: impl FnMut(&[u8])) -> bool {
    let reading = File::open(process.0.join("mountinfo")).and_then(|source| {
        bounded::each_line(source, BOUNDS, |line| {
            take(line);
            true
        })
    });
    reading.is_ok_and(|reading| reading.cut.is_none())
}

// The options of the superblock are two fields after the type; a comma in a name is also escaped.
fn overlay(line: &[u8]) -> Option<(PathBuf, PathBuf)> {
    let mut behind = line.split(|&byte| byte == b' ').skip_while(|&field| field != b"-").skip(1);
    if behind.next()? != b"overlay" {
        return None;
    }
    let options = behind.nth(1)?;
    let upper = options.split(|&byte| byte == b',').find_map(|option| option.strip_prefix(b"upperdir="))?;
    Some((mount(line)?.point, PathBuf::from(OsString::from_vec(unescape(upper)))))
}

fn mount(line: &[u8]) -> Option<MountPoint> {
    let mut fields = line.split(|&byte| byte == b' ');
    let device = std::str::from_utf8(fields.nth(2)?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let point = unescape(fields.nth(1)?);
    // A dash ends the optional fields; the type follows it.
    let kind = fields.skip_while(|&field| field != b"-").nth(1);
    Some(MountPoint {
        point: PathBuf::from(OsString::from_vec(point)),
        device: (major.parse().ok()?, minor.parse().ok()?),
        kind: kind.map(|kind| String::from_utf8_lossy(kind).into_owned()),
    })
}

// Spaces and similar characters are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(code) if byte == b'\\' => {
                plain.push(code);
                rest = &tail[3..];
            }
            _ => {
                plain.push(byte);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::for_a_while;

    fn mounts(text: &str) -> MountTable {
        MountTable(text.lines().filter_map(|line| mount(line.as_bytes())).collect())
    }

    #[test]
    fn the_deepest_and_topmost_mount_gives_the_device() {
        let mounts = mounts(
            "22 1 254:0 / / rw - ext4 /dev/root rw\n\
             30 22 0:40 / /data rw - btrfs /dev/vdb rw\n\
             31 22 0:41 / /data rw - overlay none rw\n\
             32 22 0:42 / /data\\040set rw - btrfs /dev/vdc rw",
        );
        assert_eq!(mounts.device_of(Path::new("/home/notes.db")), Some((254, 0)));
        assert_eq!(mounts.device_of(Path::new("/data/notes.db")), Some((0, 41)));
        assert_eq!(mounts.device_of(Path::new("/data set/notes.db")), Some((0, 42)));
        assert_eq!(mounts.device_of(Path::new("/database")), Some((254, 0)));
    }

    #[test]
    fn the_type_stands_behind_the_optional_fields() {
        let mounts = mounts(
            "22 1 254:0 / / rw - ext4 /dev/root rw\n\
             30 22 0:40 / /srv/nfs rw,relatime shared:5 master:1 - nfs4 host:/export rw,vers=4.2\n\
             31 22 0:41 / /odd rw",
        );
        let kind = |path: &str| mounts.of(Path::new(path)).and_then(|mount| mount.kind.as_deref());
        assert_eq!(kind("/srv/notes.db"), Some("ext4"));
        assert_eq!(kind("/srv/nfs/notes.db"), Some("nfs4"));
        assert_eq!(kind("/odd/notes.db"), None);
        assert!(mounts.filesystem(Path::new("/odd/notes.db"), Path::new("/odd/notes.db")).is_none());
        let gone = mounts
            .filesystem(
                Path::new("/srv/nfs/no/such/folder/notes.db"),
                Path::new("/srv/nfs/no/such/folder/notes.db"),
            )
            .expect("it is listed");
        assert_eq!((gone.kind.as_str(), gone.free_bytes, gone.bytes), ("nfs4", None, None));
        let root = mounts.filesystem(Path::new("/notes.db"), Path::new("/notes.db")).expect("it is listed");
        assert!(root.free_bytes <= root.bytes && root.bytes.is_some(), "{root:?}");
    }

    #[test]
    fn an_overlay_has_an_upper_directory_unless_it_is_read_only() {
        let line = "60 22 0:52 / /mer\\040ged rw,relatime - overlay none rw,lowerdir=/l,upperdir=/up\\040per,workdir=/w";
        assert_eq!(overlay(line.as_bytes()), Some(("/mer ged".into(), "/up per".into())));
        for other in [
            "60 22 0:52 / /merged ro - overlay none ro,lowerdir=/l",
            "60 22 0:52 / /merged rw - ext4 /dev/vda rw,upperdir=/l",
            "60 22 0:52 / /merged rw - overlay none",
        ] {
            assert_eq!(overlay(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn the_options_of_proc_are_those_of_its_mount_and_of_its_superblock() {
        let of = |line: &str| options_of_proc(line.as_bytes(), Path::new("/proc"));
        let hidden = |value: &str| Some(value.to_owned());
        for (line, hidepid, is_read_only) in [
            ("22 27 0:21 / /proc rw,relatime - proc proc rw", None, false),
            (
                "22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw,hidepid=invisible",
                hidden("invisible"),
                false,
            ),
            ("22 27 0:21 / /proc ro,relatime - proc proc rw,gid=4,hidepid=2", hidden("2"), true),
            ("22 27 0:21 / /proc rw,relatime - proc proc ro", None, true),
        ] {
            assert_eq!(of(line), Some(ProcMount { hidepid, is_read_only }), "{line}");
        }
        for other in
            ["22 27 0:21 / /proc rw - tmpfs tmpfs rw", "22 27 0:21 / /proc/sys ro - proc proc rw", "22"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        let proc = crate::observe::proc::fake::FakeProc::new();
        assert_eq!(proc_mount(proc.path()), ProcMount::default());
        let at = proc.path().display();
        proc.write(
            "self/mountinfo",
            &format!("22 27 0:21 / {at} rw - proc proc rw,hidepid=2\n23 22 0:21 / {at} rw - proc proc rw\n"),
        );
        assert_eq!(proc_mount(proc.path()), ProcMount::default(), "the last one is on top");
    }

    #[test]
    fn fuzz_mountinfo() {
        for_a_while("mountinfo", |runner| {
            let inputs = "[0-9]{0,3} ?[0-9]{0,3} ?[0-9]{0,11}:?[0-9]{0,3} ?/? (/|\\\\|[0-7]{0,3}|.){0,9} (rw|-| |overlay|,|upperdir=|.{0,5}){0,9}";
            runner.run(&inputs, |line| {
                if let Some((point, upper)) = overlay(line.as_bytes()) {
                    prop_assert!(point.as_os_str().len() + upper.as_os_str().len() <= line.len());
                }
                if let Some(mount) = mount(line.as_bytes()) {
                    prop_assert!(mount.point.as_os_str().len() <= line.len());
                    prop_assert!(mount.kind.is_none_or(|kind| line.contains(&kind)));
                }
                Ok(())
            })
        });
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over() {
        assert!(mounts("\nx\n1 2 three:4 / /\n1 2 3:4").0.is_empty());
    }
}
