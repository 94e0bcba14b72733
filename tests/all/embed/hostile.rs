//! Servers that answer without end, redirect, or give what is no vector: nothing of it is stored.

use std::sync::atomic::Ordering::SeqCst;

use super::{Scene, embedded, server::Server};

/// More than any bound allows, and more than the buffers of a loopback connection take.
const FLOOD: u64 = 256 << 20;

/// What the client took, with room for the buffers of both ends.
const TAKEN: u64 = 64 << 20;

fn answers(scene: &Scene, start: &str, spaces: u64) {
    *scene.server.state.instead.lock().expect("the answer") = Some((start.to_owned(), spaces));
}

fn json(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{body}")
}

#[test]
fn of_a_refusal_without_end_only_the_start_is_read() {
    let scene = Scene::with(1);
    answers(&scene, "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n{\"error\": \"not this\"}", FLOOD);
    let summary = scene.run(scene.options());
    assert_eq!(embedded(&summary), (0, 1, None));
    assert!(summary.warned[0].reason.ends_with("400 Bad Request: not this"), "{:?}", summary.warned);
    let taken = scene.server.state.taken.load(SeqCst);
    assert!(taken < TAKEN, "{taken} bytes");
}

#[test]
fn an_answer_larger_than_any_vector_is_refused_and_not_read_whole() {
    let scene = Scene::with(1);
    answers(&scene, &json("{\"data\": [{\"index\": 0, \"embedding\": [1, 2]}]}"), FLOOD);
    let summary = scene.run(scene.options());
    let (done, _, error) = embedded(&summary);
    assert!(done == 0 && error.is_some_and(|error| error.contains("which no vectors need")), "{summary:?}");
    assert_eq!(scene.vectors(), 0);
    let taken = scene.server.state.taken.load(SeqCst);
    assert!(taken < TAKEN, "{taken} bytes");
    // The healthy twin: the same with a little white space.
    answers(&scene, &json("{\"data\": [{\"index\": 0, \"embedding\": [1, 2]}]}"), 64 << 10);
    assert_eq!(embedded(&scene.run(scene.options())), (1, 1, None));
    assert_eq!(scene.vectors(), 1);
}

#[test]
fn a_redirect_is_refused_by_name_and_not_followed() {
    let (scene, other) = (Scene::with(2), Server::start());
    for status in ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect"] {
        let start = format!(
            "HTTP/1.1 {status}\r\nlocation: {}/embeddings\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            other.url()
        );
        answers(&scene, &start, 0);
        let summary = scene.run(scene.options());
        let (done, wanted, error) = embedded(&summary);
        assert_eq!((done, wanted, scene.vectors()), (0, 2, 0), "{status}");
        let error = error.expect("it is refused");
        let address = format!("give its address: {}", other.url());
        assert!(error.contains("redirects to") && error.ends_with(&address), "{error}");
    }
    assert_eq!((other.seen(), other.state.not_posted.load(SeqCst)), (0, 0));
    // The address that the message names is the one that works.
    let options = waltop::ingest::embed::EmbedOptions {
        embedder: std::sync::Arc::new(waltop::ingest::embed::http::HttpEmbedder::new(
            other.url().parse().expect("an address"),
            super::MODEL,
        )),
        ..scene.options()
    };
    assert_eq!(embedded(&scene.run(options)), (2, 2, None));
}

#[test]
fn what_is_no_vector_is_never_stored() {
    let scene = Scene::with(1);
    for body in [
        "",
        "null",
        "{}",
        "{\"data\": []}",
        "{\"data\": [{\"index\": 1, \"embedding\": [1]}]}",
        "{\"data\": [{\"index\": 0, \"embedding\": [1]}, {\"index\": 0, \"embedding\": [1]}]}",
        "{\"data\": [{\"index\": 0, \"embedding\": []}]}",
        "{\"data\": [{\"index\": 0, \"embedding\": [0, 0]}]}",
        "{\"data\": [{\"index\": 0, \"embedding\": [1e39, 1]}]}",
        "{\"data\": [{\"index\": 0, \"embedding\": [NaN, 1]}]}",
        "{\"data\": [{\"index\": 0, \"embedding\": [null, 1]}]}",
    ] {
        answers(&scene, &json(body), 0);
        let summary = scene.run(scene.options());
        let (done, _, error) = embedded(&summary);
        assert!(done == 0 && (error.is_some() || !summary.warned.is_empty()), "{body}: {summary:?}");
        assert_eq!(scene.number("SELECT count(*) FROM nodes_vectors"), 0, "{body}");
    }
}
