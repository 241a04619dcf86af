//! A transcript and its segments.

use std::fmt::{self, Display};
use std::time::Duration;

/// Transcript of an audio clip.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// All tokens, without the prompt and EOS.
    pub tokens: Vec<u32>,
    /// Their text.
    pub text: String,
    /// Segments, if timestamps were requested.
    pub segments: Vec<Segment>,
    /// Token of the language; multilingual models only.
    pub language: Option<u32>,
    /// Time for features and encoder.
    pub encode: Duration,
    /// Time for the decoder.
    pub decode: Duration,
}

/// A segment of a transcript between two timestamps.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Segment {
    /// Start in seconds from the start of the clip.
    pub start: f64,
    /// End in seconds from the start of the clip.
    pub end: f64,
    /// Its text.
    pub text: String,
}

/// Formats as `[00:00.00 --> 00:04.20] text`, with hours if there are any.
impl Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} --> {}] {}", Timecode(self.start), Timecode(self.end), self.text.trim())
    }
}

/// Seconds, formatted as `HH:MM:SS.hh`.
struct Timecode(f64);

impl Display for Timecode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = (self.0 * 100.0).round() as u64;
        let (seconds, minutes, hours) = (hundredths / 100 % 60, hundredths / 6000 % 60, hundredths / 360_000);
        if hours > 0 {
            write!(f, "{hours:02}:")?;
        }
        write!(f, "{minutes:02}:{seconds:02}.{:02}", hundredths % 100)
    }
}
