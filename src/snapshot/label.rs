//! The label of a process: the name of its daemon rule, else its script, else its program.
//!
//! The command line is that process's own text, so a label is cleaned and bounded.

use std::sync::Arc;

use regex::Regex;

use crate::text;

mod interpreter;

use interpreter::Interpreter;

/// Columns of a label.
const COLUMNS: usize = 32;
/// Characters of a text that are read for a label: one of zero-width characters has no columns.
const MOST_READ: usize = 4 * COLUMNS;
/// Bytes of a short name after which the kernel cuts it.
const COMM: usize = 15;

/// The names that the user gives to processes, by patterns for their command lines. The first match counts.
#[derive(Debug, Clone, Default)]
pub struct LabelRules(Arc<[(Regex, String)]>);

impl FromIterator<(Regex, String)> for LabelRules {
    fn from_iter<T: IntoIterator<Item = (Regex, String)>>(rules: T) -> Self {
        Self(rules.into_iter().collect())
    }
}

impl LabelRules {
    /// The label of a process with this short name and command line.
    pub fn label(&self, name: &str, command: &[String]) -> String {
        self.rule(name, command).unwrap_or_else(|| label(name, command))
    }

    /// What metrics call it: its rule's name, else the short name. Nothing of a command line is in it.
    pub fn program(&self, name: &str, command: &[String]) -> String {
        self.rule(name, command).unwrap_or_else(|| bounded(name))
    }

    fn rule(&self, name: &str, command: &[String]) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let line = command_line(name, command);
        let rule = self.0.iter().find(|(pattern, _)| pattern.is_match(&line));
        rule.map(|(_, rule)| bounded(rule))
    }
}

/// `command` in one string, or the short name in brackets if there is none.
pub fn command_line(name: &str, command: &[String]) -> String {
    if command.is_empty() { format!("[{name}]") } else { command.join(" ") }
}

/// The label of a process that no rule matches.
pub fn label(name: &str, command: &[String]) -> String {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let label = bounded(&script(name, &words).unwrap_or_else(|| program(name, &words).to_owned()));
    if label.is_empty() { bounded(name) } else { label }
}

/// Programs in which people type statements.
const DATABASE_SHELLS: &[&str] = &["sqlite3", "sqlite", "litecli", "sqlitebrowser", "usql"];

/// Whether the program at `path` is one in which people type statements.
pub fn is_shell_of_databases(path: &str) -> bool {
    DATABASE_SHELLS.contains(&base(path))
}

/// The label of a process of which only `command` is known.
pub fn command_label(command: &[String]) -> String {
    label(command.first().map_or("", |first| base(first)), command)
}

/// The index of the word of `command` that names what the process runs: the program itself, or an interpreter's script.
/// `None` if an interpreter runs code of the command line or its standard input.
pub fn program_word(name: &str, command: &[String]) -> Option<usize> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let Some(script) = script(name, &words) else { return (!words.is_empty()).then_some(0) };
    let at = words.iter().skip(1).position(|word| base(word) == script)?;
    Some(at + 1)
}

// What an interpreter runs; its own name if that is unknown, and `None` if this is no interpreter.
fn script(name: &str, words: &[&str]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let own = base(first);
    let by_own = Interpreter::of(own);
    // A program that was started by a link such as /proc/self/exe has only its short name.
    let is_link = own == "exe";
    let interpreter = by_own.or_else(|| Interpreter::of(name).filter(|_| is_link))?;
    let shown = if by_own.is_some() { own } else { name };
    let shown = shown.strip_prefix('-').unwrap_or(shown);
    Some(interpreter.label(shown, rest))
}

// The program: its short name, which a program may set itself, in full if the kernel has cut it.
fn program<'a>(name: &'a str, words: &[&'a str]) -> &'a str {
    let Some(first) = words.first().filter(|first| !first.is_empty()) else { return name };
    let file = base(first);
    let is_cut = name.len() >= COMM;
    if is_cut && file.starts_with(name) {
        file
    } else if is_cut && first.starts_with(name) {
        // A title instead of arguments: `postgres: checkpointer`.
        first
    } else if Interpreter::of(name).is_some() && file != "exe" {
        if first.starts_with('/') { file } else { first }
    } else if name.is_empty() {
        file
    } else {
        name
    }
}

/// The last part of a path or URL; the whole text if it has none.
fn base(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

fn bounded(text: &str) -> String {
    let read: String = text.chars().take(MOST_READ).collect();
    text::fit(&read, COLUMNS).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, line: &str) -> String {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        label(name, &words)
    }

    #[test]
    fn a_process_is_called_by_its_script() {
        for (line, expected) in [
            ("python3 holder.py", "holder.py"),
            ("/usr/bin/python3.12 -u -X dev /srv/app/holder.py --once", "holder.py"),
            ("python3 -Xdev -Wignore -OO holder.py -c no", "holder.py"),
            ("python3 -W ignore --check-hash-based-pycs always holder.py", "holder.py"),
            ("python3 -m http.server 8000", "http.server"),
            ("python3 -um app.worker", "app.worker"),
            ("python3 -Bc import+time", "python3 -c"),
            ("python3 -cpass", "python3 -c"),
            ("python3 -", "python3 -"),
            ("python3 -- -odd.py", "-odd.py"),
            ("python3 /srv/tool/__main__.py", "tool"),
            ("/srv/venv/bin/python /srv/venv/bin/uvicorn app:main", "uvicorn"),
            ("pypy3 -u x.py", "x.py"),
            ("node server.js", "server.js"),
            (
                "node --inspect=0.0.0.0:9229 --max-old-space-size=4096 -r dotenv/config dist/server.js",
                "server.js",
            ),
            ("node --require ./a.cjs --import file:///srv/b.mjs --enable-source-maps x.ts", "x.ts"),
            ("node -e setInterval", "node -e"),
            ("node --eval=1", "node --eval"),
            ("node inspect x.js", "x.js"),
            ("node /usr/bin/npx --yes indexer", "indexer"),
            ("bun run --watch src/index.ts", "index.ts"),
            ("bun --cwd /srv run amalfa watch", "amalfa"),
            ("bunx amalfa", "amalfa"),
            ("bun test", "bun test"),
            ("deno run -A --allow-read=/srv --config deno.json https://deno.land/x/y/mod.ts", "mod.ts"),
            ("deno eval 1", "deno eval"),
            ("ruby -rbundler/setup -I lib bin/worker.rb", "worker.rb"),
            ("ruby -ne puts", "ruby -e"),
            ("perl -Mstrict -I lib -w import.pl", "import.pl"),
            ("perl -lne print", "perl -e"),
            ("php -d memory_limit=1G artisan queue:work", "artisan"),
            ("php -f job.php", "job.php"),
            ("php8.3 -r 1", "php8.3 -r"),
            ("/bin/sh backup.sh", "backup.sh"),
            ("bash -euo pipefail --rcfile x /srv/nightly", "nightly"),
            ("bash -lc sqlite3", "bash -c"),
            ("java -Xmx1g -cp a.jar:b.jar -Dx=y com.acme.Indexer --all", "Indexer"),
            ("java --add-opens java.base/java.lang=ALL-UNNAMED -jar /srv/app.jar", "app.jar"),
            ("java -m acme/com.acme.Main", "Main"),
            ("uv run holder.py", "holder.py"),
            ("uv run --with requests -p 3.12 python -u holder.py", "holder.py"),
            ("uv run -m app.worker", "app.worker"),
            ("uvx --from x tool", "tool"),
        ] {
            assert_eq!(of("MainThread", line), expected, "{line}");
        }
    }

    #[test]
    fn without_a_script_it_is_called_by_its_program() {
        for (name, line, expected) in [
            ("sqlite3", "sqlite3 notes.db", "sqlite3"),
            ("indexer", "/usr/bin/waltop actor --role indexer", "indexer"),
            ("a-program-with-", "/usr/bin/a-program-with-a-long-name -x", "a-program-with-a-long-name"),
            ("python3", "python3", "python3"),
            ("MainThread", "node --inspect", "node"),
            ("bash", "-bash", "bash"),
            ("python3", "/proc/self/exe holder.py", "holder.py"),
            ("kworker/0:1", "", "kworker/0:1"),
            ("", "/usr/bin/x y", "x"),
            ("", "", ""),
        ] {
            assert_eq!(of(name, line), expected, "{line}");
        }
        let title = |name: &str, title: &str| label(name, &[title.to_owned()]);
        assert_eq!(title("gunicorn: maste", "gunicorn: master [app]"), "gunicorn: master [app]");
        assert_eq!(title("python3", "indexer: /srv/notes"), "indexer: /srv/notes");
    }

    #[test]
    fn a_rule_comes_first() {
        let rule = |pattern: &str, name: &str| (Regex::new(pattern).expect("a pattern"), name.to_owned());
        let rules: LabelRules =
            [rule("holder", "watcher"), rule("^\\[kworker", "kernel")].into_iter().collect();
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(rules.label("python3", &words("python3 -u holder.py")), "watcher");
        assert_eq!(rules.label("python3", &words("python3 other.py")), "other.py");
        assert_eq!(rules.label("kworker/0:1", &[]), "kernel");
        assert_eq!(rules.program("python3", &words("python3 -u holder.py")), "watcher");
        assert_eq!(rules.program("python3", &words("python3 other.py")), "python3");
        assert_eq!(LabelRules::default().program("python3", &words("python3 other.py")), "python3");
    }

    #[test]
    fn hostile_arguments_stay_on_one_short_line() {
        let long = "x".repeat(4096);
        let marks = format!("{}.py", "e\u{301}".repeat(4000));
        for script in
            ["\x1b]2;owned\x07.py", "a\nb\r\u{202e}yp.exe", &long, &marks, "…", "", "..", "/", "   "]
        {
            let label = label("python3", &["python3".to_owned(), "-u".to_owned(), script.to_owned()]);
            assert!(!label.is_empty() && !label.chars().any(text::is_unsafe), "{label:?}");
            assert!(label.chars().count() <= MOST_READ && text::fit(&label, COLUMNS) == label, "{label:?}");
        }
        let endless = vec!["npx".to_owned(); 2000];
        assert_eq!(label("node", &endless), "npx");
    }
}
