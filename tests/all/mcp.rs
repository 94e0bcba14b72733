//! An MCP client that speaks to the server over its pipes.

mod acting;
mod documents;
mod ends;
mod tools;
mod workers;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Actor, WALTOP, set_apart};

/// A database `notes.db` with ingested documents, and what waltop keeps for its user.
struct Library {
    dir: TempDir,
}

impl Library {
    fn new() -> Self {
        let library = Self { dir: TempDir::new().expect("a folder") };
        let notes = library.root().join("notes");
        fs::create_dir(&notes).expect("a folder");
        fs::write(notes.join("zebra.md"), "---\ntags: [horse]\n---\n# Zebra\n\nStripes. See [[Horse]].\n")
            .expect("written");
        fs::write(notes.join("Horse.md"), "# Horse\n\nNo stripes, é日🦀.\n").expect("written");
        library.run(&["ingest", "notes", "--db", "notes.db"]);
        library
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().expect("there")
    }

    fn db(&self) -> PathBuf {
        self.root().join("notes.db")
    }

    fn name_of(&self, document: &str) -> String {
        self.root().join("notes").join(document).to_str().expect("text").to_owned()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = set_apart(Command::new(program), &self.root());
        command.current_dir(self.root());
        command
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.command(WALTOP).args(args).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn serve(&self, args: &[&str]) -> Client {
        let mut command = self.command(WALTOP);
        command.arg("mcp").args(args).stderr(Stdio::inherit());
        Client::start(command)
    }
}

/// A session with a server. It ends with its value.
struct Client {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<Box<dyn Read>>,
    last: u64,
}

impl Client {
    /// Starts `command`, which becomes or starts a server on its pipes, and a session with it.
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout: Box<dyn Read> = Box::new(child.stdout.take().expect("a pipe"));
        let answers = BufReader::new(stdout);
        let mut client = Self { requests: child.stdin.take(), child, answers, last: 0 };
        let session = client.call(
            "initialize",
            json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": { "name": "test", "version": "1" },
            }),
        );
        assert_eq!(session["result"]["serverInfo"]["name"], "waltop", "{session}");
        client.send_line(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string());
        client
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn send_line(&mut self, line: &str) {
        let requests = self.requests.as_mut().expect("the session is open");
        writeln!(requests, "{line}").expect("the server reads");
    }

    /// Sends a request without waiting for its answer; returns its id.
    fn send(&mut self, method: &str, params: Value) -> u64 {
        self.last += 1;
        let mut request = json!({ "jsonrpc": "2.0", "id": self.last, "method": method });
        request["params"] = params;
        self.send_line(&request.to_string());
        self.last
    }

    fn send_call(&mut self, tool: &str, arguments: Value) -> u64 {
        let mut call = json!({ "name": tool });
        call["arguments"] = arguments;
        self.send("tools/call", call)
    }

    /// The next message of the server.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        let answer = self.next();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// The result of a tool.
    fn tool(&mut self, name: &str, arguments: Value) -> Value {
        let id = self.send_call(name, arguments);
        let mut answer = self.next();
        assert_eq!(answer["id"], id, "{answer}");
        answer["result"].take()
    }

    /// The structured answer of a tool, which must succeed.
    fn answer(&mut self, name: &str, arguments: Value) -> Value {
        let mut result = self.tool(name, arguments);
        assert_eq!(result["isError"], false, "{name}: {result}");
        result["structuredContent"].take()
    }

    /// The sentence of a tool that fails.
    fn refusal(&mut self, name: &str, arguments: Value) -> String {
        let result = self.tool(name, arguments);
        assert_eq!(result["isError"], true, "{name}: {result}");
        result["content"][0]["text"].as_str().expect("a sentence").to_owned()
    }

    /// What the descriptors of the server lead to.
    fn descriptors(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("its descriptors");
        entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
    }

    /// Its workers.
    fn worker_pids(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("its threads");
        let children = tasks.flatten().filter_map(|it| fs::read_to_string(it.path().join("children")).ok());
        children.flat_map(|it| it.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// The command line of each.
    fn workers(&self) -> Vec<String> {
        let line = |pid: &String| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok();
        self.worker_pids().iter().filter_map(line).map(|it| it.replace('\0', " ")).collect()
    }

    /// Waits for its end; the pipes stay open.
    fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
