//! The settings: what they change, and that a mistake in them is told with its file, line and key.

use std::os::unix::fs::symlink;

use super::*;

impl Home {
    /// Where the program finds the settings of this user.
    pub(super) fn settings(&self) -> PathBuf {
        self.root().join("config/waltop/config.toml")
    }

    pub(super) fn set(&self, text: impl AsRef<[u8]>) {
        self.write_setting("config.toml", text);
    }

    fn write_setting(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.settings().with_file_name(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    /// Another database in WAL mode, closed again.
    fn another(&self, name: &str) -> PathBuf {
        let mut maker = Actor::open(&self.at(name));
        maker.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)");
        maker.close();
        self.at(name)
    }
}

/// Each mistake: the text of the file, the line, and how the complaint goes on after it.
const MISTAKES: &[(&str, usize, &str)] = &[
    ("refesh = '1s'", 1, "unknown key `refesh`; did you mean `refresh`?"),
    ("\n\n[threshold]\nidle = '1m'", 3, "unknown key `threshold`; did you mean `thresholds`?"),
    ("[thresholds]\nidel = '1m'", 2, "unknown key `idel` in `thresholds`; did you mean `idle`?"),
    ("[[database]]\npaht = 'a.db'", 2, "unknown key `paht` in `database`; did you mean `path`?"),
    ("[[daemon]]\nnaem = 'a'", 2, "unknown key `naem` in `daemon`; did you mean `name`?"),
    (
        "[search]\nembed = 'ftp://x'",
        2,
        "`search.embed`: `ftp://x` is no address of an embeddings API: give one like http://",
    ),
    ("[search]\nembd = 'x'", 2, "unknown key `embd` in `search`; did you mean `embed`?"),
    ("[keys]\nsotp = 'x'", 2, "unknown key `sotp` in `keys`; did you mean `stop`?"),
    ("databases = 'a.db'", 1, "`databases`: invalid type: string \"a.db\", expected a list"),
    ("databases = [\n'a.db',\n7]", 3, "`databases`: invalid value: integer `7`, expected a path in quotes"),
    ("refresh = 1", 1, "`refresh`: invalid value: integer `1`, expected a duration above zero"),
    ("refresh = '0s'", 1, "`refresh`: invalid value: string \"0s\", expected a duration above zero"),
    ("refresh = '-1s'", 1, "`refresh`: invalid value: string \"-1s\", expected a duration above zero"),
    (
        "refresh = '1 parsec'",
        1,
        "`refresh`: invalid value: string \"1 parsec\", expected a duration above zero",
    ),
    ("refresh = '1ms'", 1, "`refresh`: give a duration between 100ms and 1h"),
    ("readonly = 'yes'", 1, "`readonly`: invalid type: string \"yes\", expected a boolean"),
    ("theme = 'colorblind'", 1, "`theme`: unknown value `colorblind`; did you mean `colour-blind`?"),
    (
        "profile = 'hardned'",
        1,
        "`profile`: unknown value `hardned`; did you mean `hardened`? Your own profiles are in ",
    ),
    ("profile = '../../etc/x'", 1, "`profile`: unknown value `../../etc/x`; did you mean "),
    ("thresholds = 1", 1, "`thresholds`: invalid type: integer `1`, expected a table, written [thresholds]"),
    ("[thresholds]\npinned_wal = ['2m', '1m']", 2, "`thresholds.pinned_wal`: the warning is above the error"),
    (
        "[thresholds]\npinned_wal = ['1m', '2m', '3m']",
        2,
        "`thresholds.pinned_wal`: expected one value, or two",
    ),
    (
        "[thresholds]\nlong_write_lock = -0.5",
        2,
        "`thresholds.long_write_lock`: invalid value: floating point `-0.5`, expected a number above 0",
    ),
    (
        "[thresholds]\nlarge_wal = '64 elephants'",
        2,
        "`thresholds.large_wal`: invalid value: string \"64 elephants\", expected a size above zero",
    ),
    (
        "[thresholds]\nmany_handles = -1",
        2,
        "`thresholds.many_handles`: invalid value: integer `-1`, expected a whole number from 1",
    ),
    ("[database]\npath = 'a.db'", 1, "`database`: expected a list of tables; write [[database]]"),
    ("[[database]]\nprofile = 'queue'", 1, "`database`: missing key `path`"),
    (
        "[[database]]\npath = 'a.db'\nprofile = 'q'",
        3,
        "`database.profile`: unknown value `q`; did you mean `queue`?",
    ),
    (
        "[[database]]\npath = '/a.db'\n[[database]]\npath = '/./a.db'",
        4,
        "`database.path`: /a.db has a [[database]] already; keep one",
    ),
    (
        "[[daemon]]\nname = 'a'\npattern = '('",
        3,
        "`daemon.pattern`: not a regular expression: unclosed group",
    ),
    (
        "[[daemon]]\nname = 'a'\npattern = 'a'\nmax_age = 1",
        4,
        "`daemon.max_age`: invalid value: integer `1`, expected a duration",
    ),
    ("[keys]\nstop = 'c'", 2, "`keys.stop` cannot be c, the key of checkpoint; give that one another"),
    ("[keys]\nstop = 'y'", 2, "`keys.stop` cannot be y, which says yes in a dialog"),
    ("[keys]\nstop = 'Esc'", 2, "`keys.stop` cannot be Esc, which always goes back"),
    ("[keys]\nstop = 'Hyper-x'", 2, "`keys.stop`: \"Hyper-x\" is no key; the nearest is "),
    ("theme = \"a\\u001b[31m\\nb\"", 1, "`theme`: unknown value `a [31m b`; did you mean "),
    ("theme = 'dark'\ntheme = 'light'", 2, "not valid TOML: duplicate key"),
    ("theme = ", 1, "not valid TOML: "),
];

#[test]
fn a_mistake_is_reported_with_its_line_and_its_key_and_nothing_is_done() {
    let home = Home::with_wal();
    for (text, line, complaint) in MISTAKES {
        home.set(text);
        let before = Home::listing(&home.root());
        let said = home.run(&["status", "notes.db"]);
        let wanted = format!("{}, line {line}: {complaint}", home.settings().display());
        assert!(said.refusal().starts_with(&wanted), "{text}\n{said:?}\n{wanted}");
        assert_eq!(Home::listing(&home.root()), before, "{text}");
    }
}

#[test]
fn every_command_reads_the_settings_before_it_does_anything() {
    let home = Home::with_wal();
    home.document("a.md", "# A\n");
    home.set("theme = 'drak'");
    let before = Home::listing(&home.root());
    for args in [
        &["notes.db"][..],
        &["demo"],
        &["status", "notes.db"],
        &["checkpoint", "notes.db"],
        &["fix", "--yes", "notes.db"],
        &["ingest", "notes"],
        &["search", "a"],
    ] {
        let said = home.run(args);
        assert!(
            said.refusal().contains("line 1: `theme`: unknown value `drak`; did you mean `dark`?"),
            "{args:?} {said:?}"
        );
    }
    assert_eq!(Home::listing(&home.root()), before);
}

#[test]
fn a_file_that_cannot_be_read_is_reported() {
    let home = Home::with_wal();
    fs::create_dir(home.at("folder")).expect("a folder");
    fs::write(home.at("latin.toml"), b"theme = 'dark'\n# caf\xe9\n").expect("written");
    fs::write(home.at("large.toml"), vec![b'\n'; (1 << 20) + 1]).expect("written");
    let made = Command::new("mkfifo").arg(home.at("pipe.toml")).status().expect("mkfifo runs");
    assert!(made.success());
    for (name, complaint) in [
        ("missing.toml", "no such file: "),
        ("folder", "folder is a directory; name a TOML file"),
        ("pipe.toml", "pipe.toml is not a regular file; name a TOML file"),
        ("large.toml", "large.toml is larger than 1 MiB; name a TOML file"),
        ("latin.toml", "latin.toml, line 2: not UTF-8; save the file as UTF-8"),
        ("", "a value is required for"),
    ] {
        for args in [&["status", "notes.db", "--config", name], &["--config", name, "status", "notes.db"]] {
            let said = home.run(args);
            assert!(said.refusal().contains(complaint), "{args:?} {said:?}");
        }
    }
    fs::create_dir_all(home.settings()).expect("a folder");
    let said = home.run(&["status", "notes.db"]);
    assert!(said.refusal().contains("config.toml is a directory; name a TOML file"), "{said:?}");
}

#[test]
fn a_file_that_may_not_be_read_is_reported() {
    let home = Home::with_wal();
    let user = home.user_without_privileges();
    fs::write(home.at("secret.toml"), "").expect("written");
    fs::set_permissions(home.at("secret.toml"), fs::Permissions::from_mode(0o000)).expect("a mode");
    let said = home.run_as(user, &["status", "notes.db", "--config", "secret.toml"]);
    assert!(
        said.refusal().contains("secret.toml: Permission denied (os error 13); check its permissions"),
        "{said:?}"
    );
}

#[test]
fn a_file_that_is_named_counts_instead_of_the_users_own() {
    let home = Home::with_wal();
    home.set("theme = 'drak'");
    fs::write(home.at("mine.toml"), "profile = 'patient'\n").expect("written");
    for args in [
        &["status", "notes.db", "--json", "--config", "mine.toml"][..],
        &["--config", "mine.toml", "status", "notes.db", "--json"],
        &["--config=mine.toml", "status", "--json", "notes.db"],
    ] {
        assert_eq!(home.json(args)["databases"][0]["pragmas"]["profile"], "patient", "{args:?}");
    }
    // The worker that asks the pragmas reads the same file, since its rows are those of the profile.
    let status = home.json(&["status", "notes.db", "--json", "--config", "mine.toml"]);
    assert_eq!(connection(&status["databases"][0], "busy_timeout"), "30000");
}

// What our own connection to `database` answered for `pragma`.
fn connection(database: &Value, pragma: &str) -> Value {
    let rows = database["pragmas"]["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["name"] == pragma && row["source"] == "connection");
    row.map_or(Value::Null, |row| row["actual"].clone())
}

#[test]
fn each_database_is_held_to_its_own_profile() {
    let home = Home::with_wal();
    let queue = home.another("queue.db");
    let own = home.another("own.db");
    symlink("queue.db", home.at("link.db")).expect("linked");
    home.write_setting(
        "profiles/mine.toml",
        "[[pragma]]\nname = 'cache_size'\nexpected = -1234\nkept_by = 'connection'\nseverity = 'info'\n",
    );
    home.set(format!(
        "databases = ['{}']\n[[database]]\npath = '{}'\nprofile = 'queue'\n[[database]]\npath = '{}'\nprofile = 'mine'\n",
        home.db().display(),
        home.at("link.db").display(),
        own.display(),
    ));
    // Without a name, the databases of the settings, in their order.
    let status = home.json(&["status", "--json"]);
    let seen: Vec<_> = status["databases"]
        .as_array()
        .expect("databases")
        .iter()
        .map(|it| (it["path"].clone(), it["pragmas"]["profile"].clone(), connection(it, "cache_size")))
        .collect();
    let row = |path: &Path, profile: &str, cache: Value| {
        (Value::from(path.display().to_string()), Value::from(profile), cache)
    };
    assert_eq!(
        seen,
        [
            row(&home.db(), "hardened", Value::Null),
            row(&queue, "queue", "-32000".into()),
            row(&own, "mine", "-1234".into()),
        ]
    );
    let checkpoint = home.json(&["checkpoint", "--json"]);
    assert_eq!(checkpoint["databases"].as_array().map(Vec::len), Some(3));
    let named = home.json(&["status", "--json", "notes.db"]);
    assert_eq!(named["databases"].as_array().map(Vec::len), Some(1), "a name counts instead");
}

#[test]
fn a_profile_on_the_command_line_counts_before_that_of_the_settings() {
    let home = Home::with_wal();
    home.set("[[database]]\npath = '../../work/notes.db'\nprofile = 'queue'\n");
    let profile = |args: &[&str]| home.json(args)["databases"][0]["profile"].clone();
    assert_eq!(profile(&["check", "--json"]), "queue");
    assert_eq!(profile(&["check", "--json", "--profile", "throughput"]), "throughput");
}

#[test]
fn a_listed_database_that_is_not_there_is_reported_with_the_file_that_lists_it() {
    let home = Home::new();
    home.set("databases = ['missing.db']");
    let said = home.run(&["status"]);
    let line = said.refusal();
    let missing = home.settings().with_file_name("missing.db");
    assert!(line.contains(&missing.display().to_string()), "{line}");
    assert!(line.ends_with(&format!("it is listed in {}", home.settings().display())), "{line}");
}

#[test]
fn a_mistake_in_a_profile_of_ones_own_is_reported_with_its_line() {
    let home = Home::with_wal();
    home.set("profile = 'mine'");
    home.write_setting("profiles/mine.toml", "about = 'x'\npragmas = []\n");
    let said = home.run(&["status", "notes.db"]);
    let file = home.settings().with_file_name("profiles/mine.toml");
    let wanted = format!(
        "{}, line 2: unknown key `pragmas`; did you mean `pragma`? The keys are `name`, `about`, `checkpoint`, `wal_reset_bug`, `foreign`, `pragma`.",
        file.display()
    );
    assert_eq!(said.refusal(), wanted);
}

#[test]
fn a_profile_of_ones_own_with_a_name_that_is_taken_is_reported() {
    let home = Home::with_wal();
    home.write_setting("profiles/hardened.toml", "");
    let said = home.run(&["status", "notes.db"]);
    assert!(said.refusal().ends_with("has the name of a profile that waltop brings with it; rename it"));
}

#[test]
fn thresholds_change_what_is_found() {
    let home = Home::with_wal();
    let (mut reader, mut writer) = (home.actor(), home.actor());
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2000) INSERT INTO t SELECT zeroblob(3000) FROM c");
    let found = |home: &Home| {
        let status = home.json(&["status", "notes.db", "--json", "--for", "300ms"]);
        let findings = status["databases"][0]["findings"].as_array().expect("findings").clone();
        findings.into_iter().find(|it| it["name"] == "pinned-wal").map(|it| it["severity"].clone())
    };
    home.set("[thresholds]\npinned_wal = ['1h', '2h']\n");
    assert_eq!(found(&home), None);
    home.set("[thresholds]\npinned_wal = ['1ms', '2h']\n");
    assert_eq!(found(&home), Some("warning".into()));
}

#[test]
fn the_help_says_where_the_settings_lie() {
    let home = Home::new();
    let said = home.run(&["--help"]);
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&format!("Settings: {}", home.settings().display())), "{}", said.out);
    assert!(words.contains("assets/config.toml") && words.contains("--config <FILE>"), "{}", said.out);
}
