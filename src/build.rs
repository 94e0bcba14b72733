//! What `waltop --version --verbose` reports of the build: its commit, target, profile and features.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    let (folder, profile) = (PathBuf::from(variable("CARGO_MANIFEST_DIR")), profile());
    // Otherwise each commit would compile the library and its tests again.
    let commit = match profile.as_str() {
        "debug" => Some("not noted in a debug build".to_owned()),
        _ => packaged_commit(&folder).or_else(|| commit_of_repository(&folder)),
    };
    set("WALTOP_COMMIT", &commit.unwrap_or_else(|| "unknown".to_owned()));
    set("WALTOP_TARGET", &variable("TARGET"));
    set("WALTOP_PROFILE", &profile);
    set("WALTOP_FEATURES", &variable("CARGO_CFG_FEATURE"));
}

fn set(name: &str, value: &str) {
    println!("cargo::rustc-env={name}={value}");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// The commit that `cargo package` has noted in the folder of the package.
fn packaged_commit(folder: &Path) -> Option<String> {
    let noted = folder.join(".cargo_vcs_info.json");
    let text = fs::read_to_string(&noted).ok()?;
    println!("cargo::rerun-if-changed={}", noted.display());
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    let is_commit = commit.len() >= 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
    is_commit.then(|| commit.to_owned())
}

/// The commit that is checked out, if `folder` is the top of a repository, and not a part of another one.
fn commit_of_repository(folder: &Path) -> Option<String> {
    let top = git(folder, &["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(folder).ok()? {
        return None;
    }
    // The second one has a line for each commit and checkout.
    for file in ["HEAD", "logs/HEAD"] {
        let path = folder.join(git(folder, &["rev-parse", "--git-path", file])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(folder, &["rev-parse", "HEAD"])
}

/// What git says of `folder`; `None` if it fails, or is not installed.
fn git(folder: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The folder of the profile's artifacts. `PROFILE` knows only `debug` and `release`, and not what inherits from them.
fn profile() -> String {
    let out = PathBuf::from(variable("OUT_DIR"));
    // PROFILE/build/waltop-HASH/out
    let folder = out.ancestors().nth(3).and_then(Path::file_name);
    folder.map_or_else(|| variable("PROFILE"), |name| name.to_string_lossy().into_owned())
}
