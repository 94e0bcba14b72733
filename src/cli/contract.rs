//! The JSON contract: the `--json` output of each command, as JSON schemas.

use schemars::{
    JsonSchema, Schema,
    generate::{SchemaGenerator, SchemaSettings},
};
use serde_json::json;

use super::{
    discover::DiscoveryReport,
    explain::ExplainReport,
    ingest::IngestPreview,
    links::LinksReport,
    optimize::OptimizeReport,
    read::{DocumentList, ReadReport},
    reap::ReapReport,
    runs::RunsReport,
    search::SearchReport,
    stats::StatsReport,
};
use crate::{
    act::SignalReport,
    diagnose::{doctor::DoctorReport, health::HealthReport, safe::SafeReport, wait::WaitReport},
    ingest::RunSummary,
    recording::{RecordingSummary, WhoReport},
    report::{CheckReport, CheckpointReport, DatabaseReports, FixReport, LocksReport},
    rescue::{LogRescue, ProcessRescue},
    serve::ServedHealth,
    snapshot::{CONTRACT_VERSION, Snapshot, Versioned},
};

/// The `--json` output of one command.
#[derive(Debug, Clone, Copy)]
pub struct JsonOutput {
    /// The command, with the option that changes the output's shape.
    pub command: &'static str,
    shape: fn(SchemaGenerator) -> Schema,
}

/// The answer of `/health`.
const SERVED_HEALTH: &str = "metrics --listen";

pub const OUTPUTS: &[JsonOutput] = &[
    JsonOutput { command: "check", shape: shape::<CheckReport> },
    JsonOutput { command: "checkpoint", shape: shape::<DatabaseReports<CheckpointReport>> },
    JsonOutput { command: "discover", shape: shape::<DiscoveryReport> },
    JsonOutput { command: "doctor", shape: shape::<DoctorReport> },
    JsonOutput { command: "explain", shape: shape::<ExplainReport> },
    JsonOutput { command: "fix", shape: shape::<DatabaseReports<FixReport>> },
    JsonOutput { command: "health", shape: shape::<DatabaseReports<HealthReport>> },
    JsonOutput { command: "ingest", shape: shape::<RunSummary> },
    JsonOutput { command: "ingest --dry-run", shape: shape::<IngestPreview> },
    JsonOutput { command: SERVED_HEALTH, shape: shape::<ServedHealth> },
    JsonOutput { command: "links", shape: shape::<LinksReport> },
    JsonOutput { command: "optimize", shape: shape::<DatabaseReports<OptimizeReport>> },
    JsonOutput { command: "read", shape: shape::<ReadReport> },
    JsonOutput { command: "read --list", shape: shape::<DocumentList> },
    JsonOutput { command: "reap", shape: shape::<ReapReport> },
    JsonOutput { command: "report", shape: shape::<RecordingSummary> },
    JsonOutput { command: "rescue", shape: shape::<LogRescue> },
    JsonOutput { command: "rescue --pid PID", shape: shape::<ProcessRescue> },
    JsonOutput { command: "runs", shape: shape::<RunsReport> },
    JsonOutput { command: "safe", shape: shape::<SafeReport> },
    JsonOutput { command: "search", shape: shape::<SearchReport> },
    JsonOutput { command: "stats", shape: shape::<DatabaseReports<StatsReport>> },
    JsonOutput { command: "status", shape: shape::<Snapshot> },
    JsonOutput { command: "status --locks", shape: shape::<LocksReport> },
    JsonOutput { command: "stop", shape: shape::<SignalReport> },
    JsonOutput { command: "wait", shape: shape::<WaitReport> },
    JsonOutput { command: "watch", shape: shape::<RunSummary> },
    JsonOutput { command: "who", shape: shape::<WhoReport> },
];

impl JsonOutput {
    /// The file of its schema in `assets/schemas`.
    pub fn file_name(self) -> String {
        let (command, option) = self.command.split_once(" --").unwrap_or((self.command, ""));
        match option.split(' ').next() {
            Some(option) if !option.is_empty() => format!("{command}-{option}.json"),
            _ => format!("{command}.json"),
        }
    }

    /// The command line that gives it.
    pub fn title(self) -> String {
        match self.command {
            SERVED_HEALTH => format!("/health of waltop {SERVED_HEALTH}"),
            command => format!("waltop {command} --json"),
        }
    }

    /// Its schema, as JSON Schema 2020-12.
    pub fn schema(self) -> Schema {
        let mut schema = (self.shape)(SchemaSettings::draft2020_12().for_serialize().into_generator());
        let title = format!("{}, version {CONTRACT_VERSION}", self.title());
        schema.insert("title".to_owned(), title.into());
        schema.insert(
            "description".to_owned(),
            json!("Fields are added, never changed. Unknown is null. Times are RFC 3339 UTC, durations ms, sizes bytes."),
        );
        schema
    }
}

fn shape<T: JsonSchema>(generator: SchemaGenerator) -> Schema {
    generator.into_root_schema_for::<Versioned<T>>()
}
