//! `/proc/PID/maps`: which files a process has mapped (`proc_pid_maps(5)`).

use std::{fs::File, path::Path, time::Duration};

use crate::{
    bounded::{self, ReadLimits},
    observe::{
        files::FileSighting,
        proc::{ProcessFolder, mounts::DeviceNumber},
    },
};

// Any process may have 65,530 mappings (`vm.max_map_count`), each with a path of 4 KiB. The largest programs have some
// MB.
const BOUNDS: ReadLimits = ReadLimits { bytes: 16 << 20, time: Duration::from_millis(500) };

/// The lowest address at which `pid` has each of the files of `sights` (main file, `-wal`, `-shm`) mapped; `None` if
/// that cannot be read, or only in part.
pub fn maps(proc: &Path, pid: i32, sights: [Option<&FileSighting>; 3]) -> Option<[Option<u64>; 3]> {
    let process = ProcessFolder::with_files(proc, pid);
    mapped(File::open(process.0.join("maps")).ok()?, sights, BOUNDS)
}

fn mapped(
    source: impl std::io::Read,
    sights: [Option<&FileSighting>; 3],
    bounds: ReadLimits,
) -> Option<[Option<u64>; 3]> {
    let mut mapped = [None; 3];
    let reading = bounded::each_line(source, bounds, |line| {
        if let Some((address, device, inode)) = mapping(line) {
            for (mapped, sight) in mapped.iter_mut().zip(sights) {
                if sight.is_some_and(|sight| sight.is(device, inode)) {
                    // The kernel lists them by address.
                    mapped.get_or_insert(address);
                }
            }
        }
        mapped.contains(&None)
    });
    // A file that was found is mapped. If the table was cut, the remaining part may contain the others.
    (!mapped.contains(&None) || reading.is_ok_and(|reading| reading.cut.is_none())).then_some(mapped)
}

// `7f00-7f01 r--s 00000000 fe:00 1234   /path`, with the address and the device in hexadecimal.
fn mapping(line: &[u8]) -> Option<(u64, DeviceNumber, u64)> {
    let mut fields = line.split(|&byte| byte == b' ').map(|field| std::str::from_utf8(field).ok());
    let (start, _) = fields.next()??.split_once('-')?;
    let (major, minor) = fields.nth(2)??.split_once(':')?;
    let device = (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    Some((u64::from_str_radix(start, 16).ok()?, device, fields.next()??.parse().ok()?))
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
            assert_eq!(mapped(text.as_bytes(), one, wide), Some([Some(0x7f00), None, None]));
            assert_eq!(mapped(text.as_bytes(), one, narrow), None, "the others may stand in the rest");
        }
        assert_eq!(mapped(first.as_bytes(), all, narrow), Some([Some(0x7f00); 3]), "all were found");
        assert_eq!(mapped(other.as_bytes(), one, narrow), None);
    }

    #[test]
    fn fuzz_maps() {
        for_a_while("maps", |runner| {
            let inputs = "[0-9a-f]{0,16}-?[0-9a-f]{0,16} [rwxsp-]{0,5} ?[0-9a-f]{0,9} ?([0-9a-f]{0,9}:[0-9a-f]{0,9}| |.{0,9}) \
                          ?[0-9]{0,21} {0,9}.{0,20}";
            runner.run(&inputs, |line| {
                if let Some((_, _, inode)) = mapping(line.as_bytes()) {
                    prop_assert!(line.contains(&inode.to_string()));
                }
                Ok(())
            })
        });
    }
}
