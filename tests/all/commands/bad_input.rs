//! Bad input: one line on stderr that says what is wrong and what to do, exit 2, and nothing created or changed.

use std::os::unix::fs::symlink;

use clap::CommandFactory;
use waltop::cli::Cli;

use super::*;

/// What stands around a database in the arguments of a command.
struct Taker {
    front: Vec<String>,
    back: Vec<String>,
}

/// Every command of the command line that takes a database, with options that must not matter beside those without.
fn takers() -> Vec<Taker> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let mut takers = vec![Taker { front: Vec::new(), back: Vec::new() }];
    for command in Cli::command().get_subcommands().filter(|it| !it.is_hide_set()) {
        let name = command.get_name();
        let has = |id: &str| command.get_arguments().any(|it| it.get_id() == id);
        match name {
            // One copies files that no other command opens, and names their damage afterwards. The others read a
            // recording, which names databases that may be gone.
            "rescue" | "who" | "report" => {}
            "ingest" | "watch" => {
                takers.push(Taker { front: words(&[name, "notes", "--db"]), back: Vec::new() });
            }
            _ if has("db") && has("query") => {
                takers.push(Taker { front: words(&[name, "lock", "--db"]), back: Vec::new() });
            }
            "safe" | "wait" => {
                let option = if name == "safe" { ["--for", "restore"] } else { ["--until", "free"] };
                takers.push(Taker { front: words(&[name]), back: words(&option) });
            }
            "stop" => takers.push(Taker { front: words(&[name]), back: words(&["--pid", "1", "--yes"]) }),
            "read" => takers.push(Taker { front: words(&[name, "--list", "--db"]), back: Vec::new() }),
            "stream" => takers.push(Taker { front: words(&[name, "--json"]), back: Vec::new() }),
            "explain" => takers.push(Taker { front: words(&[name, "517", "--db"]), back: Vec::new() }),
            _ if has("databases") || matches!(name, "runs" | "links") => {
                takers.push(Taker { front: words(&[name]), back: Vec::new() });
            }
            _ => {
                let names = command.get_arguments().filter_map(|it| it.get_value_names());
                let takes_database = names.flatten().any(|it| it.as_str() == "DB");
                assert!(!takes_database, "{name}: say here how it takes a database");
            }
        }
    }
    let with_options: [(&[&str], &[&str]); 8] = [
        (&["status", "--json"], &[]),
        (&["status", "--for", "100ms"], &[]),
        (&["check", "--json"], &["--fail-on", "error"]),
        (&["checkpoint", "--json", "--mode", "truncate"], &[]),
        (&["fix", "--dry-run"], &[]),
        (&["fix", "--yes"], &[]),
        (&["optimize", "--yes", "--vacuum"], &[]),
        (&["ingest", "notes", "--db"], &["--batch", "10"]),
    ];
    takers.extend(with_options.map(|(front, back)| Taker { front: words(front), back: words(back) }));
    takers
}

/// Makes something of every kind that is no database in the folder of `home`, beside documents to take in.
fn trash(home: &Home) {
    home.document("a.md", "# A lock\n");
    fs::create_dir(home.at("folder")).expect("a folder");
    fs::write(home.at("text.db"), "# Notes\n").expect("written");
    let noise: Vec<u8> = (0u32..5000).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    fs::write(home.at("random.db"), noise).expect("written");
    let whole = Home::with_wal();
    let bytes = fs::read(whole.db()).expect("readable");
    fs::write(home.at("cut.db"), &bytes[..50]).expect("written");
    fs::write(home.at("half.db"), &bytes[..2048]).expect("written");
    symlink("/nowhere/at/all", home.at("link.db")).expect("linked");
    let made = Command::new("mkfifo").arg(home.at("pipe.db")).status().expect("mkfifo runs");
    assert!(made.success());
    fs::write(home.folder().join(raw(b"bad\xff\x1b[31m\nname.db")), "text").expect("written");
}

// Runs every command that takes a database on `path`; each must refuse with one of `words`, and do nothing.
fn all_refuse(home: &Home, user: User, path: &OsStr, skip: &[&str], words: &[&str]) {
    let before = Home::listing(&home.root());
    for Taker { front, back } in takers() {
        if front.first().is_some_and(|it| skip.contains(&it.as_str())) {
            continue;
        }
        let mut args: Vec<&OsStr> = front.iter().map(OsStr::new).collect();
        args.push(path);
        args.extend(back.iter().map(OsStr::new));
        let said = home.run_as(user, &args);
        let line = said.refusal();
        assert!(words.iter().any(|word| line.contains(word)), "{args:?}: {line}");
        assert!(line.contains(';') || line.contains(": "), "{args:?} says what to do: {line}");
        assert_eq!(Home::listing(&home.root()), before, "{args:?}");
    }
}

#[test]
fn what_is_no_database_is_refused_by_every_command() {
    let home = Home::new();
    trash(&home);
    // The commands that connect to nothing look for databases in a folder.
    let of_folder = [
        "is a directory; name the database file in it",
        "no file in folder is a SQLite database; name the database file",
    ];
    all_refuse(&home, User::Myself, OsStr::new("folder"), &[], &of_folder);
    for (name, word) in [
        ("text.db", "not a SQLite database, or it is encrypted; name"),
        ("random.db", "not a SQLite database, or it is encrypted; name"),
        ("cut.db", "is truncated: 50 bytes"),
        ("half.db", "is truncated: 2048 bytes"),
        ("pipe.db", "is not a regular file; name"),
        ("", "a value is required"),
    ] {
        all_refuse(&home, User::Myself, OsStr::new(name), &[], &[word]);
    }
    all_refuse(&home, User::Myself, raw(b"bad\xff\x1b[31m\nname.db"), &[], &["not a SQLite database"]);
}

#[test]
fn what_is_missing_is_refused_by_all_but_those_that_make_it() {
    let home = Home::new();
    trash(&home);
    let words = ["no such file", "there is no database"];
    for name in ["missing.db", "link.db"] {
        all_refuse(&home, User::Myself, OsStr::new(name), &["ingest", "watch"], &words);
    }
    // `runs` lists the journals of a database that is gone, and so resolves the folder first.
    let skip = ["ingest", "watch", "runs"];
    all_refuse(&home, User::Myself, OsStr::new("text.db/below.db"), &skip, &words);
    let said = home.run(&["runs", "text.db/below.db"]);
    assert!(said.refusal().contains("text.db/below.db: Not a directory"), "{said:?}");
    let words = ["no such file", "there is no database", "check the path and who may use its folder"];
    all_refuse(&home, User::Myself, OsStr::new("nowhere/missing.db"), &[], &words);
}

#[test]
fn without_permission_it_says_so() {
    let home = Home::with_wal();
    home.document("a.md", "# A lock\n");
    let user = home.user_without_privileges();
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    set_mode(&home.db(), 0o000).expect("a mode");
    all_refuse(&home, user, OsStr::new("notes.db"), &[], &["no permission to read notes.db; run as"]);
    set_mode(&home.db(), 0o644).expect("a mode");
    set_mode(&home.at("notes"), 0o000).expect("a mode");
    let said = home.run_as(user, &["ingest", "notes", "--db", "new.db"]);
    set_mode(&home.at("notes"), 0o755).expect("a mode");
    assert!(said.refusal().contains("notes"), "{said:?}");
    assert!(!home.at("new.db").exists());
}

#[test]
fn a_folder_in_which_no_database_can_be_made_is_reported() {
    let home = Home::new();
    home.document("a.md", "# A lock\n");
    let user = if is_root() {
        home.let_another_in();
        User::Another
    } else {
        fs::set_permissions(home.folder(), fs::Permissions::from_mode(0o555)).expect("a mode");
        User::Myself
    };
    let before = Home::listing(&home.root());
    let said = home.run_as(user, &["ingest", "notes", "--db", "new.db"]);
    fs::set_permissions(home.folder(), fs::Permissions::from_mode(0o755)).expect("a mode");
    assert!(said.refusal().contains("; check the file, its folder"), "{said:?}");
    assert_eq!(
        Home::listing(&home.at("notes")).len() + 1,
        before.iter().filter(|line| line.contains("/work/")).count()
    );
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let home = Home::with_rollback();
    home.document("a.md", "# A lock\n");
    fs::create_dir(home.at("empty")).expect("a folder");
    fs::write(home.at("nothing.db"), "").expect("written");
    let before = Home::listing(&home.root());
    for (args, word) in [
        ("--frobnicate", "--frobnicate"),
        ("notes.db --read-only", "--readonly"),
        ("status notes.db --frobnicate", "--frobnicate"),
        ("status notes.db --jsn", "--json"),
        ("status notes.db --for", "a value is required"),
        ("status notes.db --for soon", "as in 500ms, 2s or 1m"),
        ("status notes.db --for 0s", "as in 500ms, 2s or 1m"),
        ("status notes.db --for=-2s", "as in 500ms, 2s or 1m"),
        ("status notes.db --for 5", "as in 500ms, 2s or 1m"),
        ("check notes.db --frobnicate", "--frobnicate"),
        ("check notes.db --fail-on never", "warning, error"),
        ("check notes.db --fail-on info", "warning, error"),
        ("check notes.db --for soon", "as in 500ms, 2s or 1m"),
        ("check notes.db --profile hardend", "there is no profile hardend; the nearest is hardened"),
        ("explain pined-wal", "there is no finding pined-wal; the nearest is pinned-wal"),
        ("explain pinned-wal lost-locks", "lost-locks"),
        ("explain --frobnicate", "--frobnicate"),
        ("checkpoint notes.db --frobnicate", "--frobnicate"),
        ("checkpoint notes.db --mode fast", "passive, full, restart, truncate"),
        ("checkpoint notes.db", "waltop fix"),
        ("checkpoint nothing.db", "is empty; "),
        ("search lock --db nothing.db", "nothing was ingested into"),
        ("safe notes.db", "--for <copy|vacuum|convert|restore>"),
        ("runs --db notes.db", "did you mean `waltop runs DB`?"),
        ("-x", "unexpected argument '-x'"),
        ("safe notes.db --for moving", "copy, vacuum, convert, restore"),
        ("safe --for copy", "<DB>"),
        ("wait notes.db", "--until <STATE>"),
        ("wait notes.db --until idle", "free, checkpointed"),
        ("wait notes.db --until free --timeout 0s", "as in 500ms, 2s or 1m"),
        ("wait --until free", "<DB>"),
        ("fix notes.db --frobnicate", "--frobnicate"),
        ("fix notes.db --yess", "--yes"),
        ("ingest", "<DIR>..."),
        ("ingest notes --frobnicate", "--frobnicate"),
        ("ingest notes --db new.db --batch 0", "give --batch auto or a number from 1"),
        ("ingest notes --db new.db --batch many", "give --batch auto or a number from 1"),
        ("ingest notes --db new.db --batch -3", "give --batch auto or a number from 1"),
        ("search lock --db notes.db --limit -3", "invalid value '-3' for '--limit"),
        ("ingest notes --db new.db --batch=-5", "give --batch auto or a number from 1"),
        ("ingest notes --db new.db --root ../up", "give --root a name"),
        ("ingest empty --db new.db", "no documents in"),
        ("ingest empty", "no documents in"),
        ("ingest nowhere --db new.db", "there is no folder nowhere; check the path"),
        ("ingest notes/a.md --db new.db", "is not a folder"),
        ("search", "<QUERY>..."),
        ("search lock --frobnicate", "--frobnicate"),
        ("search lock --db notes.db", "nothing was ingested into"),
        ("search ... --db notes.db", "give at least one letter or digit"),
        ("search lock --db notes.db --limit 0", "--limit"),
        ("search lock --db notes.db --limit many", "--limit"),
        ("demo --frobnicate", "--frobnicate"),
        ("demo extra", "extra"),
        ("help nosuch", "nosuch"),
        ("statsu", "no such file or command: statsu; "),
        ("--readonly status notes.db", "`waltop status …`"),
    ] {
        let words: Vec<&str> = args.split(' ').collect();
        let said = home.run(&words);
        assert!(said.refusal().contains(word), "{args}: {said:?}");
        assert_eq!(Home::listing(&home.root()), before, "{args}");
    }
}

#[test]
fn without_a_name_and_without_a_default_there_is_advice() {
    let home = Home::new();
    let cli = Cli::command();
    let takes_databases = |it: &&clap::Command| it.get_arguments().any(|it| it.get_id() == "databases");
    for command in cli.get_subcommands().filter(takes_databases).map(clap::Command::get_name) {
        // Two read a recording, and one the machine.
        if ["who", "report", "doctor"].contains(&command) {
            continue;
        }
        // It has one format, which is to be named.
        let args = if command == "stream" { vec![command, "--json"] } else { vec![command] };
        let said = home.run(&args);
        let line = said.refusal();
        assert!(line.contains("data/waltop/waltop.db yet; name one"), "{line}");
    }
    let said = home.run(&["search", "lock"]);
    assert!(said.refusal().contains("make it with `waltop ingest DIR"), "{said:?}");
    assert_eq!(Home::listing(&home.root()).len(), 1, "the folder is all there is");
}

#[test]
fn a_database_that_may_only_be_read_is_reported_with_both_ways_out() {
    let home = Home::with_wal();
    home.document("a.md", "# A lock\n");
    let user = if is_root() {
        home.let_another_in();
        for path in [home.folder(), home.db()] {
            chown(path, Some(ANOTHER), Some(ANOTHER)).expect("an owner");
        }
        User::Another
    } else {
        User::Myself
    };
    fs::set_permissions(home.db(), fs::Permissions::from_mode(0o444)).expect("a mode");
    let said = home.run_as(user, &["ingest", "notes", "--db", "notes.db"]);
    assert!(said.refusal().ends_with("; make it writable, or run waltop as its owner"), "{said:?}");
}

#[test]
fn a_new_database_is_not_mixed_with_another_programs_log() {
    for suffix in ["-wal", "-shm", "-journal"] {
        let home = Home::new();
        home.document("a.md", "# A lock\n");
        let stray = home.at(&format!("new.db{suffix}"));
        fs::write(&stray, "somebody's").expect("written");
        symlink("new.db", home.at("link.db")).expect("linked");
        let before = Home::listing(&home.root());
        for name in ["new.db", "link.db"] {
            let said = home.run(&["ingest", "notes", "--db", name]);
            let line = said.refusal();
            assert!(line.contains(&format!("{} is still there; ", stray.display())), "{line}");
            assert_eq!(Home::listing(&home.root()), before, "{name} {suffix}");
        }
    }
}

#[test]
fn the_console_and_the_demo_want_a_terminal() {
    let home = Home::with_wal();
    let before = Home::listing(&home.root());
    for args in [&[][..], &["notes.db"], &["--readonly", "notes.db"], &["demo"]] {
        let said = home.run(args);
        assert!(said.refusal().contains("terminal; "), "{args:?}: {said:?}");
        assert_eq!(Home::listing(&home.root()), before, "{args:?}");
    }
}

#[test]
fn where_no_journal_can_be_kept_no_database_is_made() {
    let home = Home::with_rollback();
    home.document("a.md", "# A lock\n");
    let user = home.user_without_privileges();
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    fs::create_dir_all(home.root().join("state")).expect("a folder");
    set_mode(&home.folder(), 0o777).expect("a mode");
    set_mode(&home.root().join("state"), 0o555).expect("a mode");
    for args in [&["ingest", "notes", "--db", "new.db"][..], &["ingest", "notes"]] {
        let before = Home::listing(&home.root());
        let said = home.run_as(user, args);
        let line = said.refusal();
        assert!(line.contains("cannot write the journal in") && line.contains("; make the folder"), "{line}");
        assert_eq!(line.matches("ermission denied").count(), 1, "said once: {line}");
        assert_eq!(Home::listing(&home.root()), before, "{args:?}");
    }
    let said = home.run_as(user, &["status", "notes.db"]);
    set_mode(&home.root().join("state"), 0o755).expect("a mode");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "a look needs no state: {said:?}");
}

#[test]
fn a_usage_error_points_to_the_help_of_its_command() {
    let home = Home::with_wal();
    for (args, help) in [
        (&["status", "--nope"][..], "; see waltop status --help"),
        (&["search", "--limit", "0", "zebra"], "; see waltop search --help"),
        (&["--nope"], "; see waltop --help"),
    ] {
        let said = home.run(args);
        assert!(said.refusal().ends_with(help), "{args:?}: {said:?}");
    }
}

#[test]
fn a_mistyped_command_or_file_is_answered_with_the_nearest() {
    let home = Home::with_wal();
    for (args, nearest) in [
        (&["chek"][..], "did you mean `waltop check`?"),
        (&["statsu"], "did you mean `waltop status`?"),
        (&["kill", "12"], "did you mean `waltop reap`?"),
        (&["help", "chek"], "did you mean `waltop help check`?; see waltop --help"),
        (&["help", "nonsense"], "unrecognized subcommand 'nonsense'; see waltop --help"),
        (&["check", "--for", "-1s", "notes.db"], "'-1s': give a number, a time or a size without a sign"),
        (
            &["ingest", "--max-file-size", "-1MB", "notes"],
            "'-1MB': give a number, a time or a size without a sign",
        ),
        (&["log"], "did you mean `waltop runs`?"),
        (&["version"], "did you mean `waltop --version`?"),
        (&["--db", "notes.db"], "did you mean `waltop DB`?; see waltop --help"),
        (&["ps"], "did you mean `waltop status`?"),
        (&["--jsn"], "did you mean `waltop status --json`?; see waltop --help"),
        (&["ingest", "--watch", "notes"], "did you mean `waltop watch`?; see waltop ingest --help"),
        (&["books of 2026.db"], "2026.db; to begin one: waltop ingest FOLDER --db 'books of 2026.db'"),
        (&["reap", "--pid", "abc"], "give the PID of a process, a number; see waltop reap --help"),
        (&["notse.db"], "did you mean notes.db? To begin one: waltop ingest FOLDER --db notse.db"),
        (&["help", "statu"], "did you mean `waltop help status`?; see waltop --help"),
        (&["statu"], "did you mean `waltop status`?"),
        (&["status", "note.db"], "did you mean notes.db?"),
        (&["new.db"], "no such file: new.db; to begin one: waltop ingest FOLDER --db new.db"),
        (&["nowhere/new.db"], "no such file: nowhere/new.db; name a SQLite database that exists"),
        (&["status", "missing.db"], "name a SQLite database that exists"),
        (&["zebra"], "name a SQLite database that exists, or see waltop --help"),
    ] {
        let said = home.run(args);
        assert!(said.refusal().ends_with(nearest), "{args:?}: {said:?}");
    }
}
