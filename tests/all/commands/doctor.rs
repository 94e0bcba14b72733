//! What waltop says of this machine: as root and as another user, and where namespaces and mounts hide something.

use super::*;
use crate::namespace::{ALONE, Namespace, may_be_alone};

/// The rows of a report, and its exit code.
struct Report {
    /// `None` where several were started by one shell.
    code: Option<i32>,
    json: Value,
}

impl Report {
    fn of(output: &std::process::Output) -> Self {
        assert!(output.stderr.is_empty(), "{output:?}");
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_keeps_to_its_schema(&["doctor", "--json"], &json);
        Self { code: output.status.code(), json }
    }

    fn row(&self, subject: &str) -> &Value {
        let rows = self.json["checks"].as_array().expect("rows");
        rows.iter().find(|row| row["subject"] == subject).expect("a row")
    }

    fn state(&self, subject: &str) -> &str {
        self.row(subject)["state"].as_str().expect("a state")
    }

    fn limits(&self, subject: &str) -> Vec<&str> {
        let limits = self.row(subject)["limits"].as_array().expect("limits");
        limits.iter().map(|limit| limit["kind"].as_str().expect("a kind")).collect()
    }
}

/// `waltop doctor --json`, started by `launcher`.
fn doctor(home: &Home, launcher: &[&str], program: &Path) -> Report {
    let program = program.to_str().expect("text");
    let words: Vec<&str> = launcher.iter().copied().chain([program, "doctor", "--json"]).collect();
    let mut command = home.command(Path::new(words[0]));
    Report::of(&command.args(&words[1..]).output().expect("it starts"))
}

/// Starts what follows as another user. It keeps no capability.
fn as_another() -> [String; 4] {
    [
        "setpriv".to_owned(),
        format!("--reuid={ANOTHER}"),
        format!("--regid={ANOTHER}"),
        "--clear-groups".to_owned(),
    ]
}

const CAPABLE: [&str; 4] =
    ["--inh-caps", "+sys_ptrace,+dac_read_search", "--ambient-caps", "+sys_ptrace,+dac_read_search"];

/// Whether this machine lets root become another user that keeps capabilities; a word about it if not.
fn may_be_another() -> bool {
    let another = as_another();
    let mut command = Command::new(&another[0]);
    let output = command.args(&another[1..]).args(CAPABLE).arg("true").output();
    let can = output.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("not tested: setpriv cannot make another user with capabilities");
    }
    can
}

/// Mounts the `/proc` of a namespace again, so that it hides processes.
const HIDE: &str = "mount -o remount,hidepid=2 /proc";

fn may_hide_processes() -> bool {
    let output = Command::new(ALONE[0]).args(&ALONE[1..]).args(["sh", "-c", HIDE]).output();
    let can = output.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("not tested: /proc cannot be mounted with hidepid");
    }
    can
}

#[test]
fn nothing_is_changed_and_the_exit_code_is_that_of_the_verdict() {
    let home = Home::with_wal();
    let before = Home::listing(&home.root());
    let said = home.run(&["doctor", "notes.db", "--json"]);
    assert_eq!(Home::listing(&home.root()), before);
    let report = said.json();
    let wanted = match report["verdict"].as_str().expect("a verdict") {
        "open" => 0,
        "limited" => 1,
        _ => 2,
    };
    assert_eq!(said.code, Some(wanted), "{said:?}");
    let rows = report["checks"].as_array().expect("rows");
    let database = rows.iter().find(|row| row["subject"] == "database").expect("a row");
    assert_eq!(database["path"].as_str(), home.db().to_str());
    assert!(database["here"].as_str().is_some_and(|here| here.contains(" is on ")), "{database}");
    let text = home.run(&["doctor", "notes.db"]);
    assert_eq!(text.code, Some(wanted));
    // A command stays in one line, so that it can be copied.
    let mut prose = text.out.lines().filter(|line| !line.trim_start().starts_with("command  "));
    assert!(prose.all(|line| line.chars().count() < 80), "{}", text.out);
    for row in rows {
        let subject = row["subject"].as_str().expect("text").replace('_', " ");
        let names = |line: &str| {
            line.split_once(' ').is_some_and(|(state, rest)| {
                !state.is_empty() && rest.trim_start().starts_with(&format!("{subject} "))
            })
        };
        assert!(text.out.lines().any(names), "{subject}: {}", text.out);
    }
}

#[test]
fn root_sees_what_another_user_does_not_and_capabilities_replace_root() {
    if !may_be_alone() || !may_be_another() {
        return;
    }
    let home = Home::new();
    home.let_another_in();
    // In a namespace whose first process is this shell of root's.
    let reports = alone(&home, |program| {
        let another = as_another().join(" ");
        let capable = CAPABLE.join(" ");
        [
            program.to_owned(),
            format!("{another} {program}"),
            format!("{another} --inh-caps +dac_read_search --ambient-caps +dac_read_search {program}"),
            format!("{another} {capable} {program}"),
        ]
    });
    let [root, another, part, capable] = reports;
    assert_eq!((root.state("user"), root.limits("user")), ("open", Vec::new()), "{}", root.json);
    assert_eq!(another.limits("user"), ["hidden_files"], "{}", another.json);
    assert_eq!(another.row("user")["limits"][0]["command"], "sudo waltop");
    assert_eq!(
        part.limits("user"),
        ["hidden_files"],
        "it lists descriptors and does not see them: {}",
        part.json
    );
    assert_eq!(capable.limits("user"), Vec::<&str>::new(), "{}", capable.json);
}

/// The reports of some command lines, which `lines` makes of the program, in a PID namespace of their own.
fn alone<const N: usize>(home: &Home, lines: impl Fn(&str) -> [String; N]) -> [Report; N] {
    let program = home.root().join("waltop");
    let each = lines(program.to_str().expect("text")).map(|line| format!("{line} doctor --json; echo ,"));
    // The shell stays the first process.
    let script = format!("{}\ntrue", each.join("\n"));
    let mut command = home.command(Path::new(ALONE[0]));
    let output = command.args(&ALONE[1..]).args(["sh", "-c", &script]).output().expect("it starts");
    let (text, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(err, "");
    let reports: Vec<Value> =
        serde_json::from_str(&format!("[{}]", text.trim_end().trim_end_matches(','))).expect("reports");
    let reports: Vec<Report> = reports.into_iter().map(|json| Report { code: None, json }).collect();
    reports.try_into().unwrap_or_else(|_| panic!("{text}"))
}

#[test]
fn hidepid_hides_processes_from_another_user_and_not_from_root() {
    if !may_be_alone() || !may_be_another() || !may_hide_processes() {
        return;
    }
    let home = Home::new();
    home.let_another_in();
    let reports = alone(&home, |program| {
        [format!("{HIDE} && {program}"), format!("{} {program}", as_another().join(" "))]
    });
    let [root, another] = reports;
    assert_eq!(root.limits("processes"), Vec::<&str>::new(), "{}", root.json);
    assert!(root.row("processes")["here"].as_str().is_some_and(|it| it.contains("hidepid=")));
    assert_eq!(another.limits("processes"), ["hidden_processes"], "{}", another.json);
    // It does not even see those that it could not look into.
    assert_eq!(another.limits("user"), Vec::<&str>::new());
    assert_eq!(another.limits("namespaces")[0], "pid_namespace");
}

#[test]
fn a_pid_namespace_hides_what_is_outside_and_closes_the_trace() {
    if !may_be_alone() {
        return;
    }
    let home = Home::new();
    let report = doctor(&home, &ALONE, Path::new(WALTOP));
    assert_eq!(report.code, Some(1));
    assert_eq!(report.limits("namespaces")[0], "pid_namespace");
    assert_eq!(report.limits("trace"), ["trace_elsewhere"]);
    assert_eq!(report.state("processes"), "open", "those inside are seen");
}

#[test]
fn a_read_only_proc_limits_nothing_but_the_settings_of_the_kernel() {
    let home = Home::new();
    let script = "mount --bind /proc /proc; mount -o remount,bind,ro /proc";
    let Some(namespace) = Namespace::new("a read-only /proc", script, &home.folder()) else { return };
    let here = doctor(&home, &[], Path::new(WALTOP));
    let report = doctor(&home, &namespace.launcher(), Path::new(WALTOP));
    let is_read_only = |report: &Report| {
        report.row("processes")["here"].as_str().is_some_and(|it| it.contains("it is read-only"))
    };
    assert!(is_read_only(&report) && !is_read_only(&here), "{}", report.json);
    for subject in ["user", "processes", "lock_table", "system_calls", "trace", "inotify", "state_folder"] {
        assert_eq!(report.limits(subject), here.limits(subject), "{subject}");
    }
    // Only where the first process shows its own mounts.
    let is_shown = fs::read_link("/proc/1/ns/mnt").is_ok();
    assert_eq!(report.limits("namespaces").contains(&"mount_namespace"), is_shown);
}

#[test]
fn a_container_that_may_not_set_the_kernel_is_recognized() {
    let home = Home::new();
    let script = "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys";
    let Some(namespace) = Namespace::new("a read-only /proc/sys", script, &home.folder()) else { return };
    let here = |report: &Report| report.row("processes")["here"].as_str().expect("text").to_owned();
    let inside = here(&doctor(&home, &namespace.launcher(), Path::new(WALTOP)));
    assert!(inside.ends_with("/proc/sys is read-only"), "{inside}");
}

#[test]
fn a_read_only_mount_and_a_file_system_of_a_program_are_named() {
    let home = Home::with_wal();
    let script = "mkdir ro; cp notes.db ro/; mount --bind ro ro; mount -o remount,bind,ro ro";
    let Some(namespace) = Namespace::new("a read-only mount", script, &home.folder()) else { return };
    let words = namespace.launcher();
    let mut command = home.command(Path::new(words[0]));
    let output =
        command.args(&words[1..]).args([WALTOP, "doctor", "--json"]).arg(home.at("ro/notes.db")).output();
    let report = Report::of(&output.expect("it starts"));
    assert_eq!((report.limits("database"), report.state("database")), (vec!["read_only_filesystem"], "note"));
    let command = &report.row("database")["limits"][0]["command"];
    assert!(
        command.as_str().is_some_and(|it| it.contains("remount,rw ") && it.ends_with("/ro")),
        "{command}"
    );
}

#[test]
fn settings_that_are_not_valid_and_a_state_folder_of_others_are_rows() {
    let home = Home::new();
    home.set("theme = 'drak'");
    fs::create_dir(home.root().join("state")).expect("a folder");
    fs::set_permissions(home.root().join("state"), fs::Permissions::from_mode(0o777)).expect("a mode");
    let said = home.run(&["doctor", "--json"]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{said:?}");
    let report = Report { code: said.code, json: said.json() };
    assert_eq!(report.limits("settings"), ["bad_settings"]);
    assert!(report.row("settings")["here"].as_str().is_some_and(|it| it.contains("line 1: `theme`")));
    assert_eq!(report.limits("state_folder"), ["no_state_folder"]);
    assert!(report.row("state_folder")["here"].as_str().is_some_and(|it| it.contains("mode 777")));
}
