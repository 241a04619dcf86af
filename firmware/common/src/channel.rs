//! Sends frames to the host: postcard in COBS over semihosting's standard output.

use attoformer_protocol::job::{Frame, MAX_FRAME, MAX_PAYLOAD};
use semihosting::io::{self, Write};

/// Sends one frame. If the host no longer reads, nobody can be told, so errors are dropped.
pub fn send(frame: &Frame<'_>) {
    let mut buffer = [0; MAX_FRAME];
    if let Ok(bytes) = postcard::to_slice_cobs(frame, &mut buffer)
        && let Ok(mut output) = io::stdout()
    {
        let _ = output.write_all(bytes);
    }
}

/// Sends text of any length, in frames that end at character boundaries.
pub fn send_text(mut text: &str) {
    while !text.is_empty() {
        let (part, rest) = text.split_at(text.floor_char_boundary(MAX_PAYLOAD));
        send(&Frame::Text(part));
        text = rest;
    }
}
