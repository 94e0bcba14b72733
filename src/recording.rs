//! Recordings: every hold, wait, pin, finding and sample of the watched databases, on disk, for the time after it.
//!
//! A folder keeps the segments of its days, each a sequence of zstd frames, and one open file of plain lines: the newest
//! minute. `docs/recording.md` describes the format. Nothing here opens a SQLite connection.

mod changes;
mod excerpt;
mod frame;
mod html;
mod line;
mod line_text;
mod moment;
mod open_minute;
mod perfetto;
mod reader;
mod recorder;
mod redaction;
mod retention;
mod segment;
mod spans;
mod stream;
mod strip;
mod summary;
mod summary_text;
mod tick;
mod when;
mod who;
mod who_text;
mod writer;

pub use excerpt::{ExcerptError, RecordingExcerpt};
pub use html::SummaryPage;
pub use line::{
    FormatVersion, GapReason, LineHead, LogLine, RecordedProcess, RecordingEvent, RecordingHeader,
    RecordingLine, Stamp,
};
pub use line_text::parse as parse_line;
pub use moment::{PlayedMoment, RecordedNote, ReplayRemark};
pub use perfetto::{ExportError, PerfettoExport, PerfettoFormat};
pub use reader::{FramePlace, RecordedFrame, RecordedText, Recording, RecordingError};
pub use recorder::{LONGEST_INTERVAL, Recorder, RecorderHost, RecorderState};
pub use redaction::Redaction;
pub use retention::RetentionLimits;
pub use spans::{Span, SpanKind, SpanReader};
pub use stream::{LineStream, StreamOutbox};
pub use summary::{DatabaseSummary, RecordingSummary};
pub use summary_text::local_time;
pub use tick::RecorderTick;
pub use when::{TimeError, time_of};
pub use who::{LONGEST_SILENCE, UnwatchedTime, WhoDatabase, WhoReport};
#[cfg(test)]
pub use writer::RecordingWriter;
pub use writer::StartError;

#[cfg(test)]
mod committed;
#[cfg(test)]
mod tests;
