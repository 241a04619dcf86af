//! Frames out: postcard in COBS, over semihosting's standard output.

use attoformer_protocol::{Frame, MAX_FRAME, MAX_PAYLOAD};
use semihosting::io::{self, Write};

/// Sends one frame. There is nobody to tell when the host no longer listens, so errors end here.
pub fn send(frame: &Frame<'_>) {
    let mut buffer = [0; MAX_FRAME];
    if let Ok(bytes) = postcard::to_slice_cobs(frame, &mut buffer)
        && let Ok(mut output) = io::stdout()
    {
        let _ = output.write_all(bytes);
    }
}

/// Sends text of any length, in frames that end between characters.
pub fn send_text(mut text: &str) {
    while !text.is_empty() {
        let (piece, rest) = text.split_at(text.floor_char_boundary(MAX_PAYLOAD));
        send(&Frame::Text(piece));
        text = rest;
    }
}
