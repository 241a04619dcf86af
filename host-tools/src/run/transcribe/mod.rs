//! Speech to text with Whisper models.

mod options;
mod timestamps;
mod transcriber;
mod transcript;

pub use options::{TranscribeError, TranscribeOptions, language_name};
pub use timestamps::{SegmentTokens, TimestampRules};
pub use transcriber::transcribe;
pub use transcript::{Segment, Transcript};
