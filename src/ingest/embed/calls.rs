//! Several threads that call an embedder at once, with retries where they may help.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::{EmbedOptions, EmbedRefusal, Embedder, vector};
use crate::{
    database::busy::jittered,
    ingest::{StopFlag, parse::ContentHash},
    threads,
};

/// How often a text is sent before waltop gives up on it.
const TRIES: u32 = 5;

/// The longest pause before a text is sent again, whatever the embedder asks for.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How often a pausing thread checks whether the run has to stop.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// A document that has no vector yet.
#[derive(Debug)]
pub struct WantedVector {
    pub id: i64,
    pub name: String,
    /// Hash of the embedded text.
    pub hash: ContentHash,
    /// Text to embed.
    pub text: String,
}

/// Result for one document.
#[derive(Debug)]
pub struct EmbedAnswer {
    /// The document, without its text.
    pub wanted: WantedVector,
    /// Its vector, of length 1; or why there is none, after all tries.
    pub vector: Result<Vec<f32>, EmbedRefusal>,
}

/// The threads. They exit by themselves once this is dropped; no process waits for one that is in a call.
#[derive(Debug)]
pub struct EmbedCalls {
    jobs: Sender<WantedVector>,
    answers: Receiver<EmbedAnswer>,
    /// Documents that were given and have not been answered.
    under_way: usize,
    most: usize,
}

impl EmbedCalls {
    /// Starts as many threads as `options` allow calls, or fewer if the system refuses them.
    ///
    /// # Errors
    ///
    /// The system refuses every thread.
    pub fn start(options: &EmbedOptions, stop: &StopFlag) -> io::Result<Self> {
        let calls = options.calls.get();
        let (jobs, wanted) = unbounded::<WantedVector>();
        let (answer, answers) = unbounded();
        let mut started = 0;
        for number in 0..calls {
            let (wanted, answer, options, stop) =
                (wanted.clone(), answer.clone(), options.clone(), stop.clone());
            let thread = threads::start(&format!("embed-{number}"), move || {
                for mut wanted in wanted {
                    let asked = || ask(&options, &stop, &wanted.text);
                    let vector = panic::catch_unwind(AssertUnwindSafe(asked)).unwrap_or_else(|_| {
                        Err(EmbedRefusal::Never("the embedder failed inside".to_owned()))
                    });
                    wanted.text.clear();
                    if answer.send(EmbedAnswer { wanted, vector }).is_err() {
                        return;
                    }
                }
            });
            match thread {
                Ok(_) => started += 1,
                Err(error) if started == 0 => return Err(error),
                // Fewer calls at a time are slower, but as good.
                Err(_) => break,
            }
        }
        // Twice as many more wait, so that no thread is idle while vectors are written.
        Ok(Self { jobs, answers, under_way: 0, most: started * 3 })
    }

    /// Whether it accepts another document.
    pub fn has_room(&self) -> bool {
        self.under_way < self.most
    }

    /// Whether no answer is pending.
    pub fn is_idle(&self) -> bool {
        self.under_way == 0
    }

    /// Queues `wanted` for embedding.
    pub fn give(&mut self, wanted: WantedVector) {
        if self.jobs.send(wanted).is_ok() {
            self.under_way += 1;
        }
    }

    /// The next answer that arrives within `patience`.
    pub fn next(&mut self, patience: Duration) -> Option<EmbedAnswer> {
        match self.answers.recv_timeout(patience) {
            Ok(answer) => {
                self.under_way -= 1;
                Some(answer)
            }
            Err(RecvTimeoutError::Timeout) => None,
            // The threads are gone, which happens only if an embedder panics.
            Err(RecvTimeoutError::Disconnected) => {
                self.under_way = 0;
                None
            }
        }
    }
}

/// The vector of `text`, with retries where they may help.
pub(super) fn ask(options: &EmbedOptions, stop: &StopFlag, text: &str) -> Result<Vec<f32>, EmbedRefusal> {
    let mut pause = options.pause;
    for tried in 1.. {
        let refusal = match once(&*options.embedder, text) {
            Ok(vector) => return Ok(vector),
            Err(refusal) => refusal,
        };
        let after = match &refusal {
            EmbedRefusal::Later { after, .. } => after.unwrap_or_default(),
            EmbedRefusal::Unreachable(_) => Duration::ZERO,
            EmbedRefusal::Text(_) | EmbedRefusal::Never(_) => return Err(refusal),
        };
        if tried >= TRIES || !slept(after.max(jittered(pause)).min(LONGEST_PAUSE), stop) {
            return Err(refusal);
        }
        pause *= 2;
    }
    unreachable!("the tries have an end")
}

fn once(embedder: &dyn Embedder, text: &str) -> Result<Vec<f32>, EmbedRefusal> {
    let mut vectors = embedder.embed(&[text])?;
    match (vectors.pop(), vectors.is_empty()) {
        (Some(numbers), true) => {
            vector::unit(numbers).ok_or_else(|| EmbedRefusal::Text("its vector is no direction".to_owned()))
        }
        _ => Err(EmbedRefusal::Never("the embedder did not give one vector for one text".to_owned())),
    }
}

/// Whether `pause` passed before the run had to stop.
fn slept(pause: Duration, stop: &StopFlag) -> bool {
    let until = Instant::now() + pause;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.is_raised() {
            return !stop.is_raised();
        }
        thread::sleep(left.min(STOP_CHECK));
    }
}
