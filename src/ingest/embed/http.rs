//! An embedder behind the embeddings API that Ollama, llama.cpp, LM Studio and many others share with `OpenAI`:
//! `POST URL/embeddings` with `{"model": …, "input": […]}` gives `{"data": [{"index": 0, "embedding": […]}]}`.

use std::{
    env, fmt,
    io::{self, Read},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use ureq::{
    Agent, Body, Proxy, Timeout,
    http::{
        HeaderMap, Response,
        header::{LOCATION, RETRY_AFTER},
    },
};

use super::{EmbedRefusal, Embedder, vector::LONGEST};
use crate::{
    config::EmbedEndpoint,
    text, threads,
    units::{self, milliseconds},
};

/// Timeout of a connection attempt.
const CONNECT: Duration = Duration::from_secs(5);

/// Timeout of a call: a model that has to be loaded first, or runs without a GPU, is slow.
const CALL: Duration = Duration::from_mins(2);

/// The most bytes of an answer besides its vectors: the model's name, usage figures, white space.
const AROUND: u64 = 64 << 10;

/// The most bytes of one number of a vector: a sign, 17 digits, an exponent, a comma, and the line break and indentation
/// of a server that prints its JSON for people.
const NUMBER: u64 = 40;

/// The most bytes of a refusal that are read: it is quoted in one line.
const REFUSAL: u64 = 64 << 10;

/// The most characters of a server's message that are reported.
const SAID: usize = 200;

/// Environment variable with the key that is sent to any server.
const KEY: &str = "WALTOP_EMBED_KEY";

/// Environment variable with the key that is sent only to its issuer, and only over an encrypted connection.
const OPENAI_KEY: &str = "OPENAI_API_KEY";

/// The server, and the model to request.
pub struct HttpEmbedder {
    agent: Agent,
    endpoint: EmbedEndpoint,
    model: String,
    key: Option<String>,
    /// Timeout of a call.
    limit: Duration,
}

// Omits the key.
impl fmt::Debug for HttpEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("endpoint", &self.endpoint)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct EmbedRequest<'a> {
    model: &'a str,
    input: &'a [&'a str],
}

#[derive(Deserialize)]
struct EmbedResponse {
    data: Vec<EmbedItem>,
}

#[derive(Deserialize)]
struct EmbedItem {
    index: usize,
    embedding: Vec<f32>,
}

impl HttpEmbedder {
    /// Requests vectors of `model` from the server at `endpoint`. The key comes from the environment, if it is set:
    /// `WALTOP_EMBED_KEY`, or `OPENAI_API_KEY` if the server is `OpenAI`'s and the connection is encrypted.
    pub fn new(endpoint: EmbedEndpoint, model: &str) -> Self {
        Self::with(endpoint, model, Some(CONNECT), CALL)
    }

    /// The same, where each call has at most `limit`, from the look-up of the name to the last byte of the answer.
    pub fn within(limit: Duration, endpoint: EmbedEndpoint, model: &str) -> Self {
        Self::with(endpoint, model, None, limit)
    }

    fn with(endpoint: EmbedEndpoint, model: &str, connect: Option<Duration>, call: Duration) -> Self {
        let named = |name: &str| env::var(name).ok().filter(|key| !key.is_empty());
        let key = named(KEY).or_else(|| named(OPENAI_KEY).filter(|_| endpoint.may_have_key_of_openai()));
        let proxy = if endpoint.is_of_this_machine() { None } else { Proxy::try_from_env() };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // A client that follows 301, 302 or 303 sends GET without the texts, so the answer is not about them.
            .max_redirects(0)
            .timeout_connect(connect)
            .timeout_global(Some(call))
            .max_idle_connections(64)
            .max_idle_connections_per_host(64)
            .proxy(proxy)
            .user_agent(concat!("waltop/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Self { agent, endpoint, model: model.to_owned(), key, limit: call }
    }

    fn unreachable(&self, why: impl fmt::Display) -> EmbedRefusal {
        EmbedRefusal::Unreachable(format!(
            "{} cannot be reached: {why}; is the server running?",
            self.endpoint
        ))
    }

    fn failed(&self, error: &ureq::Error) -> EmbedRefusal {
        match error {
            ureq::Error::HostNotFound => self.unreachable("there is no such host"),
            ureq::Error::ConnectionFailed | ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                self.unreachable("nobody answers")
            }
            ureq::Error::Io(error) if is_unreachable(error) => self.unreachable(error),
            ureq::Error::Timeout(_) => EmbedRefusal::Late(format!(
                "{} did not answer within {}",
                self.endpoint,
                units::duration(milliseconds(self.limit))
            )),
            ureq::Error::Io(_) | ureq::Error::Protocol(_) => EmbedRefusal::Later {
                reason: format!("{} did not answer: {error}", self.endpoint),
                after: None,
            },
            _ => EmbedRefusal::Never(format!("{} request failed: {error}", self.endpoint)),
        }
    }

    /// The meaning of an answer with a status other than 200.
    fn refused(&self, response: &mut Response<Body>) -> EmbedRefusal {
        let status = response.status();
        if status.is_redirection()
            && let Some(target) = response.headers().get(LOCATION)
        {
            return self.redirected(target.as_bytes());
        }
        let after = retry_after(response.headers());
        let said = first_bytes(response, REFUSAL).unwrap_or_default();
        let reason = format!("{} says {status}{}", self.endpoint, quoted(&said));
        match status.as_u16() {
            408 | 425 | 429 | 500..=599 => EmbedRefusal::Later { reason, after },
            400 | 413 | 414 | 415 | 422 => EmbedRefusal::Text(reason),
            401 | 403 => EmbedRefusal::Never(format!("{reason}; give its key in {KEY}")),
            404 => EmbedRefusal::Never(format!(
                "{reason}; check the address, which often ends in /v1, and the model"
            )),
            _ => EmbedRefusal::Never(reason),
        }
    }
}

impl HttpEmbedder {
    /// The meaning of a redirect: the server answers at another address, which the user has to confirm by naming it.
    fn redirected(&self, target: &[u8]) -> EmbedRefusal {
        let target = String::from_utf8_lossy(target);
        let target: String = text::clean(target.trim()).chars().take(SAID).collect();
        let base = target.strip_suffix("/embeddings").unwrap_or(&target);
        EmbedRefusal::Never(format!(
            "{} redirects to {target}, and waltop follows no redirect of a POST; if you trust that server, give its \
             address: {base}",
            self.endpoint
        ))
    }
}

impl Embedder for HttpEmbedder {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedRefusal> {
        let never = |what: &dyn fmt::Display| EmbedRefusal::Never(format!("{} {what}", self.endpoint));
        let question = serde_json::to_vec(&EmbedRequest { model: &self.model, input: texts })
            .map_err(|error| never(&format!("request failed: {error}")))?;
        let mut request = self
            .agent
            .post(format!("{}/embeddings", self.endpoint))
            .header("content-type", "application/json")
            .header("accept", "application/json");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if self.endpoint.needs_lookup() {
            // The library resolves the name on a thread, and panics without one.
            threads::need(1).map_err(|error| never(&format!("request failed: {error}")))?;
        }
        let mut response = request.send(&question[..]).map_err(|error| self.failed(&error))?;
        if response.status() != 200 {
            return Err(self.refused(&mut response));
        }
        let most = most_bytes(texts.len());
        let body = first_bytes(&mut response, most + 1).map_err(|error| self.failed(&error.into()))?;
        if body.len() as u64 > most {
            return Err(never(&format!(
                "gave more than {} MiB for {} texts, which no vectors need",
                most >> 20,
                texts.len()
            )));
        }
        vectors_in(&body, texts.len()).map_err(|why| never(&why))
    }
}

/// The vectors in `body`, one for each of `texts` texts, in their order; or why there are none.
fn vectors_in(body: &[u8], texts: usize) -> Result<Vec<Vec<f32>>, String> {
    let EmbedResponse { mut data } = serde_json::from_slice(body)
        .map_err(|error| format!("does not answer as an embeddings API does: {error}"))?;
    data.sort_by_key(|item| item.index);
    if !data.iter().map(|item| item.index).eq(0..texts) {
        return Err(format!("gave {} vectors for {texts} texts", data.len()));
    }
    Ok(data.into_iter().map(|item| item.embedding).collect())
}

/// The most bytes that vectors of `texts` texts can need.
fn most_bytes(texts: usize) -> u64 {
    AROUND + texts as u64 * LONGEST as u64 * NUMBER
}

/// At most `most` bytes of the body. A longer body stays unread, and its connection is not reused.
fn first_bytes(response: &mut Response<Body>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    response.body_mut().as_reader().take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether the connection failed.
fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{
        AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkDown, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        AddrNotAvailable | ConnectionRefused | HostUnreachable | NetworkDown | NetworkUnreachable
    )
}

/// How long a server asks callers to wait, if it says so in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The server's reason for a refusal: the message in the JSON, else the text unchanged.
fn quoted(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let message = [&json["error"]["message"], &json["error"], &json["message"], &json["detail"]]
        .into_iter()
        .find_map(serde_json::Value::as_str);
    let said = message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    let said: String = text::clean(said.trim()).chars().take(SAID).collect();
    if said.is_empty() { said } else { format!(": {said}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{fuzz::for_a_while, fuzz_edits::edited, ingest::embed::vector};

    #[test]
    fn fuzz_answer() {
        let seeds = [
            r#"{"data": [{"index": 0, "embedding": [0.25, -1e3]}]}"#,
            r#"{"model": "m", "data": [{"index": 1, "embedding": [1]}, {"index": 0, "embedding": [2]}]}"#,
            r#"{"error": {"message": "too long"}}"#,
        ];
        for_a_while("embeddings answer", |runner| {
            runner.run(&(edited(&seeds), 0_usize..3), |(body, texts)| {
                match vectors_in(&body, texts) {
                    Ok(vectors) => {
                        prop_assert_eq!(vectors.len(), texts);
                        let units = vectors.into_iter().filter_map(vector::unit);
                        prop_assert!(units.flatten().all(|number| number.abs() <= 1.0));
                    }
                    Err(why) => prop_assert!(!text::clean(&why).contains('\n')),
                }
                let quoted = quoted(&body);
                prop_assert!(quoted.chars().count() <= SAID + 2 && !quoted.contains(char::is_control));
                Ok(())
            })
        });
    }

    #[test]
    fn a_server_says_how_long_it_wants_to_be_left_alone() {
        for (value, expected) in [("7", Some(7)), (" 0 ", Some(0)), ("soon", None), ("-1", None)] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a value"))]);
            assert_eq!(retry_after(&headers), expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn what_a_server_says_is_one_short_line() {
        for (body, expected) in [
            (&br#"{"error": {"message": "too\nlong"}}"#[..], ": too long"),
            (br#"{"error": "no such model"}"#, ": no such model"),
            (b"<html>", ": <html>"),
            (b"", ""),
        ] {
            assert_eq!(quoted(body), expected);
        }
        assert_eq!(quoted(&[b'x'; 5000]).len(), SAID + 2);
    }
}
