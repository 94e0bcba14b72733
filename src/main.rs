//! The `waltop` program: parse, run, exit code.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::{
    io::{self, Write},
    process::ExitCode,
};

use waltop::{cli, text};

fn main() -> ExitCode {
    waltop::endings::survive_file_size_limit();
    match cli::run(std::env::args_os()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Each message includes its cause. The process that started a detached run may be gone, and stderr with it.
            let _ = writeln!(io::stderr(), "waltop: {}", text::clean(&error.to_string()));
            ExitCode::from(2)
        }
    }
}
