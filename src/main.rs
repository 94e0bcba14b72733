//! The `waltop` program: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use waltop::{cli, text};

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("waltop: {}", text::clean(&format!("{error:#}")));
            ExitCode::from(2)
        }
    }
}
