//! What `inspect` says of paths that are no database: one line, and nothing made or changed.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    process::Command,
};

use waltop::observe::{UnfitPath, inspect};

use super::*;

fn message(error: &UnfitPath) -> String {
    let message = error.to_string();
    assert!(!message.contains('\n') && message.contains(';'), "one line that says what to do: {message}");
    message
}

fn refused(path: &Path) -> UnfitPath {
    let error = inspect(path).expect_err("it is no database");
    message(&error);
    error
}

#[test]
fn a_database_is_accepted_by_its_absolute_path() {
    let scene = Scene::with_wal();
    assert_eq!(inspect(&scene.path()).expect("a database"), scene.path());
    let link = scene.state.path().join("link.db");
    symlink(scene.path(), &link).expect("linked");
    assert_eq!(inspect(&link).expect("a database"), scene.path());
}

#[test]
fn an_empty_file_is_a_new_database() {
    let scene = Scene::new();
    File::create(scene.path()).expect("made");
    assert_eq!(inspect(&scene.path()).expect("a database"), scene.path());
}

#[test]
fn what_is_not_there_is_missing() {
    let scene = Scene::new();
    assert!(matches!(refused(&scene.path()), UnfitPath::Missing { .. }));
    assert!(matches!(refused(&scene.path().join("below")), UnfitPath::Missing { .. }));
    symlink("/nowhere/at/all", scene.path()).expect("linked");
    assert!(matches!(refused(&scene.path()), UnfitPath::Missing { .. }), "a link to nothing");
}

#[test]
fn a_directory_and_a_pipe_are_no_files() {
    let scene = Scene::new();
    assert!(matches!(refused(scene.folder.path()), UnfitPath::Directory(_)));
    let made = Command::new("mkfifo").arg(scene.path()).status().expect("mkfifo runs");
    assert!(made.success());
    assert!(matches!(refused(&scene.path()), UnfitPath::NotAFile(_)), "and it does not block");
}

#[test]
fn text_and_random_bytes_are_no_database() {
    let scene = Scene::new();
    for content in [&b"# Notes\n"[..], &[b'x'; 5000], &[0x9c, 0x13, 0xfe, 0x00].repeat(2000)] {
        fs::write(scene.path(), content).expect("written");
        assert!(matches!(refused(&scene.path()), UnfitPath::NotADatabase(_)));
    }
}

#[test]
fn a_header_with_an_impossible_page_size_is_damaged() {
    let scene = Scene::with_wal();
    let mut bytes = fs::read(scene.path()).expect("readable");
    bytes[16..18].copy_from_slice(&[3, 3]);
    fs::write(scene.path(), bytes).expect("written");
    // The pages behind it are plain.
    assert!(matches!(refused(&scene.path()), UnfitPath::Damaged(_)));
}

#[test]
fn a_file_that_was_cut_is_truncated() {
    let scene = Scene::with_wal();
    let whole = fs::read(scene.path()).expect("readable");
    for length in [1, 15, 50, 99, 100, 4095] {
        fs::write(scene.path(), &whole[..length]).expect("written");
        let error = refused(&scene.path());
        assert!(matches!(error, UnfitPath::Truncated { bytes, .. } if bytes == length as u64), "{error}");
    }
}

#[test]
fn without_permission_it_says_so() {
    let scene = Scene::with_wal();
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o000)).expect("changed");
    // The superuser may read everything.
    match File::open(scene.path()) {
        Ok(_) => assert_eq!(inspect(&scene.path()).expect("readable to root"), scene.path()),
        Err(_) => assert!(matches!(refused(&scene.path()), UnfitPath::Forbidden(_))),
    }
}

#[test]
fn a_name_with_a_line_break_stays_in_one_line() {
    let scene = Scene::new();
    let path = scene.folder.path().join("a\nb\x1b[31m.db");
    File::create(&path).and_then(|mut file| file.write_all(b"text")).expect("written");
    let error = inspect(&path).expect_err("it is no database");
    assert!(!message(&error).contains('\x1b'));
}
