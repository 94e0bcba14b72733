//! The folder of a database: its owner, and whether the database's owner can create files there.

use std::{fs::Metadata, os::unix::fs::MetadataExt, path::Path};

use rustix::{
    fs::{Access, AtFlags, CWD},
    io::Errno,
};

use crate::snapshot::{FileFacts, FolderFacts};

/// Reads the folder of the database at `path`; `db` is its main file.
pub fn read_folder(path: &Path, db: Option<&FileFacts>) -> Option<FolderFacts> {
    let folder = path.parent()?;
    let metadata = folder.metadata().ok()?;
    let own = rustix::process::geteuid().as_raw();
    let asked = may_write(folder);
    let owner_may_write = db.and_then(|db| {
        let facts = FolderProbe::of(&metadata);
        match asked {
            // The kernel's answer to waltop applies to the owner if waltop runs as the owner.
            Some(answer) if own == db.uid => Some(answer.is_ok()),
            // No user can write there.
            Some(Err(Errno::ROFS)) => Some(false),
            _ => facts.lets_write(db.uid),
        }
    });
    Some(FolderFacts {
        uid: metadata.uid(),
        gid: metadata.gid(),
        mode: metadata.mode() & 0o7777,
        owner_may_write,
    })
}

// `None` if the kernel does not answer. Nothing is written or opened.
fn may_write(folder: &Path) -> Option<Result<(), Errno>> {
    match rustix::fs::accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => Some(Ok(())),
        Err(error @ (Errno::ACCESS | Errno::ROFS)) => Some(Err(error)),
        Err(_) => None,
    }
}

#[derive(Debug, Clone, Copy)]
struct FolderProbe {
    uid: u32,
    mode: u32,
}

impl FolderProbe {
    fn of(metadata: &Metadata) -> Self {
        Self { uid: metadata.uid(), mode: metadata.mode() }
    }

    // Only what the mode proves: the groups of a user might permit it, and they are unknown. An access list that grants
    // more is visible in the bits of the group.
    fn lets_write(self, uid: u32) -> Option<bool> {
        let allows = |bits: u32| self.mode & bits == bits;
        if uid == 0 {
            Some(true)
        } else if uid == self.uid {
            Some(allows(0o300))
        } else if self.mode & 0o022 == 0 {
            Some(false)
        } else {
            allows(0o033).then_some(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_mode_says_only_what_is_certain() {
        for (mode, uid, answer) in [
            (0o755, 0, Some(true)),
            (0o755, 1000, Some(true)),
            (0o555, 1000, Some(false)),
            (0o655, 1000, Some(false)),
            (0o755, 1001, Some(false)),
            (0o775, 1001, None),
            (0o757, 1001, None),
            (0o1777, 1001, Some(true)),
        ] {
            assert_eq!(FolderProbe { uid: 1000, mode }.lets_write(uid), answer, "{mode:o} {uid}");
        }
    }

    #[test]
    fn a_folder_of_our_own_can_be_written_and_asking_leaves_it_as_it_is() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("notes.db");
        fs::write(&path, "x").expect("a file");
        let metadata = fs::metadata(&path).expect("there");
        let db = FileFacts {
            bytes: 1,
            device: "00:00".to_owned(),
            inode: 1,
            uid: metadata.uid(),
            gid: None,
            mode: 0o644,
            modified_at: None,
        };
        let seen = read_folder(&path, Some(&db)).expect("a folder");
        assert_eq!((seen.uid, seen.owner_may_write), (metadata.uid(), Some(true)));
        assert_eq!(
            read_folder(&path, None).expect("a folder").owner_may_write,
            None,
            "whose it is, is not known"
        );
        let foreign = FileFacts { uid: metadata.uid() + 1, ..db };
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        assert_eq!(read_folder(&path, Some(&foreign)).expect("a folder").owner_may_write, Some(false));
    }
}
