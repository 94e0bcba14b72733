//! The stack of a Python process, by an installed `py-spy`. waltop runs it only when asked, and never links it.
//!
//! `--nonblocking` does not pause the process. The PID is checked before; between that and the read of its memory it
//! could be reused, which shows another stack and changes nothing.

use std::{
    env,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    time::timeout,
};

use super::signal::SignalTarget;
use crate::{observe, text};

/// How long it may take; 30 to 60 ms are usual.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much of its output is read, in bytes.
const MOST_READ: u64 = 64 << 10;
/// How many lines are shown.
const MOST_LINES: usize = 100;

/// The `py-spy` on the path of this process, if there is one.
pub fn find() -> Option<PathBuf> {
    find_in(env::split_paths(&env::var_os("PATH")?))
}

fn find_in(mut folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let is_program =
        |path: &PathBuf| path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
    // A relative folder could be anybody's.
    folders
        .find_map(|folder| Some(folder.join("py-spy")).filter(|path| path.is_absolute() && is_program(path)))
}

/// The stack of the process `target`, in the `/proc` at `proc`, as `program` prints it; or why there is none.
///
/// # Errors
///
/// `target` is gone, or `program` does not answer in time, or refuses.
pub async fn dump(program: &Path, proc: &Path, target: SignalTarget) -> Result<Vec<String>, String> {
    if observe::process_start(proc, target.pid) != Some(target.start_ticks) {
        return Err("the process is gone".to_owned());
    }
    let mut command = Command::new(program);
    command.args(["dump", "--nonblocking", "--pid"]).arg(target.pid.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child =
        command.spawn().map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading = async { tokio::join!(lines(stdout), lines(stderr)) };
    // What it still has to say after that is not read: it ends with `child`.
    let Ok((stack, trouble)) = timeout(PATIENCE, reading).await else {
        return Err("py-spy did not answer within 2 s".to_owned());
    };
    if stack.is_empty() {
        let why = trouble.into_iter().next().unwrap_or_else(|| "py-spy printed nothing".to_owned());
        return Err(why);
    }
    Ok(stack)
}

async fn lines(output: Option<impl AsyncRead + Unpin>) -> Vec<String> {
    let mut bytes = Vec::new();
    if let Some(output) = output {
        // What was read before an error is shown.
        let _ = output.take(MOST_READ).read_to_end(&mut bytes).await;
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(text::clean).filter(|line| !line.trim().is_empty());
    lines.take(MOST_LINES).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn program(folder: &Path, script: &str) -> PathBuf {
        let (source, path) = (folder.join("source"), folder.join("py-spy"));
        fs::write(&source, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).expect("executable");
        // Another process writes the program: a process that a test beside this one starts would inherit our descriptor,
        // and a program that is open for writing cannot be run.
        let copied = std::process::Command::new("cp").arg(&source).arg(&path).status().expect("cp runs");
        assert!(copied.success());
        path
    }

    fn ask(script: &str, start_ticks: Option<u64>) -> Result<Vec<String>, String> {
        let folder = tempfile::TempDir::new().expect("a folder");
        let proc = Path::new("/proc");
        let pid = i32::try_from(std::process::id()).expect("it fits");
        let start_ticks = start_ticks.or_else(|| observe::process_start(proc, pid)).unwrap_or(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let program = program(folder.path(), script);
        runtime.block_on(dump(&program, proc, SignalTarget { pid, start_ticks }))
    }

    #[test]
    fn it_is_found_on_the_path_if_it_can_be_executed() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let folders = || [PathBuf::from("."), folder.path().to_owned()].into_iter();
        assert_eq!(find_in(folders()), None);
        let path = program(folder.path(), "");
        assert_eq!(find_in(folders()), Some(path.clone()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        assert_eq!(find_in(folders()), None);
    }

    #[test]
    fn what_it_prints_is_cleaned_and_bounded() {
        let pid = std::process::id();
        assert_eq!(ask("echo $*", None), Ok(vec![format!("dump --nonblocking --pid {pid}")]));
        let coloured = ask("printf 'main\\033[31m (a.py:3)\\n'", None).expect("a stack");
        assert!(!coloured[0].contains('\u{1b}') && coloured[0].contains("a.py:3"), "{coloured:?}");
        assert_eq!(ask("yes", None).map(|lines| lines.len()), Ok(MOST_LINES), "it does not have to end");
    }

    #[test]
    fn a_refusal_is_its_first_line_and_another_process_is_not_asked() {
        assert_eq!(
            ask("echo 'Error: Permission denied' >&2; exit 1", None),
            Err("Error: Permission denied".into())
        );
        assert_eq!(ask("echo stack", Some(1)), Err("the process is gone".into()));
    }
}
