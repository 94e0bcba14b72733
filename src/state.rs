//! waltop's own files: where they are, and how each is read and written.

pub mod first_seen;
pub mod folder;
pub mod journal;
pub mod places;
pub mod run_lock;
pub mod schedule_ledger;
