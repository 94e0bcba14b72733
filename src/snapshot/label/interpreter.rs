//! The command lines of interpreters: which argument is the script.

use super::base;

/// The last element of a command line that was cut.
const CUT: &str = "…";
/// Launchers that may stand before a script: `node npx tsx x.ts`.
const MOST_LAUNCHERS: usize = 3;

/// How an interpreter reads its arguments.
#[derive(Debug)]
pub struct Interpreter {
    programs: &'static [&'static str],
    /// Letters of options with a value, which is the rest of the word or else the next word.
    values: &'static str,
    /// Letters of options with an optional value, which is the rest of the word.
    attached: &'static str,
    /// Letters of options whose value is code.
    code: &'static str,
    /// Letters of options whose value is what it runs.
    runs: &'static str,
    /// Whole words that are followed by a value.
    long_values: &'static [&'static str],
    /// Whole words that are followed by code.
    long_code: &'static [&'static str],
    /// Words that stand before the script.
    commands: &'static [&'static str],
    /// Whether it runs classes, whose packages say less than their names.
    has_classes: bool,
}

const PLAIN: Interpreter = Interpreter {
    programs: &[],
    values: "",
    attached: "",
    code: "",
    runs: "",
    long_values: &[],
    long_code: &[],
    commands: &[],
    has_classes: false,
};

/// From the manual of each program.
const INTERPRETERS: &[Interpreter] = &[
    Interpreter {
        programs: &["python", "pypy"],
        values: "XWQ",
        code: "c",
        runs: "m",
        long_values: &["--check-hash-based-pycs"],
        ..PLAIN
    },
    Interpreter {
        programs: &["node", "nodejs"],
        values: "rC",
        code: "ep",
        long_values: &[
            "--conditions",
            "--diagnostic-dir",
            "--env-file",
            "--experimental-loader",
            "--icu-data-dir",
            "--import",
            "--input-type",
            "--loader",
            "--openssl-config",
            "--redirect-warnings",
            "--require",
            "--title",
            "--watch-path",
        ],
        long_code: &["--eval", "--print"],
        commands: &["inspect"],
        ..PLAIN
    },
    Interpreter {
        programs: &["bun"],
        values: "rcdl",
        code: "ep",
        long_values: &["--config", "--cwd", "--define", "--env-file", "--loader", "--port", "--preload"],
        long_code: &["--eval", "--print"],
        commands: &["run", "x", "exec", "test"],
        ..PLAIN
    },
    Interpreter {
        programs: &["deno"],
        values: "cL",
        long_values: &[
            "--cert",
            "--config",
            "--import-map",
            "--location",
            "--lock",
            "--log-level",
            "--port",
            "--seed",
        ],
        long_code: &["eval"],
        commands: &["run", "serve", "task", "test"],
        ..PLAIN
    },
    Interpreter { programs: &["ruby"], values: "IrCE", attached: "KxFTW0i", code: "e", ..PLAIN },
    Interpreter { programs: &["perl"], values: "I", attached: "MmiCFxD", code: "eE", ..PLAIN },
    Interpreter { programs: &["php"], values: "dczSt", code: "rBRE", runs: "fF", ..PLAIN },
    Interpreter {
        programs: &["sh", "bash", "dash", "zsh", "ksh", "ash"],
        values: "oO",
        code: "c",
        long_values: &["--rcfile", "--init-file"],
        ..PLAIN
    },
    Interpreter {
        programs: &["java"],
        // The others of its options are words, or have their value attached: -Xmx1g, -Dname=value.
        attached: "XDaejvs",
        long_values: &[
            "-cp",
            "-classpath",
            "-p",
            "--add-exports",
            "--add-modules",
            "--add-opens",
            "--add-reads",
            "--class-path",
            "--enable-native-access",
            "--limit-modules",
            "--module-path",
            "--source",
            "--upgrade-module-path",
        ],
        has_classes: true,
        ..PLAIN
    },
    Interpreter {
        programs: &["uv"],
        values: "pwni",
        runs: "m",
        long_values: &[
            "--directory",
            "--env-file",
            "--extra",
            "--from",
            "--group",
            "--index",
            "--index-url",
            "--project",
            "--python",
            "--with",
            "--with-editable",
            "--with-requirements",
        ],
        commands: &["tool", "run"],
        ..PLAIN
    },
    Interpreter {
        programs: &["npx", "bunx", "pnpx", "uvx"],
        values: "pcw",
        long_values: &["--call", "--from", "--package", "--python", "--with", "--workspace"],
        ..PLAIN
    },
];

// The meaning of a word that starts with a dash.
enum OptionWord {
    Alone,
    WithValue,
    /// Its value, or the next word, is what runs.
    Runs(Option<usize>),
    /// The option as it is shown.
    Code(String),
}

impl Interpreter {
    /// The interpreter with the file name `program`, which may end in a version.
    pub fn of(program: &str) -> Option<&'static Self> {
        let program = program.strip_prefix('-').unwrap_or(program);
        let family = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        INTERPRETERS.iter().find(|it| it.programs.contains(&family))
    }

    /// What it runs with the arguments `words`, or `own` if they do not say that.
    pub fn label(&self, own: &str, words: &[&str]) -> String {
        self.launched(own, words, MOST_LAUNCHERS)
    }

    fn launched(&self, own: &str, words: &[&str], launchers: usize) -> String {
        let (mut at, mut command) = (0, None);
        while let Some(&word) = words.get(at) {
            at += 1;
            match word {
                "" | CUT => break,
                "-" => return format!("{own} -"),
                "--" => {
                    return words.get(at).map_or_else(|| own.to_owned(), |script| self.shown(own, script));
                }
                _ if self.long_values.contains(&word) => at += 1,
                _ if self.long_code.contains(&word.split('=').next().unwrap_or(word)) => {
                    return format!("{own} {}", word.split('=').next().unwrap_or(word));
                }
                _ if word.starts_with("--") => {}
                _ if word.starts_with('-') => match self.option(word) {
                    OptionWord::Alone => {}
                    OptionWord::WithValue => at += 1,
                    OptionWord::Runs(Some(value)) => return self.shown(own, &word[value..]),
                    OptionWord::Runs(None) => {
                        return words.get(at).map_or_else(|| own.to_owned(), |it| self.shown(own, it));
                    }
                    OptionWord::Code(option) => return format!("{own} {option}"),
                },
                _ if self.commands.contains(&word) => command = Some(word),
                script => return self.script(own, script, &words[at..], launchers),
            }
        }
        command.map_or_else(|| own.to_owned(), |command| format!("{own} {command}"))
    }

    // A script may be a launcher: `uv run python x.py`, `node /usr/bin/npx x`.
    fn script(&self, own: &str, script: &str, rest: &[&str], launchers: usize) -> String {
        match Self::of(base(script)) {
            Some(next) if launchers > 0 && !rest.is_empty() => {
                next.launched(base(script), rest, launchers - 1)
            }
            _ => self.shown(own, script),
        }
    }

    fn option(&self, word: &str) -> OptionWord {
        for (at, letter) in word.char_indices().skip(1) {
            let rest = at + letter.len_utf8();
            let has_rest = rest < word.len();
            if self.code.contains(letter) {
                return OptionWord::Code(format!("-{letter}"));
            } else if self.runs.contains(letter) {
                return OptionWord::Runs(has_rest.then_some(rest));
            } else if self.values.contains(letter) {
                return if has_rest { OptionWord::Alone } else { OptionWord::WithValue };
            } else if self.attached.contains(letter) {
                break;
            }
        }
        OptionWord::Alone
    }

    fn shown(&self, own: &str, script: &str) -> String {
        let path = script.strip_suffix("/__main__.py").unwrap_or(script);
        let name = base(path);
        let is_class = self.has_classes && ![".jar", ".java"].iter().any(|end| name.ends_with(end));
        let name = if is_class { name.rsplit('.').next().unwrap_or(name) } else { name };
        if name.trim().is_empty() || name.trim_matches('.').is_empty() || name == CUT {
            own.to_owned()
        } else {
            name.to_owned()
        }
    }
}
