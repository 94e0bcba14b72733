//! The databases among the open files of one process.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs::File,
    io,
    os::unix::ffi::OsStrExt,
    path::Path,
};

use super::{JudgedFiles, place::files_inside};
use crate::{
    file_format::{MAIN_HEADER, SIDECARS},
    observe::{
        files, header,
        proc::{self, Descriptor, MOST_DESCRIPTORS, ProcessFolder, reopen},
    },
    paths::FileId,
};

/// The smallest page, which each file of a database is a multiple of.
const SMALLEST_PAGE: u64 = 512;
/// What the kernel appends to the name of a file that has none left.
const DELETED: &[u8] = b" (deleted)";

/// What a process has open.
#[derive(Debug)]
pub struct ProcessFiles {
    pub pid: i32,
    /// The databases, and how the kernel names the descriptor on each.
    pub databases: Vec<(FileId, Vec<u8>)>,
    /// Whether its descriptors cannot be read.
    pub is_denied: bool,
    /// Whether it has more descriptors than are read.
    pub is_crowded: bool,
    /// How many files were not read because too many had been.
    pub unread: u64,
}

impl ProcessFiles {
    /// Those of the process `pid` in the `/proc` at `proc`.
    pub fn read(proc: &Path, pid: i32, judged: &mut JudgedFiles) -> Self {
        let mut found = Self { pid, databases: Vec::new(), is_denied: false, is_crowded: false, unread: 0 };
        if let Err(error) = found.read_below(&ProcessFolder::with_files(proc, pid), judged) {
            let has_files = || proc::stat(proc, pid).is_some_and(|it| !it.is_kernel_thread && !it.is_dead());
            found.is_denied = error.kind() == io::ErrorKind::PermissionDenied && has_files();
        }
        found
    }

    fn read_below(&mut self, process: &ProcessFolder, judged: &mut JudgedFiles) -> io::Result<()> {
        let (mut count, mut denied) = (0, None);
        // All files by name, and the names of main files beside which another file is open.
        let (mut names, mut mains): (HashMap<Vec<u8>, FileId>, HashSet<Vec<u8>>) = Default::default();
        for descriptor in process.descriptors()?.flatten() {
            count += 1;
            if count > MOST_DESCRIPTORS {
                self.is_crowded = true;
                break;
            }
            let text = match descriptor.target() {
                Ok(text) => text.into_os_string().into_encoded_bytes(),
                Err(error) => {
                    denied = (error.kind() == io::ErrorKind::PermissionDenied).then_some(error).or(denied);
                    continue;
                }
            };
            if text.starts_with(b"/") && !is_temporary(&text) {
                self.note(&descriptor, text, judged, (&mut names, &mut mains));
            }
        }
        for main in mains {
            self.note_main(process, &main, &names);
        }
        denied.map_or(Ok(()), Err)
    }

    fn note(
        &mut self,
        descriptor: &Descriptor,
        text: Vec<u8>,
        judged: &mut JudgedFiles,
        (names, mains): (&mut HashMap<Vec<u8>, FileId>, &mut HashSet<Vec<u8>>),
    ) {
        let Ok(metadata) = descriptor.metadata() else { return };
        if !metadata.is_file() {
            return;
        }
        let (id, size) = (FileId::of(&metadata), metadata.len());
        let name = text.strip_suffix(DELETED).unwrap_or(&text);
        if let Some(main) = SIDECARS.iter().find_map(|suffix| name.strip_suffix(suffix.as_bytes())) {
            mains.insert(main.to_owned());
        }
        let could_be = size >= SMALLEST_PAGE && size.is_multiple_of(SMALLEST_PAGE);
        match could_be.then(|| judged.is_database(id, || is_database(descriptor))) {
            Some(Some(true)) => self.databases.push((id, text.clone())),
            Some(None) => self.unread += 1,
            Some(Some(false)) | None => {}
        }
        names.insert(text, id);
    }

    // The main file `main`, beside which the process has a log, an index or a journal open: encrypted, it has no header.
    fn note_main(&mut self, process: &ProcessFolder, main: &[u8], open_files: &HashMap<Vec<u8>, FileId>) {
        let deleted = [main, DELETED].concat();
        let open =
            [main, &deleted].into_iter().find_map(|name| Some((*open_files.get(name)?, name.to_vec())));
        let found = open.or_else(|| {
            let named = Path::new(OsStr::from_bytes(main));
            let file = files_inside(process, named)
                .find(|file| file.open().is_ok_and(|it| is_stored(&it) && has_header(&it)))?;
            Some((file.id, main.to_vec()))
        });
        self.databases.extend(found.filter(|found| !self.databases.contains(found)));
    }
}

// Whether no path ever led to the file: one in memory, or SQLite's temporary database (`SQLITE_TEMP_FILE_PREFIX` of its
// `os.h`).
fn is_temporary(text: &[u8]) -> bool {
    let name = text.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    text.starts_with(b"/memfd:") || name.starts_with(b"etilqs_") && text.ends_with(DELETED)
}

// Whether a file that is still regular has the header of a database.
fn is_database(descriptor: &Descriptor) -> bool {
    let Ok(pin) = descriptor.pin() else { return false };
    is_stored(&pin) && reopen(&pin).is_ok_and(|file| has_header(&file))
}

fn has_header(file: &File) -> bool {
    let mut start = [0; MAIN_HEADER];
    files::read_at(file, &mut start, 0).is_ok_and(|length| length == MAIN_HEADER && header::is_header(&start))
}

/// The file systems whose files the kernel generates (`linux/magic.h`). To read one can have an effect.
#[cfg(target_os = "linux")]
const GENERATED: [u64; 12] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0xf97c_ff8c, // selinuxfs
];

#[cfg(target_os = "linux")]
fn is_stored(file: &File) -> bool {
    let kind = |it: rustix::fs::StatFs| u64::try_from(it.f_type).unwrap_or_default() & 0xffff_ffff;
    rustix::fs::fstatfs(file).is_ok_and(|it| !GENERATED.contains(&kind(it)))
}

#[cfg(not(target_os = "linux"))]
fn is_stored(_file: &File) -> bool {
    true
}
