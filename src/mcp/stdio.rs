//! Messages as lines on stdin and stdout. Threads read and write them: a pipe, a file and a terminal all do.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    sync::Arc,
};

use rmcp::{
    ErrorData, RoleServer,
    model::{ErrorCode, RequestId},
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::{threads, units};

/// Bytes of a request. A query or the name of a document is shorter by far.
const MOST_BYTES: u64 = 1 << 20;
/// Messages that wait in either direction.
const MOST_WAITING: usize = 16;

/// What a thread has read.
#[derive(Debug, PartialEq, Eq)]
enum InputLine {
    Whole(Vec<u8>),
    /// It has more than [`MOST_BYTES`]; its rest was thrown away.
    TooLong,
}

/// How far the output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutputState {
    Open,
    /// Everything is written.
    Done,
    /// No one reads it.
    Broken,
}

/// Both ends, for one session.
pub struct StdioTransport {
    input: mpsc::Receiver<InputLine>,
    output: Option<mpsc::Sender<Arc<[u8]>>>,
}

/// What becomes of the output.
pub struct PipeEnd(watch::Receiver<OutputState>);

/// Reads stdin and writes stdout from now on.
///
/// # Errors
///
/// The system refuses a thread.
pub fn start() -> io::Result<(StdioTransport, PipeEnd)> {
    let (to_session, input) = mpsc::channel(MOST_WAITING);
    let (output, from_session) = mpsc::channel(MOST_WAITING);
    let (state, pipe_end) = watch::channel(OutputState::Open);
    threads::start("waltop-input", move || read_lines(io::stdin(), &to_session))?;
    threads::start("waltop-output", move || state.send(write_lines(io::stdout(), from_session)))?;
    Ok((StdioTransport { input, output: Some(output) }, PipeEnd(pipe_end)))
}

impl PipeEnd {
    /// Waits until a write has failed.
    pub async fn broken(&mut self) {
        self.reaches(|state| state == OutputState::Broken).await;
    }

    /// Waits until everything is written, or a write has failed.
    pub async fn written(&mut self) {
        self.reaches(|state| state != OutputState::Open).await;
    }

    async fn reaches(&mut self, is_it: impl Fn(OutputState) -> bool) {
        if self.0.wait_for(|state| is_it(*state)).await.is_err() {
            // The thread has ended in another state.
            std::future::pending::<()>().await;
        }
    }
}

/// Hands on each line until the end of `input`, or of the session.
fn read_lines(input: impl Read, to: &mpsc::Sender<InputLine>) {
    let mut input = BufReader::new(input);
    while let Ok(Some(line)) = next_line(&mut input) {
        if to.blocking_send(line).is_err() {
            return;
        }
    }
}

/// The next line without its end; `None` at the end of `input`. A line that the end cuts off is none.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<InputLine>> {
    let mut line = Vec::new();
    input.by_ref().take(MOST_BYTES + 1).read_until(b'\n', &mut line)?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Some(InputLine::Whole(line)));
    }
    if line.len() as u64 <= MOST_BYTES {
        return Ok(None);
    }
    input.skip_until(b'\n')?;
    Ok(Some(InputLine::TooLong))
}

fn write_lines(mut output: impl Write, mut from: mpsc::Receiver<Arc<[u8]>>) -> OutputState {
    while let Some(line) = from.blocking_recv() {
        if output.write_all(&line).and_then(|()| output.flush()).is_err() {
            return OutputState::Broken;
        }
    }
    OutputState::Done
}

impl Transport<RoleServer> for StdioTransport {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        let output = self.output.clone();
        async move {
            let mut line = serde_json::to_vec(&message)?;
            line.push(b'\n');
            let output = output.ok_or(io::ErrorKind::NotConnected)?;
            output.send(line.into()).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let answer = match self.input.recv().await? {
                InputLine::Whole(line) => match ParsedLine::of(&line) {
                    ParsedLine::Message(message) => return Some(message),
                    ParsedLine::Answer(answer) => Some(answer),
                    ParsedLine::Ignored => None,
                },
                InputLine::TooLong => Some(TxJsonRpcMessage::<RoleServer>::error(
                    ErrorData::invalid_request(
                        format!("a request is longer than {}: send a shorter one", units::bytes(MOST_BYTES)),
                        None,
                    ),
                    None,
                )),
            };
            if let Some(answer) = answer
                && self.send(answer).await.is_err()
            {
                return None;
            }
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        self.output = None;
        Ok(())
    }
}

/// What a line is.
enum ParsedLine {
    Message(RxJsonRpcMessage<RoleServer>),
    /// No message; the answer to it.
    Answer(TxJsonRpcMessage<RoleServer>),
    /// No message, and it wants no answer.
    Ignored,
}

impl ParsedLine {
    fn of(line: &[u8]) -> Self {
        if line.trim_ascii().is_empty() {
            return Self::Ignored;
        }
        let error = match serde_json::from_slice(line) {
            Ok(message) => return Self::Message(message),
            Err(error) => error,
        };
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            let error = ErrorData::new(ErrorCode::PARSE_ERROR, format!("this is no JSON: {error}"), None);
            return Self::Answer(TxJsonRpcMessage::<RoleServer>::error(error, None));
        };
        let id = value.get("id").and_then(|id| serde_json::from_value::<RequestId>(id.clone()).ok());
        // A notification gets no answer, and so does the answer to a request that this server did not send.
        if value.is_object() && (id.is_none() || value.get("method").is_none()) {
            return Self::Ignored;
        }
        let error = ErrorData::invalid_request(format!("this is no request of MCP: {error}"), None);
        Self::Answer(TxJsonRpcMessage::<RoleServer>::error(error, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<InputLine> {
        let mut input = BufReader::with_capacity(7, input);
        std::iter::from_fn(|| next_line(&mut input).expect("memory")).collect()
    }

    #[test]
    fn a_line_has_a_limit_and_the_next_one_is_whole() {
        let whole = |text: &str| InputLine::Whole(text.as_bytes().to_vec());
        assert_eq!(lines(b"one\n\ntwo\nhalf"), [whole("one"), whole(""), whole("two")]);
        let most = usize::try_from(MOST_BYTES).expect("it fits");
        let long = |length: usize| [vec![b'x'; length], b"\nnext\n".to_vec()].concat();
        assert_eq!(lines(&long(most))[0], InputLine::Whole(vec![b'x'; most]));
        assert_eq!(lines(&long(most + 1)), [InputLine::TooLong, whole("next")]);
        assert_eq!(lines(&long(3 * most)), [InputLine::TooLong, whole("next")]);
        assert_eq!(lines(&vec![b'x'; 3 * most]), [InputLine::TooLong]);
    }

    #[test]
    fn what_is_no_request_is_answered_if_it_wants_an_answer() {
        let answer = |line: &str| match ParsedLine::of(line.as_bytes()) {
            ParsedLine::Message(message) => panic!("{message:?}"),
            ParsedLine::Answer(answer) => Some(serde_json::to_value(answer).expect("JSON")),
            ParsedLine::Ignored => None,
        };
        let ping = ParsedLine::of(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        assert!(matches!(ping, ParsedLine::Message(_)));
        assert_eq!(answer("nonsense").expect("an answer")["error"]["code"], -32700);
        assert_eq!(answer("[]").expect("an answer")["error"]["code"], -32600);
        assert_eq!(answer(" \r"), None);
        assert_eq!(answer(r#"{"method":"x"}"#), None);
        let with_id = answer(r#"{"jsonrpc":"1.0","id":7,"method":"tools/call"}"#).expect("an answer");
        assert_eq!((&with_id["id"], &with_id["error"]["code"]), (&7.into(), &(-32600).into()));
    }
}
