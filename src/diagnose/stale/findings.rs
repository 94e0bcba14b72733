//! What is told of stale processes.

use crate::{
    diagnose::{Look, Rule, evidence, who},
    snapshot::{Finding, Remedy, Severity},
};

/// A process is stale, and nothing protects it.
pub struct StaleDaemon;

impl Rule for StaleDaemon {
    fn name(&self) -> &'static str {
        "stale-daemon"
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        for process in &look.database.processes {
            let Some(stale) = process.stale.as_ref().filter(|stale| stale.is_stale) else { continue };
            let told: Vec<&str> = stale.causes.iter().map(|cause| cause.evidence.as_str()).collect();
            let names: Vec<&str> = stale.causes.iter().map(|cause| cause.cause.as_str()).collect();
            found.push(Finding {
                name: self.name().to_owned(),
                severity: Severity::Warning,
                pid: Some(process.pid),
                message: format!("{} is stale: {}", who(look.database, Some(process.pid)), told.join("; ")),
                evidence: evidence([("causes", names.into())]),
                remedy: reap(process.pid),
            });
        }
        found
    }
}

fn reap(pid: i32) -> Remedy {
    Remedy { key: Some("x".to_owned()), command: Some(format!("waltop reap --pid {pid}")) }
}
