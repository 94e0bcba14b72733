//! What clients map, how often they open the database, and what the file keeps.

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use super::*;
use crate::namespace::Namespace;

/// Opens the database `count` times more on the connection of `actor`, each time with a descriptor of its own.
fn attach(actor: &mut Actor, path: &Path, count: std::ops::Range<usize>) {
    for number in count {
        actor.sql(&format!("ATTACH '{}' AS more{number}", path.display()));
    }
}

#[test]
fn a_client_that_maps_the_database() {
    let scene = Scene::new("wal");
    let (mut plain, mut mapping) = (scene.actor(), scene.actor());
    plain.sql("PRAGMA mmap_size = 0").sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    mapping.sql("PRAGMA mmap_size = 1048576").sql("SELECT * FROM t");
    let finding = found(&mut watch, FindingKind::MappedDatabase, Some(mapping.pid()));
    assert_eq!((finding.severity, finding.remedy.command), (Severity::Warning, None));
    // Under a profile that wants it, nothing is wrong with it.
    assert_healthy(&mut scene.watch_with(|config| {
        let wanted = config.profile.pragmas.iter_mut().find(|it| it.name == "mmap_size").expect("it cares");
        wanted.expected = "268435456".to_owned();
    }));
    mapping.close();
    assert_healthy(&mut watch);
}

#[test]
fn a_client_with_many_descriptors() {
    let scene = Scene::new("wal");
    let mut client = scene.actor();
    client.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert!(look(&mut watch).handle_growth.is_empty());
    attach(&mut client, &scene.path(), 0..7);
    // The healthy twin has as many as are allowed, and got them at one go.
    assert_healthy(&mut watch);
    let growth = look(&mut watch).handle_growth;
    assert_eq!(growth.len(), 1);
    assert_eq!((growth[0].pid, growth[0].from, growth[0].to, growth[0].rises), (client.pid(), 1, 8, 1));
    attach(&mut client, &scene.path(), 7..8);
    let finding = found(&mut watch, FindingKind::ManyHandles, Some(client.pid()));
    assert_eq!(finding.evidence["descriptors"], 9);
    assert_eq!(look(&mut watch).handle_growth[0].rises, 2);
    client.close();
    assert_healthy(&mut watch);
    assert!(look(&mut watch).handle_growth.is_empty());
}

/// Changes the soft limit of `actor` on `resource`; its hard limit is that of the test.
fn set_limit(actor: &Actor, resource: Resource, current: Option<u64>) {
    let pid = Pid::from_raw(actor.pid()).expect("a PID");
    let maximum = getrlimit(resource).maximum;
    prlimit(Some(pid), resource, Rlimit { current, maximum }).expect("it is ours");
}

#[test]
fn a_client_at_a_limit() {
    let scene = Scene::new("wal");
    let (mut client, mut other) = (scene.actor(), scene.actor());
    client.sql("SELECT * FROM t");
    other.sql("SELECT * FROM t");
    assert_healthy(&mut scene.patient());
    let used = fs::read_dir(format!("/proc/{}/fd", client.pid())).expect("it lives").count() as u64;
    set_limit(&client, Resource::Nofile, Some(used));
    let mut watch = scene.patient();
    let finding = found(&mut watch, FindingKind::ProcessLimit, Some(client.pid()));
    assert_eq!((&finding.evidence["descriptors"], &finding.evidence["limit"]), (&used.into(), &used.into()));
    set_limit(&client, Resource::Nofile, Some(used + 100));
    assert_healthy(&mut scene.patient());
    set_limit(&client, Resource::Fsize, Some(1000));
    let finding = found(&mut scene.patient(), FindingKind::ProcessLimit, Some(client.pid()));
    assert_eq!(finding.evidence["limit"], 1000);
}

#[test]
fn a_process_whose_temporary_folder_is_full() {
    let scene = Scene::new("wal");
    let script = "mkdir small; mount -t tmpfs -o size=64k none small";
    let folder = scene.folder.path().canonicalize().expect("there");
    let Some(namespace) = Namespace::new("a small file system", script, &folder) else { return };
    let variable = format!("SQLITE_TMPDIR={}/small", folder.display());
    let launcher = [&namespace.launcher()[..], &["env", &variable]].concat();
    let (mut client, mut healthy) = (Actor::open_through(&launcher, &scene.path()), scene.actor());
    client.sql("SELECT * FROM t");
    healthy.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    let finding = found(&mut watch, FindingKind::ProcessLimit, Some(client.pid()));
    assert_eq!(finding.severity, Severity::Info, "it has no temporary file open");
    assert_eq!(finding.evidence["temporary_folder"], format!("{}/small", folder.display()));
    assert_eq!(finding.evidence["bytes"], 64 << 10);
    let twin = look(&mut watch).process(healthy.pid()).and_then(|it| it.temp_folder.clone());
    assert!(twin.is_some_and(|folder| folder.free_bytes > 64 << 10));
    client.close();
    assert!(!has(&look(&mut watch), FindingKind::ProcessLimit));
}

#[test]
fn a_database_that_many_processes_have_open() {
    let scene = Scene::new("wal");
    let open = || {
        let mut actor = scene.actor();
        actor.sql("SELECT * FROM t");
        actor
    };
    let mut actors: Vec<Actor> = (0..20).map(|_| open()).collect();
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    actors.push(open());
    let finding = found(&mut watch, FindingKind::ManyHandles, None);
    let mut pids: Vec<i32> = actors.iter().map(Actor::pid).collect();
    pids.sort_unstable();
    assert_eq!(finding.evidence["processes"], serde_json::json!(pids));
}

#[test]
fn a_client_that_sets_nothing() {
    let scene = Scene::new("wal");
    let mut watch = scene.patient();
    assert!(!has(&look(&mut watch), FindingKind::BareClient), "there is no client");
    let mut client = scene.actor();
    client.sql("SELECT * FROM t");
    let finding = found(&mut watch, FindingKind::BareClient, None);
    assert_eq!(finding.severity, Severity::Info);
    assert_eq!(finding.evidence["gets"]["busy_timeout"], "0");
    // A profile that asks for no more than the defaults finds nothing.
    let mut watch = scene.watch_with(|config| config.profile.pragmas.retain(|it| it.name == "journal_mode"));
    assert!(look(&mut watch).findings.is_empty());
}

#[test]
fn a_file_that_keeps_what_the_profile_does_not_want() {
    let scene = Scene::new("delete");
    let mut client = scene.actor();
    client.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    let finding = found(&mut watch, FindingKind::PragmaMismatch, None);
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(finding.evidence["keeps"], serde_json::json!({"journal_mode": "rollback"}));
    assert_eq!(finding.remedy.command, Some(format!("waltop fix {}", scene.path().display())));
    // Where it is shared another finding says so, and more.
    let other = scene.actor();
    found(&mut watch, FindingKind::RollbackJournal, None);
    other.close();
    client.sql("PRAGMA journal_mode = wal").sql("SELECT * FROM t");
    assert_healthy(&mut watch);
}
