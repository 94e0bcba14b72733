//! The JSON contract: its schemas are those of the program's types, and within a version they only grow.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use clap::CommandFactory;
use serde_json::Value;
use waltop::{
    cli::{
        Cli,
        contract::{JsonOutput, OUTPUTS},
    },
    snapshot::CONTRACT_VERSION,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema_file(output: JsonOutput) -> PathBuf {
    root().join("assets/schemas").join(output.file_name())
}

fn rewrites() -> bool {
    env::var_os("WALTOP_WRITE_DOCS").is_some()
}

/// Whether `value`, which `waltop` printed for `args`, keeps to the schema of its command.
pub fn assert_keeps_to_its_schema(args: &[&str], value: &Value) {
    let Some(command) = args.iter().find(|arg| OUTPUTS.iter().any(|it| it.command == **arg)) else { return };
    let with_pid = format!("{command} --pid PID");
    let output = OUTPUTS.iter().find(|it| args.contains(&"--pid") && it.command == with_pid);
    let output = output.or_else(|| OUTPUTS.iter().find(|it| it.command == *command)).expect("it was found");
    let validator = jsonschema::validator_for(output.schema().as_value()).expect("a schema");
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new(), "{args:?}");
}

#[test]
#[should_panic(expected = "version")]
fn an_answer_of_another_version_does_not_keep_to_its_schema() {
    assert_keeps_to_its_schema(&["search", "--json"], &serde_json::json!({ "version": 2, "hits": [] }));
}

#[test]
fn every_command_that_prints_json_has_a_schema() {
    let cli = Cli::command();
    let with_json: BTreeSet<&str> = cli
        .get_subcommands()
        .filter(|command| command.get_arguments().any(|it| it.get_id() == "json"))
        .map(clap::Command::get_name)
        // Its listener answers with JSON.
        .chain(["metrics"])
        // Its lines are those of a recording, which docs/recording.md describes.
        .filter(|name| *name != "stream")
        .collect();
    let described: BTreeSet<&str> =
        OUTPUTS.iter().filter_map(|output| output.command.split(' ').next()).collect();
    assert_eq!(described, with_json);
}

#[test]
fn the_schemas_are_those_of_the_types() {
    for &output in OUTPUTS {
        let (file, schema) = (schema_file(output), output.schema());
        let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
        if rewrites() {
            fs::write(&file, &text).expect("written");
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == text,
            "{} is out of date; write it with `WALTOP_WRITE_DOCS=1 cargo test --test all contract`",
            file.display()
        );
    }
    let files = fs::read_dir(root().join("assets/schemas")).expect("a folder").count();
    assert_eq!(files, OUTPUTS.len(), "a schema without an output");
}

#[test]
fn within_a_version_the_contract_only_grows() {
    let file = root().join(format!("tests/all/contract/{CONTRACT_VERSION}.txt"));
    let promised = fs::read_to_string(&file).unwrap_or_default();
    let promised: BTreeSet<String> = promised.lines().map(str::to_owned).collect();
    let current: BTreeSet<String> = OUTPUTS.iter().flat_map(|&output| promises(output)).collect();
    let broken: Vec<&String> = promised.difference(&current).collect();
    assert!(
        broken.is_empty(),
        "fields were changed or removed within version {CONTRACT_VERSION}: {broken:#?}"
    );
    if rewrites() {
        let lines: Vec<&str> = current.iter().map(String::as_str).collect();
        fs::write(&file, lines.join("\n") + "\n").expect("written");
        return;
    }
    let new: Vec<&String> = current.difference(&promised).collect();
    assert!(
        new.is_empty(),
        "new fields are not promised yet: {new:#?}; add them with `WALTOP_WRITE_DOCS=1 cargo test --test all contract`"
    );
}

#[test]
fn a_field_that_goes_or_changes_its_type_breaks_a_promise() {
    let schema = serde_json::json!({
        "type": "object",
        "properties": { "a": { "type": ["integer", "null"] }, "b": { "$ref": "#/$defs/b" } },
        "required": ["a"],
        "$defs": { "b": { "type": "array", "items": { "enum": ["x", "y"], "type": "string" } } },
    });
    let mut found = BTreeSet::new();
    promise("it", &schema, &schema, &mut Vec::new(), &mut found);
    let expected = [
        "it a integer null",
        "it a is always there",
        "it b array",
        "it b[] = \"x\"",
        "it b[] = \"y\"",
        "it b[] string",
        "it object",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
}

/// What scripts may rely on in `output`, a line each: the type of every field, the fields that are always there, and
/// the names that stand for a kind.
fn promises(output: JsonOutput) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let schema = output.schema();
    let file = output.file_name();
    promise(
        file.trim_end_matches(".json"),
        schema.as_value(),
        schema.as_value(),
        &mut Vec::new(),
        &mut found,
    );
    found
}

fn promise<'a>(
    at: &str,
    schema: &'a Value,
    root: &'a Value,
    inside: &mut Vec<&'a str>,
    found: &mut BTreeSet<String>,
) {
    if let Some(name) = schema["$ref"].as_str() {
        let definition = root.pointer(name.trim_start_matches('#')).expect("a definition");
        // A type that contains itself is described once.
        if !inside.contains(&name) {
            inside.push(name);
            promise(at, definition, root, inside, found);
            inside.pop();
        }
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() {
        found.insert(format!("{at} {}", types.join(" ")));
    }
    for value in schema["enum"].as_array().into_iter().flatten().chain(schema.get("const")) {
        found.insert(format!("{at} = {value}"));
    }
    let below = |name: &str| format!("{at}{}{name}", if at.contains(' ') { "." } else { " " });
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        found.insert(format!("{} is always there", below(name)));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        promise(&below(name), field, root, inside, found);
    }
    if let Some(items) = schema.get("items") {
        promise(&format!("{at}[]"), items, root, inside, found);
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        for option in schema[choice].as_array().into_iter().flatten() {
            promise(at, option, root, inside, found);
        }
    }
}
