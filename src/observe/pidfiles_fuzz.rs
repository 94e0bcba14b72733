//! Pidfiles with random content.

use std::{fs, path::Path, time::Instant};

use proptest::prelude::*;
use tempfile::TempDir;

use super::pidfiles::PidfileReader;
use crate::{fuzz::for_a_while, fuzz_edits::edited};

#[test]
fn fuzz_pidfile() {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("pidfile");
    for_a_while("pidfile", |runner| {
        runner.run(&edited(&["71168\n", " 1 2\n", "-7\n", "99999999999\n"]), |bytes| {
            fs::write(&path, &bytes).expect("written");
            let mut pidfiles = PidfileReader::default();
            pidfiles.set(vec![path.clone()]);
            let mut unseen = Vec::new();
            let read = pidfiles.read(Path::new("/nowhere"), Instant::now(), &mut unseen);
            prop_assert!(unseen.is_empty() && read.len() == 1);
            let text = String::from_utf8_lossy(&bytes);
            prop_assert!(read[0].pid.is_none_or(|pid| pid > 0 && text.contains(&pid.to_string())));
            Ok(())
        })
    });
}
