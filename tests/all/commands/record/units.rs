//! The systemd units: what systemd says of them, and a recorder with the capabilities of the system's unit.

use super::*;
use crate::namespace::may_change_namespaces;

const UNITS: [(&str, &str, &str); 2] = [
    // The exposure level times ten that `systemd-analyze security` may give at most. A unit of a user has no capabilities
    // to drop, and systemd counts them all the same.
    ("waltop-record.service", "--system", "35"),
    ("waltop-record.user.service", "--user", "65"),
];

fn unit(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/systemd").join(name);
    fs::read_to_string(path).expect("there")
}

/// The values of `key` in a unit.
fn values(unit: &str, key: &str) -> Vec<String> {
    let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned());
    unit.lines().filter_map(value).collect()
}

#[test]
fn the_units_hide_nothing_that_a_recorder_must_see_and_reload_it() {
    for (name, ..) in UNITS {
        let text = unit(name);
        for hidden in [
            "ProtectProc",
            "ProcSubset",
            "ProtectHome",
            "PrivateTmp",
            "PrivateUsers",
            "PrivateNetwork",
            "ProtectKernelTunables",
            "DynamicUser",
        ] {
            assert!(values(&text, hidden).is_empty(), "{name}: {hidden}");
        }
        assert_eq!(values(&text, "ExecReload"), ["/bin/kill -HUP $MAINPID"], "{name}");
        assert_eq!(values(&text, "Type"), ["exec"], "{name}");
    }
    let capabilities = values(&unit(UNITS[0].0), "CapabilityBoundingSet");
    assert_eq!(capabilities, ["CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"]);
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("not tested: there is no systemd-analyze");
        return;
    }
    let home = Home::new();
    for (name, manager, exposure) in UNITS {
        let text = unit(name);
        let program = values(&text, "ExecStart").remove(0);
        let program = program.split(' ').next().expect("a program");
        // The program need not be installed here, and both units have one name where they are.
        let path = home.at("waltop-record.service");
        fs::write(&path, text.replace(program, WALTOP)).expect("written");
        let analyze = |args: &[&str]| {
            let mut command = home.command(Path::new("systemd-analyze"));
            let output = command.env("XDG_RUNTIME_DIR", home.folder()).arg(manager).args(args).arg(&path);
            output.output().expect("it runs")
        };
        let verified = analyze(&["verify"]);
        assert!(verified.status.success() && verified.stderr.is_empty(), "{name}: {verified:?}");
        let rated = analyze(&["security", "--offline=yes", "--threshold", exposure]);
        assert!(rated.status.success(), "{name}: {}", String::from_utf8_lossy(&rated.stdout));
    }
}

/// The drop-in of docs/monitoring.md.
fn drop_in() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring.md");
    let text = fs::read_to_string(path).expect("there");
    let (_, rest) = text.split_once("```ini\n").expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

#[test]
fn the_drop_in_for_a_listener_is_one_that_systemd_accepts() {
    let unix = "RestrictAddressFamilies";
    assert_eq!(
        (values(&unit(UNITS[0].0), unix), values(&drop_in(), unix)),
        (vec!["AF_UNIX".to_owned()], vec!["AF_INET".to_owned()])
    );
    let own = values(&unit(UNITS[0].0), "ExecStart").remove(0);
    let expected = vec![String::new(), format!("{own} --listen 127.0.0.1:9464")];
    assert_eq!(values(&drop_in(), "ExecStart"), expected, "the command of the unit, and the option");
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("not tested: there is no systemd-analyze");
        return;
    }
    let home = Home::new();
    let program = own.split(' ').next().expect("a program");
    let path = home.at("waltop-record.service");
    fs::write(&path, unit(UNITS[0].0).replace(program, WALTOP)).expect("written");
    fs::create_dir(home.at("waltop-record.service.d")).expect("a folder");
    let verified = |text: &str| {
        let drop_in = home.at("waltop-record.service.d/listen.conf");
        fs::write(drop_in, text.replace(program, WALTOP)).expect("written");
        let mut command = home.command(Path::new("systemd-analyze"));
        let output = command.args(["--system", "verify"]).arg(&path).output().expect("it runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let wrong = drop_in().replace("AF_INET", "AF_NONE_OF_THESE");
    assert!(verified(&wrong).contains("AF_NONE_OF_THESE"), "drop-ins are read");
    assert_eq!(verified(&drop_in()), "");
}

/// The PIDs of the processes in the newest sample, and whether it saw all there is.
fn seen(folder: &Path) -> Option<(Vec<i64>, bool)> {
    let line = lines_in(folder).into_iter().rfind(|line| line["event"] == "snapshot")?;
    let processes = line["snapshot"]["databases"][0]["processes"].as_array()?;
    let pids = processes.iter().filter_map(|it| it["pid"].as_i64()).collect();
    Some((pids, line["snapshot"]["unseen"].as_array()?.is_empty()))
}

#[test]
fn the_capabilities_of_the_unit_show_the_processes_and_files_of_other_users() {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !may_change_namespaces() || !has("setpriv") {
        eprintln!("not tested: only root may give up capabilities, by setpriv");
        return;
    }
    let home = Home::with_wal();
    home.let_another_in();
    for path in [home.db(), home.folder()] {
        std::os::unix::fs::chown(path, Some(ANOTHER), Some(ANOTHER)).expect("an owner");
    }
    fs::set_permissions(home.folder(), fs::Permissions::from_mode(0o700)).expect("a mode");
    let as_another = home.root().join("as-another");
    let program = home.root().join("waltop");
    let script = format!(
        "#!/bin/sh\nexec setpriv --reuid={ANOTHER} --regid={ANOTHER} --clear-groups {} \"$@\"\n",
        program.display()
    );
    fs::write(&as_another, script).expect("written");
    fs::set_permissions(&as_another, fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut holder = Actor::open_by(&as_another, &home.db(), "theirs");
    holder.sql("BEGIN IMMEDIATE");
    let record = |capabilities: &str| {
        let folder = home.root().join(format!("recordings{}", capabilities.len()));
        let mut command = home.command(Path::new("unshare"));
        command.args(["--mount", "--propagation", "slave", "setpriv", "--no-new-privs", "--bounding-set"]);
        command.arg(format!("-all{capabilities}")).args([WALTOP, "record", "notes.db", "--dir"]);
        command.arg(&folder).env("XDG_STATE_HOME", home.root().join("state-of-root"));
        let options = ["--every", "100ms", "--trace", "off", "--min-free", "1B"];
        let recorder = recording_by(command, &options);
        let seen = eventually("it has written a sample", || seen(&folder));
        assert_eq!(recorder.end_by(Signal::TERM), Some(0));
        seen
    };
    let capabilities = values(&unit(UNITS[0].0), "CapabilityBoundingSet").remove(0).to_lowercase();
    let of_unit: String = capabilities.split(' ').map(|it| it.replace("cap_", ",+")).collect();
    assert_eq!(record(&of_unit), (vec![i64::from(holder.pid())], true));
    let (_, is_complete) = record(",+dac_read_search");
    assert!(!is_complete, "without CAP_SYS_PTRACE it knows what it does not see");
}
