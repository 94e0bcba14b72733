//! `/proc/PID/cmdline`, `comm` and `cwd`: the name, the arguments and the folder of a process.

use std::path::{Path, PathBuf};

use super::ProcessFolder;
use crate::bounded;

/// The maximum size of a command line. A process may make its own as long as its memory (`PR_SET_MM_MAP` of
/// `prctl(2)`).
const COMMAND: usize = 4 << 10;
/// The maximum size of a short name, which the kernel cuts at 15 bytes (64 for a kernel thread).
const NAME: usize = 4 << 10;
/// The last element of a cut command line.
const CUT: &str = "…";

/// The executable and arguments of process `pid`: empty if it has none, as a kernel thread; `None` if they cannot be
/// read. A zero terminates each argument, and arguments need not be UTF-8. A long command line is cut and then ends
/// with an ellipsis.
pub fn command(proc: &Path, pid: i32) -> Option<Vec<String>> {
    let line = |process: &ProcessFolder| bounded::read(&process.0.join("cmdline"), COMMAND).ok();
    let own = line(&ProcessFolder::of(proc, pid))?;
    let of_thread = || line(&ProcessFolder::living_thread(proc, pid)?);
    let line = if own.bytes.is_empty() { of_thread().unwrap_or(own) } else { own };
    Some(words(&line.bytes, line.is_cut))
}

/// The working directory of process `pid`; `None` if it is gone, or hides it.
pub fn directory(proc: &Path, pid: i32) -> Option<PathBuf> {
    ProcessFolder::of(proc, pid).working_directory().ok()
}

/// The short name of process `pid`; `None` if it is gone or has none.
pub fn process_name(proc: &Path, pid: i32) -> Option<String> {
    let name = bounded::read_text(&ProcessFolder::of(proc, pid).0.join("comm"), NAME).ok()?;
    Some(name.trim_end().to_owned()).filter(|name| !name.is_empty())
}

fn words(line: &[u8], is_cut: bool) -> Vec<String> {
    // A program that overwrites its arguments leaves trailing zeros, which have no meaning if the end is unknown.
    let end = line.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let line = if is_cut { &line[..end] } else { line.strip_suffix(b"\0").unwrap_or(line) };
    let words = line.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let words = if line.is_empty() { None } else { Some(words) };
    words.into_iter().flatten().chain(is_cut.then(|| CUT.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::for_a_while;

    #[test]
    fn a_long_command_line_is_cut_and_marked() {
        let zeros = vec![0; 64 << 10];
        for (line, expected) in [
            (b"bun\0run\0".to_vec(), vec!["bun", "run"]),
            (b"bun\0\0".to_vec(), vec!["bun", ""]),
            (Vec::new(), vec![]),
            ([b"x", zeros.as_slice()].concat(), vec!["x", CUT]),
            (zeros.clone(), vec![CUT]),
        ] {
            let cut = bounded::read_from(&line[..], COMMAND).expect("it can be read");
            assert_eq!(words(&cut.bytes, cut.is_cut), expected);
        }
        let long = bounded::read_from(std::io::repeat(b'x'), COMMAND).expect("it can be read");
        assert_eq!(words(&long.bytes, long.is_cut), ["x".repeat(COMMAND).as_str(), CUT]);
    }

    #[test]
    fn fuzz_cmdline() {
        for_a_while("cmdline", |runner| {
            let run = (prop_oneof![any::<u8>(), Just(0)], 1..900_usize);
            let inputs = proptest::collection::vec(run, 0..12);
            runner.run(&inputs, |runs| {
                let line: Vec<u8> = runs.into_iter().flat_map(|(byte, count)| vec![byte; count]).collect();
                let read = bounded::read_from(&line[..], COMMAND).expect("it can be read");
                let words = words(&read.bytes, read.is_cut);
                prop_assert_eq!(read.is_cut, line.len() > COMMAND);
                prop_assert!(!read.is_cut || words.last().is_some_and(|word| word == CUT));
                // A byte that is not UTF-8 becomes three.
                prop_assert!(words.iter().map(String::len).sum::<usize>() <= 3 * COMMAND + CUT.len());
                Ok(())
            })
        });
    }
}
