//! Metrics and health over HTTP: a named thread that answers from the newest sample, and for which no sample waits.
//!
//! Each connection has one request, and each step of it a limit. Nothing here reads a database or `/proc`.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    time,
};

mod address;
mod answers;
mod health;
mod host_names;
mod redacted_snapshot;
mod socket;

pub use address::{AddressError, ListenAddress};
pub use health::ServedHealth;
pub use socket::ListenError;

use answers::Answers;
use host_names::HostNames;
use socket::{AcceptedPeer, BoundSocket, ByteStream};

use crate::{sampler::Sample, threads};

/// Connections at the same time; a further one is refused.
const MOST_CONNECTIONS: usize = 64;
/// How long a client may take to send its request.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may last.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long the refusal of a connection may take.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// Bytes of a request before its body.
const MOST_HEAD: usize = 16 << 10;
/// How long to wait after the system has refused a connection, as without free descriptors.
const REST: Duration = Duration::from_millis(100);
/// How long an end waits for the thread.
const PATIENCE: Duration = Duration::from_millis(500);

const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Where to listen, and what is answered there.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    pub address: ListenAddress,
    /// Whether the whole sample is served. A unix socket, which only its owner can use, does it anyway.
    pub has_snapshot: bool,
    /// Host names to answer to, beside loopback names and the address itself.
    pub allowed_hosts: Vec<String>,
    /// Time between two samples.
    pub every: Duration,
}

/// A running listener. It ends when this is dropped.
#[derive(Debug)]
pub struct Listener {
    place: String,
    stop: Option<oneshot::Sender<()>>,
    // Nothing is ever sent: the channel closes when the thread is done.
    done: crossbeam_channel::Receiver<()>,
}

/// The samples, as far as answers need them.
pub type Samples = watch::Receiver<Option<Arc<Sample>>>;

impl Listener {
    /// Answers from `samples` from now on.
    ///
    /// # Errors
    ///
    /// The address is taken or not allowed, or the system refuses a thread.
    pub fn start(options: &ListenOptions, samples: Samples) -> Result<Self, ListenError> {
        let socket = BoundSocket::bind(&options.address)?;
        let place = socket.place().to_owned();
        if !options.address.is_loopback() {
            log::warn!("{place} can be reached from other machines");
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| ListenError::Start { place: place.clone(), source })?;
        let answers = Arc::new(Answers::new(options));
        let names = Arc::new(HostNames::new(&options.allowed_hosts));
        let (stop, stopped) = oneshot::channel();
        let serve = move || runtime.block_on(accept(socket, samples, answers, names, stopped));
        let done = threads::start_watched("waltop-listener", serve)
            .map_err(|source| ListenError::Start { place: place.clone(), source })?;
        Ok(Self { place, stop: Some(stop), done })
    }

    /// Its address, with the port that the system gave it.
    pub fn place(&self) -> &str {
        &self.place
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended.
            let _ = stop.send(());
        }
        let _ = self.done.recv_timeout(PATIENCE);
    }
}

async fn accept(
    socket: BoundSocket,
    mut samples: Samples,
    answers: Arc<Answers>,
    names: Arc<HostNames>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut listener = match socket.listener() {
        Ok(listener) => listener,
        Err(error) => {
            log::error!("nothing is served: {error}");
            return;
        }
    };
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut is_sampling = true;
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            changed = samples.changed(), if is_sampling => {
                is_sampling = changed.is_ok();
                if is_sampling && let Some(sample) = samples.borrow_and_update().clone() {
                    answers.set_sample(sample, Instant::now());
                }
            }
            peer = listener.accept() => match peer {
                Ok((stream, peer)) => match Arc::clone(&room).try_acquire_owned() {
                    Ok(permit) => {
                        _ = tokio::spawn(serve(stream, peer, Arc::clone(&answers), Arc::clone(&names), permit));
                    }
                    // In a task of its own, which ends after a second at most.
                    Err(_) => _ = tokio::spawn(refuse(stream)),
                },
                Err(error) => {
                    log::warn!("a connection was not accepted: {error}");
                    time::sleep(REST).await;
                }
            },
        }
    }
}

async fn serve(
    stream: Box<dyn ByteStream>,
    peer: AcceptedPeer,
    answers: Arc<Answers>,
    names: Arc<HostNames>,
    permit: OwnedSemaphorePermit,
) {
    let service = service_fn(move |request| {
        let is_foreign = peer.is_foreign(&request, &names);
        let answer = answers.answer(&request, peer.is_local(), is_foreign);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        .keep_alive(false)
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // An error is the client's: it went away, or sent no HTTP.
    let _ = time::timeout(ANSWER_WITHIN, connection).await;
    drop(permit);
}

async fn refuse(mut stream: Box<dyn ByteStream>) {
    let refusal = async {
        stream.write_all(TOO_MANY).await?;
        stream.shutdown().await
    };
    // The client may be gone.
    let _ = time::timeout(REFUSED_WITHIN, refusal).await;
}

#[cfg(test)]
mod tests;
