//! `/proc/PID/maps`: which files a process has mapped (`proc_pid_maps(5)`).

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    bounded::{self, ReadLimits},
    observe::{
        files::{self, FileSighting},
        proc::{ProcessFolder, mounts::DeviceNumber},
    },
};

// Any process may have 65,530 mappings (`vm.max_map_count`), each with a path of 4 KiB. The largest programs have some
// MB.
const BOUNDS: ReadLimits = ReadLimits { bytes: 16 << 20, time: Duration::from_millis(500) };

/// The most libraries of one process that are remembered; a browser has some 200.
const MOST_LIBRARIES: usize = 2000;

/// What the mapping table of a process shows.
#[derive(Debug, Default)]
pub struct MappingTable {
    /// The lowest address of each of the files that were asked for; `None` if that is unknown, since the table was cut.
    pub files: Option<[Option<u64>; 3]>,
    /// The files with code in memory; `None` if the table was cut.
    pub libraries: Option<Vec<MappedLibrary>>,
}

/// The file of a program or library, as the mapping table identifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LibraryFile {
    device: DeviceNumber,
    inode: u64,
}

/// A program or library in the memory of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedLibrary {
    pub file: LibraryFile,
    /// As the process sees it.
    pub path: PathBuf,
    /// Whether that name was removed or given to another file.
    pub is_deleted: bool,
    // The address range of its first row, which names it in `map_files`.
    range: String,
    /// Those parts of the file that are mapped without write permission, data before code: first byte and length.
    pub segments: Vec<(u64, u64)>,
}

impl MappedLibrary {
    /// Opens the file of the mapping of `pid`, which was read before. The link in `map_files` leads to it whatever is at
    /// its path now; only root may follow that.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or the process has exited, or another file is at the path.
    pub fn open(&self, proc: &Path, pid: i32) -> io::Result<File> {
        let process = ProcessFolder::of(proc, pid);
        let open = |path: &Path| files::open(path).and_then(|file| self.checked(file));
        open(&process.0.join("map_files").join(&self.range))
            .or_else(|_| open(&process.seen_from_inside(&self.path)))
            .or_else(|_| open(&process.0.join("exe")))
    }

    // Of an overlay or a btrfs subvolume the table shows another device.
    fn checked(&self, file: File) -> io::Result<File> {
        if file.metadata()?.ino() == self.file.inode { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

/// The mapping table of `pid`: where it has each of the files of `sights` (main file, `-wal`, `-shm`), and its libraries.
pub fn maps(proc: &Path, pid: i32, sights: [Option<&FileSighting>; 3]) -> MappingTable {
    let process = ProcessFolder::with_files(proc, pid);
    File::open(process.0.join("maps")).map(|file| mapped(file, sights, BOUNDS)).unwrap_or_default()
}

fn mapped(source: impl io::Read, sights: [Option<&FileSighting>; 3], bounds: ReadLimits) -> MappingTable {
    let mut found = [None; 3];
    let mut libraries = LibraryList::default();
    let reading = bounded::each_line(source, bounds, |line| {
        if let Some(row) = MappingRow::parse(line) {
            for (found, sight) in found.iter_mut().zip(sights) {
                if sight.is_some_and(|sight| sight.is(row.device, row.inode)) {
                    // The kernel lists them by address.
                    found.get_or_insert(row.start);
                }
            }
            libraries.add(&row);
        }
        true
    });
    let is_whole = reading.is_ok_and(|reading| reading.cut.is_none());
    MappingTable {
        // A file that was found is mapped. If the table was cut, the remaining part may contain the others.
        files: (!found.contains(&None) || is_whole).then_some(found),
        libraries: is_whole.then(|| libraries.finished()),
    }
}

// `7f00-7f01 r--p 00000000 fe:00 1234   /path`, with the addresses, the offset and the device in hexadecimal.
struct MappingRow<'a> {
    range: &'a str,
    start: u64,
    length: u64,
    permissions: &'a str,
    offset: u64,
    device: DeviceNumber,
    inode: u64,
    path: &'a [u8],
}

impl<'a> MappingRow<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        let mut text = || fields.next().and_then(|field| std::str::from_utf8(field).ok());
        let (range, permissions, offset, device, inode) = (text()?, text()?, text()?, text()?, text()?);
        let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
        let (start, end) = range.split_once('-')?;
        let start = hexadecimal(start)?;
        let (major, minor) = device.split_once(':')?;
        let number = |text| u32::from_str_radix(text, 16).ok();
        Some(Self {
            range,
            start,
            length: hexadecimal(end)?.checked_sub(start)?,
            permissions,
            offset: hexadecimal(offset)?,
            device: (number(major)?, number(minor)?),
            inode: inode.parse().ok()?,
            path: fields.next().unwrap_or_default().trim_ascii_start(),
        })
    }
}

// The private mappings without write permission, by file.
#[derive(Default)]
struct LibraryList {
    libraries: Vec<MappedLibrary>,
    // One for each: which of its segments have code.
    code: Vec<Vec<bool>>,
}

impl LibraryList {
    fn add(&mut self, row: &MappingRow<'_>) {
        let [b'r', b'-', code, b'p'] = row.permissions.as_bytes() else { return };
        if row.inode == 0 || !row.path.starts_with(b"/") {
            return;
        }
        let file = LibraryFile { device: row.device, inode: row.inode };
        let is_same = |it: &MappedLibrary| it.file == file;
        let known = self.libraries.iter().rposition(is_same);
        let at = known.unwrap_or(self.libraries.len());
        if known.is_none() {
            if self.libraries.len() == MOST_LIBRARIES {
                return;
            }
            let path = row.path.strip_suffix(b" (deleted)");
            self.libraries.push(MappedLibrary {
                file,
                path: PathBuf::from(OsStr::from_bytes(path.unwrap_or(row.path))),
                is_deleted: path.is_some(),
                range: row.range.to_owned(),
                segments: Vec::new(),
            });
            self.code.push(Vec::new());
        }
        self.libraries[at].segments.push((row.offset, row.length));
        self.code[at].push(*code == b'x');
    }

    // Only files with code; other files are data, such as the tables of a locale.
    fn finished(self) -> Vec<MappedLibrary> {
        let with_code = self.libraries.into_iter().zip(self.code).filter(|(_, code)| code.contains(&true));
        with_code
            .map(|(mut library, code)| {
                let mut segments: Vec<_> = library.segments.into_iter().zip(code).collect();
                segments.sort_by_key(|(_, is_code)| *is_code);
                library.segments = segments.into_iter().map(|(segment, _)| segment).collect();
                library
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        fuzz::for_a_while,
        observe::{files, proc::mounts::MountTable},
    };

    #[test]
    fn a_cut_table_never_says_that_a_file_is_not_mapped() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("mapped");
        std::fs::write(&path, "1").expect("a file");
        let sight = files::read_files(&path, &path, &MountTable::read("/proc".as_ref()))
            .expect("it can be seen")
            .expect("there");
        let (major, minor) = sight.lock_device;
        let line = format!("7f00-7f01 r--s 00000000 {major:x}:{minor:x} {}   /x\n", sight.id.inode);
        let other = "7f00-7f01 r--p 00000000 fe:00 1   /y\n".repeat(5000);
        let (first, last) = (format!("{line}{other}"), format!("{other}{line}"));
        let wide = ReadLimits { time: Duration::from_hours(1), ..BOUNDS };
        let narrow = ReadLimits { bytes: 1000, ..wide };
        let one = [Some(&sight), None, None];
        let all = [Some(&sight); 3];
        for text in [&first, &last] {
            assert_eq!(mapped(text.as_bytes(), one, wide).files, Some([Some(0x7f00), None, None]));
            let cut = mapped(text.as_bytes(), one, narrow);
            assert_eq!((cut.files, cut.libraries), (None, None), "the others may stand in the rest");
        }
        assert_eq!(mapped(first.as_bytes(), all, narrow).files, Some([Some(0x7f00); 3]), "all were found");
        assert_eq!(mapped(other.as_bytes(), one, narrow).files, None);
    }

    #[test]
    fn a_library_is_a_file_with_code_and_its_data_comes_first() {
        let table = "\
1000-3000 r-xp 00000000 fe:00 7   /usr/lib/libone.so.1
3000-4000 r--p 00002000 fe:00 7   /usr/lib/libone.so.1
4000-5000 rw-p 00003000 fe:00 7   /usr/lib/libone.so.1
5000-6000 r--p 00000000 fe:00 8   /usr/lib/locale/C.utf8
6000-7000 r-xs 00000000 fe:00 9   /dev/shared
7000-8000 r-xp 00000000 00:00 0   [vdso]
8000-9000 r--p 00000000 fe:01 7   /opt/an app (deleted)
9000-b000 r-xp 00001000 fe:01 7   /opt/an app (deleted)
";
        let found = mapped(table.as_bytes(), [None; 3], BOUNDS).libraries.expect("a whole table");
        let outline: Vec<_> =
            found.iter().map(|it| (it.path.to_str(), it.is_deleted, &it.segments)).collect();
        let (one, app) = (vec![(0x2000, 0x1000), (0, 0x2000)], vec![(0, 0x1000), (0x1000, 0x2000)]);
        assert_eq!(outline, [(Some("/usr/lib/libone.so.1"), false, &one), (Some("/opt/an app"), true, &app)]);
        assert_eq!(found[1].range, "8000-9000");
    }

    #[test]
    fn fuzz_maps() {
        for_a_while("maps", |runner| {
            let inputs = "[0-9a-f]{0,16}-?[0-9a-f]{0,16} [rwxsp-]{0,5} ?[0-9a-f]{0,9} ?([0-9a-f]{0,9}:[0-9a-f]{0,9}| |.{0,9}) \
                          ?[0-9]{0,21} {0,9}.{0,20}";
            runner.run(&inputs, |line| {
                if let Some(row) = MappingRow::parse(line.as_bytes()) {
                    prop_assert!(line.contains(&row.inode.to_string()));
                }
                Ok(())
            })
        });
    }
}
