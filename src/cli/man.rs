//! `waltop man`: the manual pages, from the declarations of the command line.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::{
    COMMANDS, Cli,
    help::{CONSOLE, CommandHelp},
    print_line,
};
use crate::{text, units};

#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The command whose page is printed; default: the page of waltop itself.
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    command: Option<String>,
    /// Write the pages of all commands to this folder, which is created if it is missing.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(args: &ManArgs) -> anyhow::Result<u8> {
    if let Some(dir) = &args.dir {
        let count = write_all(dir)?;
        let dir = text::clean(&dir.display().to_string());
        print_line(&format!("{dir}: {}", units::plural(count, "manual page")))?;
        return Ok(0);
    }
    let name = args.command.as_deref();
    let Some(page) = pages().into_iter().find(|page| page.command == name.unwrap_or(CONSOLE.command)) else {
        let name = name.unwrap_or_default();
        let nearest = text::nearest(name, COMMANDS.iter().map(|it| it.command)).unwrap_or_default();
        bail!("no command {}; did you mean `waltop man {nearest}`?", text::shell_word(name));
    };
    // A pager may be closed before the end.
    match io::stdout().lock().write_all(&page.text()?) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(0),
    }
}

/// Writes each page to `dir`; returns how many there are.
fn write_all(dir: &Path) -> anyhow::Result<u64> {
    let cannot = || format!("cannot write the manual pages to {}", text::clean(&dir.display().to_string()));
    fs::create_dir_all(dir).with_context(cannot)?;
    let pages = pages();
    for page in &pages {
        fs::write(dir.join(page.man.get_filename()), page.text()?).with_context(cannot)?;
    }
    Ok(pages.len() as u64)
}

/// A manual page.
struct Page {
    command: &'static str,
    man: Man,
    end: CommandHelp,
}

/// The page of the console, and one for each visible command.
fn pages() -> Vec<Page> {
    let mut cli = Cli::command()
        .disable_help_subcommand(true)
        .subcommand_help_heading("COMMANDS")
        .override_usage("waltop [OPTIONS] [DB]...\nwaltop COMMAND [OPTIONS] ...");
    cli.build();
    let page = |end: CommandHelp, command: &Command| {
        let source = format!("waltop {}", env!("CARGO_PKG_VERSION"));
        // An empty date would be left out, and what follows it moved.
        let man = Man::new(command.clone()).date(" ").source(source).manual("waltop manual");
        Page { command: end.command, man, end }
    };
    let of = |end: &CommandHelp| cli.find_subcommand(end.command).map(|command| page(*end, command));
    let below: Vec<Page> = COMMANDS.iter().filter_map(of).collect();
    [page(CONSOLE, &cli)].into_iter().chain(below).collect()
}

impl Page {
    fn text(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let is_console = self.command == CONSOLE.command;
        self.man.render_title(&mut text)?;
        self.man.render_name_section(&mut text)?;
        self.man.render_synopsis_section(&mut text)?;
        self.man.render_description_section(&mut text)?;
        self.man.render_options_section(&mut text)?;
        if is_console {
            self.man.render_subcommands_section(&mut text)?;
        }
        let mut end = Roff::new();
        end.control("SH", ["EXIT STATUS"]).text([roman(self.end.exit_codes)]);
        if is_console {
            end.control("SH", ["FILES"]).control("TP", []).text([bold("~/.config/waltop/config.toml")]);
            end.text([roman("The settings, if it is there; $XDG_CONFIG_HOME replaces ~/.config.")]);
        }
        end.control("SH", ["EXAMPLES"]);
        for example in self.end.examples {
            end.control("PP", []).text([bold(*example)]);
        }
        end.control("SH", ["SEE ALSO"])
            .text([bold(if is_console { "waltop-explain" } else { "waltop" }), roman("(1)")]);
        end.to_writer(&mut text)?;
        Ok(text)
    }
}
