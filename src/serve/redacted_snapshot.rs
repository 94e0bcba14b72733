//! A whole sample as JSON, without what looks like a secret.

use crate::{
    json,
    snapshot::{Snapshot, Versioned},
};

/// The JSON contract of `snapshot`, with each secret in a text or a command line replaced.
///
/// # Errors
///
/// It cannot be JSON.
pub fn redacted_json(snapshot: &Snapshot) -> serde_json::Result<String> {
    let mut value = serde_json::to_value(Versioned::new(snapshot))?;
    json::redact(&mut value);
    json::line(&value)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::diagnose::fixture;

    #[test]
    fn no_field_holds_a_secret_and_the_rest_stays() {
        let mut database = fixture::live();
        database.findings = fixture::findings_of(&fixture::pinned());
        let secrets = ["hunter2", "s3cr3t", "swordfish"];
        database.processes[0].command =
            ["sync", "--password", "hunter2", "--port", "80"].map(str::to_owned).to_vec();
        database.processes[0].label = "sync API_KEY=s3cr3t".to_owned();
        let finding = &mut database.findings[0];
        finding.message += " with --token=swordfish";
        finding.evidence.insert("title".to_owned(), "sync --token swordfish".into());
        finding.remedy.command = Some("sync --token swordfish".to_owned());
        let snapshot = fixture::snapshot(vec![database]);
        let text = redacted_json(&snapshot).expect("JSON");
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
        let read: Value = serde_json::from_str(&text).expect("JSON");
        let whole = serde_json::to_value(Versioned::new(&snapshot)).expect("JSON");
        assert_eq!(read["version"], 1);
        let process = &read["databases"][0]["processes"][0];
        assert_eq!(process["command"].as_array().map(Vec::len), Some(5));
        assert_eq!(process["command"][4], "80");
        assert_eq!(read["databases"][0]["files"], whole["databases"][0]["files"]);
        serde_json::from_str::<Versioned<Snapshot>>(&text).expect("it keeps its shape");
    }
}
