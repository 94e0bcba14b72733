pub mod batch;
pub mod discover;
pub mod parse;
pub mod stop;
