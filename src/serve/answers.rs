//! What is answered at each path.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS},
};

use super::{
    ListenOptions,
    health::{HealthLevel, ServedHealth, is_sampled},
    redacted_snapshot::redacted_json,
};
use crate::{json, sampler::Sample, snapshot::Versioned, threads};

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const JSON: &str = "application/json";

/// A sample that is late by this counts, on a machine that is busy.
const LATE: Duration = Duration::from_secs(10);
/// After so many intervals without a sample the loop has stopped.
const INTERVALS: u32 = 3;

const INDEX: &str = "waltop: metrics and health of SQLite databases\n\n\
    /metrics  for Prometheus\n\
    /livez    200 while samples are taken\n\
    /readyz   200 while every database can be sampled\n\
    /health   JSON: pass, warn (both 200) or fail (503), with the findings\n";

/// The newest sample, and who may see what of it.
#[derive(Debug)]
pub struct Answers {
    newest: Mutex<Option<(Arc<Sample>, Instant)>>,
    has_snapshot: bool,
    stale_after: Duration,
}

impl Answers {
    pub fn new(options: &ListenOptions) -> Self {
        Self {
            newest: Mutex::default(),
            has_snapshot: options.has_snapshot,
            stale_after: options.every * INTERVALS + LATE,
        }
    }

    /// The newest sample, which was taken at `at`.
    pub fn set_sample(&self, sample: Arc<Sample>, at: Instant) {
        *threads::lock(&self.newest) = Some((sample, at));
    }

    /// The answer to `request`; `is_owner`: only the user who runs waltop can send it, `is_foreign`: it names a host that
    /// is not this one.
    pub fn answer<T>(&self, request: &Request<T>, is_owner: bool, is_foreign: bool) -> Response<String> {
        self.response(request, is_owner, is_foreign, Instant::now())
    }

    fn response<T>(
        &self,
        request: &Request<T>,
        is_owner: bool,
        is_foreign: bool,
        now: Instant,
    ) -> Response<String> {
        if is_foreign {
            return answer(StatusCode::FORBIDDEN, PLAIN_TEXT, "this host name is not allowed\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = answer(StatusCode::METHOD_NOT_ALLOWED, PLAIN_TEXT, "GET or HEAD only\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let newest = threads::lock(&self.newest).clone();
        let sample =
            newest.as_ref().map(|(sample, at)| (sample.as_ref(), now.saturating_duration_since(*at)));
        let is_recent = sample.is_some_and(|(_, age)| age <= self.stale_after);
        match request.uri().path() {
            "/" => answer(StatusCode::OK, PLAIN_TEXT, INDEX),
            "/metrics" => metrics(sample.map(|(sample, _)| sample), request.headers()),
            "/livez" => probe(is_recent, "alive\n", "no recent sample\n"),
            "/readyz" => {
                let is_ready = is_recent && sample.is_some_and(|(sample, _)| is_whole(sample));
                probe(is_ready, "ready\n", "a database cannot be sampled: /health says why\n")
            }
            "/health" => health(&ServedHealth::of(sample, is_recent)),
            "/snapshot" if self.has_snapshot || is_owner => snapshot(sample.map(|(sample, _)| sample)),
            _ => answer(
                StatusCode::NOT_FOUND,
                PLAIN_TEXT,
                "there is nothing at this path: / lists what there is\n",
            ),
        }
    }
}

fn metrics(sample: Option<&Sample>, headers: &HeaderMap) -> Response<String> {
    let Some(metrics) = sample.and_then(|sample| sample.metrics.as_ref()) else { return no_sample() };
    if wants_open_metrics(headers) {
        answer(StatusCode::OK, OPEN_METRICS, &metrics.open)
    } else {
        answer(StatusCode::OK, METRICS, &metrics.plain)
    }
}

// Prometheus names the formats that it reads, the preferred ones first; version 1.0.0 is one of them.
fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|value| value.split(','));
    kinds.any(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        let is_open = parts.next().is_some_and(|it| it.eq_ignore_ascii_case("application/openmetrics-text"));
        let is_fit = |it: &str| it != "q=0" && (!it.starts_with("version=") || it == "version=1.0.0");
        is_open && parts.all(is_fit)
    })
}

fn health(health: &ServedHealth) -> Response<String> {
    let status =
        if health.status == HealthLevel::Fail { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    match json::line(&Versioned::new(health)) {
        Ok(text) => answer(status, JSON, &(text + "\n")),
        Err(error) => failure(&error),
    }
}

fn snapshot(sample: Option<&Sample>) -> Response<String> {
    let Some(sample) = sample else { return no_sample() };
    match redacted_json(&sample.snapshot) {
        Ok(text) => answer(StatusCode::OK, JSON, &(text + "\n")),
        Err(error) => failure(&error),
    }
}

fn is_whole(sample: &Sample) -> bool {
    sample.snapshot.databases.iter().all(|database| is_sampled(database, sample.has_lock_table))
}

fn probe(is_good: bool, good: &str, bad: &str) -> Response<String> {
    let (status, text) =
        if is_good { (StatusCode::OK, good) } else { (StatusCode::SERVICE_UNAVAILABLE, bad) };
    answer(status, PLAIN_TEXT, text)
}

fn no_sample() -> Response<String> {
    answer(StatusCode::SERVICE_UNAVAILABLE, PLAIN_TEXT, "there is no sample yet\n")
}

fn failure(error: &serde_json::Error) -> Response<String> {
    answer(StatusCode::INTERNAL_SERVER_ERROR, PLAIN_TEXT, &format!("{error}\n"))
}

fn answer(status: StatusCode, kind: &'static str, text: &str) -> Response<String> {
    let mut answer = Response::new(text.to_owned());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
pub mod tests;
