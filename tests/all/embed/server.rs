//! An embeddings API on the loopback, in this process: its vectors count the words of a text, so that texts with the
//! same words are near each other. It can be slow, fail, refuse and hang up.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// The text that has this word is refused.
pub const UNWELCOME: &str = "unwelcome";

/// The server; it is gone with its value.
pub struct Server {
    address: SocketAddr,
    /// What it does, and what it has seen.
    pub state: Arc<State>,
}

/// How a [`Server`] behaves, and what it has seen.
#[derive(Default)]
pub struct State {
    /// How long each call takes, at least.
    pub delay: Mutex<Duration>,
    /// While this is raised, no call is answered.
    pub is_held: AtomicBool,
    /// So many of the next calls are answered with 500.
    pub fails: AtomicUsize,
    /// So many of the next calls are answered by closing the connection.
    pub hangs_up: AtomicUsize,
    /// The most texts of a call that it does not refuse; 0: any number.
    pub most_texts: AtomicUsize,
    /// Numbers in a vector.
    pub dimension: AtomicUsize,
    /// What every call is answered with instead of vectors: the start of the answer and, behind it, spaces without end
    /// or up to a number.
    pub instead: Mutex<Option<(String, u64)>>,
    /// Request lines that were not a POST.
    pub not_posted: AtomicUsize,
    /// The most bytes of one answer that a client took.
    pub taken: AtomicU64,
    /// Calls that wait for their answer.
    pub in_flight: AtomicUsize,
    /// The most of them at a time.
    pub most_in_flight: AtomicUsize,
    /// The texts that it made vectors of.
    pub texts: Mutex<Vec<String>>,
    /// What stood in each call's `authorization`.
    pub keys: Mutex<Vec<Option<String>>>,
    is_closed: AtomicBool,
}

impl Server {
    /// A server on a free port.
    pub fn start() -> Self {
        Self::on(&TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    /// A server that listens where `listener` does.
    pub fn on(listener: &TcpListener) -> Self {
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State { dimension: AtomicUsize::new(64), ..State::default() });
        let (listener, shared) = (listener.try_clone().expect("the listener"), Arc::clone(&state));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_closed.load(SeqCst) {
                    return;
                }
                let state = Arc::clone(&shared);
                // A client that goes away is none of ours to complain about.
                thread::spawn(move || stream.and_then(|stream| serve(&state, &stream)));
            }
        });
        Self { address, state }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// How many texts it made vectors of so far.
    pub fn seen(&self) -> usize {
        locked(&self.state.texts).len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.is_closed.store(true, SeqCst);
        self.state.is_held.store(false, SeqCst);
        // Whoever waits for a connection sees the flag.
        let _ = TcpStream::connect(self.address);
    }
}

/// Whoever panicked has told of it already.
fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(state: &State, mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some((body, key)) = request(state, &mut reader)? {
        locked(&state.keys).push(key);
        let instead = locked(&state.instead).clone();
        if let Some((start, spaces)) = instead {
            return flood(state, stream, &start, spaces);
        }
        let flying = state.in_flight.fetch_add(1, SeqCst) + 1;
        state.most_in_flight.fetch_max(flying, SeqCst);
        while state.is_held.load(SeqCst) {
            thread::sleep(Duration::from_millis(2));
        }
        // Taken out first: nobody waits for another one's delay.
        let delay = *locked(&state.delay);
        thread::sleep(delay);
        let answer = answer(state, &body);
        state.in_flight.fetch_sub(1, SeqCst);
        let Some((status, json)) = answer.filter(|_| !state.is_closed.load(SeqCst)) else { return Ok(()) };
        let body = json.to_string();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all((head + &body).as_bytes())?;
    }
    Ok(())
}

/// Writes `start` and so many spaces behind it, as far as the client takes them, and hangs up.
fn flood(state: &State, mut stream: &TcpStream, start: &str, spaces: u64) -> io::Result<()> {
    stream.write_all(start.as_bytes())?;
    let block = vec![b' '; 64 << 10];
    let mut taken = 0;
    while taken < spaces {
        let written = stream.write(&block)? as u64;
        taken += written;
        state.taken.fetch_max(taken, SeqCst);
    }
    Ok(())
}

/// The next request: its body, and the key with it; `None` where there is none any more.
fn request(state: &State, reader: &mut impl BufRead) -> io::Result<Option<(Vec<u8>, Option<String>)>> {
    let mut key = None;
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            break;
        }
        if line.contains(" HTTP/1.1") && !line.starts_with("POST ") {
            state.not_posted.fetch_add(1, SeqCst);
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match &*name.to_ascii_lowercase() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => key = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some((body, key)))
}

/// Status and body; `None` where it hangs up.
fn answer(state: &State, body: &[u8]) -> Option<(&'static str, Value)> {
    let took = |left: &AtomicUsize| left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
    if took(&state.hangs_up) {
        return None;
    }
    if took(&state.fails) {
        return Some(("500 Internal Server Error", json!({ "error": { "message": "out of sorts" } })));
    }
    let question: Value = serde_json::from_slice(body).unwrap_or_default();
    let texts: Vec<&str> = question["input"].as_array()?.iter().filter_map(Value::as_str).collect();
    if texts.iter().any(|text| text.contains(UNWELCOME)) {
        return Some(("400 Bad Request", json!({ "error": "not\nthis text" })));
    }
    let most = state.most_texts.load(SeqCst);
    if most > 0 && texts.len() > most {
        return Some(("413 Payload Too Large", json!({ "error": "too many texts" })));
    }
    let dimension = state.dimension.load(SeqCst);
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({ "index": index, "embedding": counted(text, dimension) }))
        .collect();
    locked(&state.texts).extend(texts.iter().map(|text| (*text).to_owned()));
    Some(("200 OK", json!({ "model": question["model"], "data": data })))
}

/// How often each word stands in `text`, each at a place of its own as far as there are places.
fn counted(text: &str, dimension: usize) -> Vec<f32> {
    let mut numbers = vec![0.0; dimension];
    numbers[0] = 0.01;
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let hash = word.to_lowercase().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let place = usize::try_from(hash >> 7).unwrap_or_default() % dimension;
        numbers[place] += 1.0;
    }
    numbers
}
