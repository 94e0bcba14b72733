//! The tests, in one binary.

mod fake_proc;
mod observe;
mod support;
