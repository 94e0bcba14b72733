//! Namespaces of their own: for processes, and for file systems that only root can make.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::support::{Actor, WALTOP};

/// Starts what follows in a PID namespace of its own, with its own `/proc`.
pub const ALONE: [&str; 4] = ["unshare", "--pid", "--fork", "--mount-proc"];

/// Whether this machine lets a test start a program with [`ALONE`]; a word about it if not.
pub fn may_be_alone() -> bool {
    if !may_change_namespaces() {
        return false;
    }
    let can = Command::new(ALONE[0]).args(&ALONE[1..]).arg("true").status();
    let can = can.is_ok_and(|status| status.success());
    if !can {
        eprintln!("not tested: this machine does not let us make a PID namespace");
    }
    can
}

/// A mount namespace of its own: what is mounted in it goes away with its last process.
pub struct Namespace {
    keeper: Child,
    pid: String,
}

impl Namespace {
    /// After `script` was run in it in `folder`, which is `$1`; `None`, and a word about it, where it cannot make `what`.
    pub fn new(what: &str, script: &str, folder: &Path) -> Option<Self> {
        if !may_change_namespaces() {
            return None;
        }
        // What the tools have to say goes elsewhere: one line is the answer.
        let script = format!("set -e; cd \"$1\"; {{ {script}\n}} >&2; echo ok; read line");
        let mut keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut line = String::new();
        let mut said = BufReader::new(keeper.stdout.take().expect("piped"));
        said.read_line(&mut line).expect("readable");
        let pid = keeper.id().to_string();
        let namespace = Self { keeper, pid };
        if line.trim_end() != "ok" {
            eprintln!("not tested: this machine cannot make {what}");
            return None;
        }
        Some(namespace)
    }

    /// What starts a program in it.
    pub fn launcher(&self) -> [&str; 4] {
        ["nsenter", "--mount", "--target", &self.pid]
    }

    /// A file that can only be seen in there, through the root of a process that lives there.
    pub fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid));
        root.join(path.strip_prefix("/").expect("absolute"))
    }

    /// `stat` of such a file.
    pub fn stat(&self, path: &Path) -> std::fs::Metadata {
        self.seen(path).metadata().expect("there")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// What a container engine makes of its processes: a mount namespace with a root of its own, an overlay, and a PID
/// namespace. It ends with its value.
pub struct Container {
    keeper: Child,
    /// Its first process, as this machine counts.
    pub init: i32,
}

/// Makes the root in `$1`, with the host name `$2` and the program `$3`.
const CONTAINER: &str = "set -e; cd \"$1\"; { mkdir box; mount -t tmpfs none box; \
    mkdir box/upper box/work box/root; \
    mount -t overlay -o lowerdir=/,upperdir=box/upper,workdir=box/work none box/root; \
    mkdir -p box/root/data box/root/old box/root/etc; cp \"$3\" box/root/waltop; \
    echo \"$2\" > box/root/etc/hostname; cd box/root; pivot_root . old; mount -t proc none /proc; \
    umount -l /old; } >&2; echo ok; read line";

impl Container {
    /// With the host name `name`, made in `folder`; `None`, and a word about it, where it cannot be made.
    pub fn new(folder: &Path, name: &str) -> Option<Self> {
        if !may_change_namespaces() {
            return None;
        }
        let mut keeper = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"])
            .args(["sh", "-c", CONTAINER, "sh"])
            .arg(folder)
            .args([name, WALTOP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut line = String::new();
        let mut said = BufReader::new(keeper.stdout.take().expect("piped"));
        said.read_line(&mut line).expect("readable");
        let init = if line.trim_end() == "ok" { child_of(keeper.id()) } else { None };
        let container = Self { keeper, init: init.unwrap_or_default() };
        if init.is_none() {
            eprintln!("not tested: this machine cannot make a container");
            return None;
        }
        Some(container)
    }

    /// A process with a connection to the database at `path` in it, and its PID as this machine counts.
    pub fn actor(&self, path: &str) -> (Actor, i32) {
        let target = self.init.to_string();
        let launcher = ["nsenter", "--mount", "--pid", "--target", &target];
        let actor = Actor::open_inside(&launcher, "/waltop", Path::new(path));
        // It answers, so nsenter has started it.
        let pid = child_of(actor.pid().unsigned_abs()).expect("nsenter has a child");
        (actor, pid)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // With it ends its child, and with that whatever is in the PID namespace.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// The child of `pid`, which has only one.
pub fn child_of(pid: u32) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// An overlay over two file systems, of which the lower has files with each of the first inode numbers.
pub const OVERLAY: &str = "mkdir low high all; mount -t tmpfs none low; mount -t tmpfs none high; \
    mkdir high/upper high/work; \
    for n in 1 2 3 4 5 6 7 8 9; do for m in 0 1 2 3 4 5 6 7 8 9; do echo a file > low/$n$m; done; done; \
    mount -t overlay -o lowerdir=low,upperdir=high/upper,workdir=high/work,xino=off none all";

/// Whether this test runs as root; a word about it where it does not.
pub fn may_change_namespaces() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("not tested: only root may run a process elsewhere or as somebody else");
    }
    is_root
}
