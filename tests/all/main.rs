//! The tests, in one binary.

mod support;
