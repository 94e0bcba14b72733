//! The one door to SQLite, open in worker processes only.
//!
//! A process that has a connection never opens the main file or `-shm` itself: closing such a descriptor would
//! drop the connection's locks. While it is connected it uses `stat` and the kernel's lock table, nothing else.

pub mod actor;
pub mod busy;
pub mod checkpoint;
pub mod factory;
pub mod fix;
pub mod health;
pub mod holder;
pub mod identity;
pub mod kept_log;
pub mod migrations;
pub mod optimize;
pub mod pragmas;
pub mod renumbering;
pub mod rescue;
pub mod sidecars;
pub mod stats;
