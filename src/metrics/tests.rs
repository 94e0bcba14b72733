use super::*;
use crate::{
    diagnose::fixture,
    history::{LockOwner, SampledLock},
    snapshot::{Database, TraceFacts},
};

/// A meter of some databases, and their histories.
struct Fixture {
    meter: MetricsMeter,
    snapshot: Snapshot,
    histories: Vec<Arc<Mutex<LockHistory>>>,
    start: Instant,
    is_written: Option<bool>,
    memory_bytes: Option<u64>,
}

impl Fixture {
    fn new(databases: Vec<Database>) -> Self {
        let histories = databases.iter().map(|_| Arc::default()).collect();
        Self {
            meter: MetricsMeter::new(fixture::at(0)),
            snapshot: fixture::snapshot(databases),
            histories,
            start: Instant::now(),
            is_written: None,
            memory_bytes: None,
        }
    }

    /// The text in the plain format, `seconds` after the start.
    fn tick(&mut self, seconds: u64) -> String {
        let input = MeterInput {
            snapshot: &self.snapshot,
            histories: &self.histories,
            now: self.start + Duration::from_secs(seconds),
            has_lock_table: true,
            unseen_processes: Some(2),
            is_written: self.is_written,
            cost: SampleCost { memory_bytes: self.memory_bytes, ..SampleCost::default() },
        };
        self.meter.tick(&input).plain.to_string()
    }

    fn hold(&self, program: &str, from: u64, to: u64) {
        let who = LockOwner { pid: Some(71_201), program: program.into(), ..LockOwner::default() };
        let mut history = threads::lock(&self.histories[0]);
        history.open(SampledLock::Write, self.start + Duration::from_secs(from), who.into());
        history.close(SampledLock::Write, self.start + Duration::from_secs(to));
    }
}

/// The value of a series; `None` if it has no line.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|it| it.starts_with(' ')))?;
    line[series.len()..].trim().parse().ok()
}

#[test]
fn the_figures_of_a_sample_have_their_series() {
    let mut database = fixture::live();
    database.findings = fixture::findings_of(&fixture::pinned());
    let mut it = Fixture::new(vec![database]);
    let text = it.tick(0);
    for (series, expected) in [
        (r#"waltop_database_sampled{db="/srv/notes.db"}"#, 1.0),
        (r#"waltop_wal_frames{db="/srv/notes.db"}"#, 19_031.0),
        (r#"waltop_wal_pending_frames{db="/srv/notes.db"}"#, 31.0),
        (r#"waltop_write_lock_held{db="/srv/notes.db"}"#, 1.0),
        (r#"waltop_readers{db="/srv/notes.db"}"#, 1.0),
        (r#"waltop_oldest_reader_seconds{db="/srv/notes.db"}"#, 0.05),
        (r#"waltop_processes{db="/srv/notes.db"}"#, 2.0),
        ("waltop_unseen_processes", 2.0),
        ("waltop_trace_active", 0.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series}: {text}");
    }
    let pinned =
        text.lines().filter(|line| line.starts_with("waltop_findings{") && line.contains("pinned-wal"));
    assert_eq!(pinned.count(), 1, "{text}");
}

#[test]
fn what_is_not_known_has_no_series() {
    let mut database = fixture::live();
    (database.files.wal, database.wal) = (None, None);
    database.is_complete = false;
    let mut it = Fixture::new(vec![database]);
    let text = it.tick(0);
    for name in [
        "waltop_wal_size_bytes",
        "waltop_wal_frames",
        "waltop_write_lock_held{",
        "waltop_readers",
        "waltop_oldest_reader_seconds",
        "waltop_lock_refusals_total",
        "waltop_trace_requests_total",
        "waltop_ingestion_running",
        "waltop_recording",
        "waltop_resident_memory_bytes",
    ] {
        assert!(!text.contains(name), "{name}: {text}");
    }
}

#[test]
fn refusals_are_counted_only_while_the_trace_shows_them() {
    let mut it = Fixture::new(vec![fixture::live()]);
    let series = r#"waltop_lock_refusals_total{db="/srv/notes.db",process="sh"}"#;
    it.hold("sh", 0, 0);
    it.tick(0);
    it.hold("sh", 1, 2);
    let text = it.tick(3);
    assert_eq!(value(&text, series), None, "{text}");
    it.snapshot.trace = Some(TraceFacts { requests: 7, ..TraceFacts::default() });
    let text = it.tick(4);
    assert_eq!(value(&text, series), Some(0.0), "{text}");
    assert_eq!(value(&text, "waltop_trace_requests_total"), Some(7.0));
    // Another trace counts from 0.
    it.snapshot.trace = Some(TraceFacts { requests: 2, ..TraceFacts::default() });
    assert_eq!(value(&it.tick(5), "waltop_trace_requests_total"), Some(9.0));
}

#[test]
fn a_counter_goes_on_where_it_was_when_its_database_comes_back() {
    let mut it = Fixture::new(vec![fixture::live()]);
    let series = r#"waltop_write_lock_held_seconds_total{db="/srv/notes.db",process="sh"}"#;
    it.tick(0);
    it.hold("sh", 1, 3);
    assert_eq!(value(&it.tick(4), series), Some(2.0));
    let databases = std::mem::take(&mut it.snapshot.databases);
    assert_eq!(value(&it.tick(5), series), None, "it is not sampled");
    (it.snapshot.databases, it.histories) = (databases, vec![Arc::default()]);
    it.tick(6);
    it.hold("sh", 7, 8);
    assert_eq!(value(&it.tick(9), series), Some(3.0));
}

#[test]
fn a_count_that_begins_again_is_added() {
    let mut count = RisingCount::default();
    for reached in [5, 5, 9, 2, 3] {
        count.reaches(reached);
    }
    assert_eq!(count.total, 12);
}

#[test]
fn two_paths_with_the_same_text_have_two_labels() {
    let (mut one, mut other) = (fixture::live(), fixture::live());
    one.path = "/srv/a\nb.db".into();
    other.path = "/srv/a b.db".into();
    let text = Fixture::new(vec![one, other]).tick(0);
    for db in ["/srv/a b.db", "/srv/a b.db (2)"] {
        assert!(value(&text, &format!("waltop_readers{{db=\"{db}\"}}")).is_some(), "{text}");
    }
}

#[test]
fn no_line_holds_a_command_line_or_a_pid() {
    let mut database = fixture::live();
    for process in &mut database.processes {
        process.command = vec!["sync".to_owned(), "--password".to_owned(), "hunter2".to_owned()];
        process.label = "hunter2".to_owned();
    }
    let mut it = Fixture::new(vec![database]);
    it.tick(0);
    it.hold("sh", 1, 2);
    let text = it.tick(3);
    assert!(!text.contains("hunter2") && !text.contains("71201") && !text.contains("pid"), "{text}");
}

#[test]
fn every_metric_has_one_help_one_type_and_a_name_of_its_own() {
    let mut it = Fixture::new(vec![fixture::live(), fixture::quiet()]);
    it.snapshot.databases[1].path = "/srv/other.db".into();
    let text = it.tick(0);
    let heads: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let names: BTreeSet<&str> = heads.iter().filter_map(|head| head.split(' ').next()).collect();
    assert!(names.len() == heads.len() && names.len() > 12, "{heads:?}");
    let series: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect();
    assert_eq!(series.iter().collect::<BTreeSet<_>>().len(), series.len(), "{text}");
}

/// A sample of which everything is known.
fn everything() -> Fixture {
    let mut database = fixture::live();
    database.findings = fixture::findings_of(&fixture::pinned());
    database.ingestions = vec![fixture::ingestion("1")];
    let mut it = Fixture::new(vec![database]);
    it.snapshot.trace = Some(TraceFacts::default());
    it.snapshot.sampling = Some(crate::snapshot::SamplingFacts {
        samples: 1,
        interval_ms: None,
        cpu_percent: None,
        process_cpu_percent: None,
    });
    it.is_written = Some(true);
    it.memory_bytes = Some(1);
    it.tick(0);
    it.hold("sh", 1, 2);
    it
}

fn words(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !is_part(c)).filter(|word| word.starts_with("waltop_")).collect()
}

#[test]
fn the_document_has_every_metric_and_the_examples_name_no_other() {
    let text = everything().tick(3);
    let names: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|head| head.split(' ').next())
        .collect();
    let documented = include_str!("../../docs/monitoring.md");
    let rows = documented.lines().filter_map(|line| line.strip_prefix("| `waltop_")?.split('`').next());
    let rows: BTreeSet<String> = rows.map(|name| format!("waltop_{name}")).collect();
    assert_eq!(rows.iter().map(String::as_str).collect::<BTreeSet<_>>(), names);
    for example in [
        include_str!("../../assets/monitoring/alerts.yml"),
        include_str!("../../assets/monitoring/alerts.test.yml"),
        include_str!("../../assets/monitoring/dashboard.json"),
    ] {
        let used = words(example);
        assert!(used.len() > 5, "{used:?}");
        for word in used {
            let family = word.trim_end_matches("_bucket").trim_end_matches("_count");
            assert!(names.contains(family), "there is no metric {word}");
        }
    }
}

#[test]
fn the_findings_of_the_alerts_exist() {
    let alerts = include_str!("../../assets/monitoring/alerts.yml");
    let named = alerts.split("finding=").skip(1).filter_map(|rest| rest.split('"').nth(1));
    let named: Vec<&str> = named.flat_map(|names| names.split('|')).collect();
    assert!(named.len() > 8, "{named:?}");
    for name in named {
        assert!(name.parse::<crate::snapshot::FindingKind>().is_ok(), "{name}");
    }
}

#[test]
fn the_dashboard_can_be_imported() {
    let dashboard: serde_json::Value =
        serde_json::from_str(include_str!("../../assets/monitoring/dashboard.json")).expect("JSON");
    assert_eq!(dashboard["__inputs"][0]["type"], "datasource");
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let names: Vec<_> = variables.iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(names, ["datasource", "instance", "db"]);
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.iter().all(|panel| panel["targets"].as_array().is_some_and(|it| !it.is_empty())));
}
