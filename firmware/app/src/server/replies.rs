//! Faults as they go over the link, and text and values in parts that fit a frame.

use core::fmt::{self, Write};

use attoformer_protocol::link::fault::Fault;
use attoformer_protocol::link::message::Reply;
use attoformer_slots::Refusal;
use heapless::String;

use crate::board::Board;
use crate::port::Port;

/// Bytes of text or values in one reply. Small frames arrive more often on a bad line, and a host sees a story sooner.
pub const TEXT: usize = 64;
/// Bytes of an error's sentence at most.
const SENTENCE: usize = 200;

/// A sentence, truncated if it is too long.
struct Sentence(String<SENTENCE>);

impl fmt::Write for Sentence {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = SENTENCE.saturating_sub(self.0.len());
        let _ = self.0.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
        Ok(())
    }
}

/// Passes a refusal as a fault.
pub fn with_fault<R>(refusal: Refusal, pass: impl FnOnce(Fault<'_>) -> R) -> R {
    match refusal {
        Refusal::Fault(fault) => pass(fault),
        Refusal::Engine(_) => with_sentence(refusal, |sentence| pass(Fault::Engine(sentence))),
    }
}

/// Passes a refusal as a sentence.
pub fn with_sentence<R>(refusal: Refusal, pass: impl FnOnce(&str) -> R) -> R {
    let mut sentence = Sentence(String::new());
    let _ = match refusal {
        Refusal::Fault(fault) => write!(sentence, "{fault}"),
        Refusal::Engine(error) => write!(sentence, "{error}"),
    };
    pass(&sentence.0)
}

/// Sends a token with its text, which may need several replies.
pub fn send_piece(port: &mut Port<'_>, board: &mut impl Board, mut token: Option<u32>, ticks: u64, mut text: &str) {
    while token.is_some() || !text.is_empty() {
        let (part, rest) = text.split_at_checked(text.floor_char_boundary(TEXT)).unwrap_or_default();
        port.send(board, &Reply::Piece { token: token.take(), ticks, text: part });
        text = rest;
    }
}

/// Sends values as little-endian bytes.
pub fn send_values(port: &mut Port<'_>, board: &mut impl Board, values: &[f32]) {
    for values in values.chunks(TEXT / 4) {
        let mut bytes = [0; TEXT];
        let (words, _) = bytes.as_chunks_mut::<4>();
        words.iter_mut().zip(values).for_each(|(word, value)| *word = value.to_le_bytes());
        port.send(board, &Reply::Values(bytes.get(..values.len() * 4).unwrap_or_default()));
    }
}
