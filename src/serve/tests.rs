use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
};

use tempfile::TempDir;

use super::*;

type Publisher = watch::Sender<Option<Arc<Sample>>>;

const WITHIN: Duration = Duration::from_mins(1);

fn started(address: &str, allowed: &[&str]) -> Result<(Listener, Publisher), ListenError> {
    let options = ListenOptions {
        address: address.parse().expect("an address"),
        has_snapshot: false,
        allowed_hosts: allowed.iter().map(|name| (*name).to_owned()).collect(),
        every: Duration::from_secs(1),
    };
    let (publish, samples) = watch::channel(None);
    Ok((Listener::start(&options, samples)?, publish))
}

/// A listener that already serves a sample, and its address.
fn served() -> (Listener, Publisher, SocketAddr) {
    let (listener, publish) = started("127.0.0.1:0", &[]).expect("a free port");
    let address = listener.place().strip_prefix("http://").expect("a URL").parse().expect("an address");
    publish.send(Some(Arc::new(answers::tests::sample()))).expect("it runs");
    while !get(address, "/livez").starts_with("HTTP/1.1 200") {
        std::thread::sleep(Duration::from_millis(5));
    }
    (listener, publish, address)
}

/// The answer to `request`; what came before an error, if one ends it.
fn ask(mut stream: impl Read + Write, request: &[u8]) -> String {
    // The listener may close before all of it is sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(WITHIN)).expect("a limit");
    stream.set_write_timeout(Some(WITHIN)).expect("a limit");
    stream
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(connect(address), format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
}

#[test]
fn each_path_is_answered_and_the_connection_closed() {
    let (_listener, _publish, address) = served();
    for (path, code) in [
        ("/", 200),
        ("/metrics", 200),
        ("/metrics?x=1", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/health", 200),
        ("/snapshot", 404),
        ("/../etc/passwd", 404),
    ] {
        let answer = get(address, path);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{path}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }
    assert!(get(address, "/metrics").ends_with("\r\n\r\nplain 1\n"));
    let head = ask(connect(address), b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    let post =
        ask(connect(address), b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc");
    assert!(post.starts_with("HTTP/1.1 405"), "{post}");
}

#[test]
fn a_foreign_host_gets_nothing() {
    let (_listener, _publish, address) = served();
    for path in ["/", "/metrics", "/livez", "/health", "/snapshot", "/nothing"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: evil.example:{}\r\n\r\n", address.port());
        let answer = ask(connect(address), request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("plain 1"), "{answer}");
    }
    let none = ask(connect(address), b"GET /metrics HTTP/1.0\r\n\r\n");
    assert!(none.starts_with("HTTP/1.0 403") || none.starts_with("HTTP/1.1 403"), "{none}");
}

#[test]
fn an_end_frees_the_address() {
    let (listener, _publish, address) = served();
    assert!(matches!(started(&address.to_string(), &[]), Err(ListenError::Taken { .. })));
    drop(listener);
    started(&address.to_string(), &[]).expect("it is free");
}

#[test]
fn a_request_of_another_form_or_size_ends_its_connection_alone() {
    let (_listener, _publish, address) = served();
    let mut long = b"GET / HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    for number in 0..2_000 {
        long.extend(format!("x-{number}: {}\r\n", "y".repeat(100)).bytes());
    }
    let bytes: Vec<u8> =
        (0..60_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for request in [&long[..], &bytes, b"\r\n\r\n\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", &vec![0; 40_000]] {
        let answer = ask(connect(address), request);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(get(address, "/livez").starts_with("HTTP/1.1 200"));
    }
}

#[test]
fn too_many_connections_are_refused_and_a_slow_one_is_closed() {
    let (_listener, _publish, address) = served();
    let began = Instant::now();
    let mut slow: Vec<TcpStream> = (0..MOST_CONNECTIONS).map(|_| connect(address)).collect();
    for stream in &mut slow {
        stream.write_all(b"GET / HTTP/1.1\r\nHo").expect("sent");
    }
    // Some of the slow ones may be accepted after it.
    let mut answers =
        std::iter::repeat_with(|| get(address, "/livez")).take_while(|_| began.elapsed() < WITHIN);
    assert!(answers.any(|answer| answer.starts_with("HTTP/1.1 503") && answer.contains("Retry-After")));
    for mut stream in slow {
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
    }
    let mut answers =
        std::iter::repeat_with(|| get(address, "/livez")).take_while(|_| began.elapsed() < 2 * WITHIN);
    assert!(answers.any(|answer| answer.starts_with("HTTP/1.1 200")), "there is room again");
}

fn get_from(path: &Path, what: &str) -> String {
    let stream = UnixStream::connect(path).expect("it listens");
    stream.set_read_timeout(Some(WITHIN)).expect("a limit");
    ask(stream, format!("GET {what} HTTP/1.1\r\nHost: any\r\n\r\n").as_bytes())
}

#[test]
fn a_unix_socket_is_for_its_owner_and_goes_at_the_end() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("waltop.sock");
    let address = format!("unix:{}", path.display());
    // A killed listener leaves its socket.
    drop(UnixListener::bind(&path).expect("a socket"));
    let (listener, publish) = started(&address, &[]).expect("a leftover is replaced");
    assert_eq!(fs::symlink_metadata(&path).expect("a socket").permissions().mode() & 0o777, 0o600);
    publish.send(Some(Arc::new(answers::tests::sample()))).expect("it runs");
    let began = Instant::now();
    while !get_from(&path, "/livez").starts_with("HTTP/1.1 200") && began.elapsed() < WITHIN {
        std::thread::sleep(Duration::from_millis(5));
    }
    let snapshot = get_from(&path, "/snapshot");
    assert!(snapshot.starts_with("HTTP/1.1 200") && snapshot.contains("/srv/notes.db"), "{snapshot}");
    assert!(matches!(started(&address, &[]), Err(ListenError::InUse { .. })));
    drop(listener);
    assert!(!path.exists());
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn no_other_file_is_replaced_or_removed() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("waltop.sock");
    let address = format!("unix:{}", path.display());
    fs::write(&path, "a database").expect("written");
    assert!(matches!(started(&address, &[]), Err(ListenError::NotOurs { .. })));
    assert_eq!(fs::read_to_string(&path).expect("it is still there"), "a database");
    fs::remove_file(&path).expect("removed");
    let (listener, _publish) = started(&address, &[]).expect("it listens");
    fs::remove_file(&path).expect("removed");
    fs::write(&path, "of another program").expect("written");
    drop(listener);
    assert!(path.exists());
}
