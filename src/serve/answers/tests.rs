use super::*;
use crate::{diagnose::fixture, metrics::MetricsText, serve::ListenAddress};

fn answers(has_snapshot: bool) -> Answers {
    let address: ListenAddress = "127.0.0.1:0".parse().expect("an address");
    let every = Duration::from_secs(1);
    Answers::new(&ListenOptions { address, has_snapshot, allowed_hosts: Vec::new(), every })
}

pub fn sample() -> Sample {
    let metrics = Some(MetricsText { plain: "plain 1\n".into(), open: "open 1\n# EOF\n".into() });
    Sample { metrics, ..Sample::of(fixture::snapshot(vec![fixture::live()]), Vec::new()) }
}

fn get(answers: &Answers, path: &str, after: u64) -> (u16, String) {
    let request = Request::builder().uri(path).body(()).expect("a request");
    let newest = threads::lock(&answers.newest).as_ref().map(|(_, at)| *at);
    let now = newest.unwrap_or_else(Instant::now) + Duration::from_secs(after);
    let answer = answers.response(&request, false, false, now);
    (answer.status().as_u16(), answer.into_body())
}

#[test]
fn without_a_sample_nothing_is_well() {
    let answers = answers(true);
    for path in ["/metrics", "/livez", "/readyz", "/health", "/snapshot"] {
        assert_eq!(get(&answers, path, 0).0, 503, "{path}");
    }
}

#[test]
fn an_old_sample_says_that_the_loop_has_stopped() {
    let answers = answers(false);
    answers.set_sample(Arc::new(sample()), Instant::now());
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!((get(&answers, path, 12).0, get(&answers, path, 14).0), (200, 503), "{path}");
    }
}

#[test]
fn findings_fail_no_probe_and_a_database_that_cannot_be_sampled_only_the_one_for_it() {
    let answers = answers(false);
    let mut ill = sample();
    ill.snapshot.databases[0].findings = fixture::findings_of(&fixture::pinned());
    ill.snapshot.databases[0].findings[0].severity = crate::snapshot::Severity::Error;
    answers.set_sample(Arc::new(ill), Instant::now());
    let codes = |answers: &Answers| ["/livez", "/readyz", "/health"].map(|path| get(answers, path, 0).0);
    assert_eq!(codes(&answers), [200, 200, 503]);
    let mut gone = sample();
    gone.snapshot.databases[0].unfit = Some("it is gone".to_owned());
    answers.set_sample(Arc::new(gone), Instant::now());
    assert_eq!(codes(&answers), [200, 503, 503]);
    let health: serde_json::Value = serde_json::from_str(&get(&answers, "/health", 0).1).expect("JSON");
    assert_eq!((&health["version"], &health["status"]), (&1.into(), &"fail".into()));
}

#[test]
fn the_format_is_the_one_that_the_client_reads() {
    let answers = answers(false);
    answers.set_sample(Arc::new(sample()), Instant::now());
    let of = |accept: Option<&str>| {
        let mut request = Request::builder().uri("/metrics");
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        let request = request.body(()).expect("a request");
        let answer = answers.answer(&request, false, false);
        let kind = answer.headers()[CONTENT_TYPE].to_str().expect("text").to_owned();
        (kind, answer.into_body())
    };
    for accept in [
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1",
        "text/plain, Application/OpenMetrics-Text; version=1.0.0; escaping=underscores",
        "application/openmetrics-text",
    ] {
        assert_eq!(of(Some(accept)), (OPEN_METRICS.to_owned(), "open 1\n# EOF\n".to_owned()), "{accept}");
    }
    for accept in [
        None,
        Some("*/*"),
        Some("text/plain"),
        Some("application/openmetrics-text;version=0.0.1"),
        Some("application/openmetrics-text;q=0"),
    ] {
        assert_eq!(of(accept), (METRICS.to_owned(), "plain 1\n".to_owned()), "{accept:?}");
    }
}

#[test]
fn the_whole_sample_is_for_the_owner_or_if_it_is_exposed() {
    for (has_snapshot, is_owner, expected) in [(false, false, 404), (true, false, 200), (false, true, 200)] {
        let answers = answers(has_snapshot);
        answers.set_sample(Arc::new(sample()), Instant::now());
        let request = Request::builder().uri("/snapshot").body(()).expect("a request");
        let answer = answers.answer(&request, is_owner, false);
        assert_eq!(answer.status().as_u16(), expected);
    }
}
