//! The input of a request: bytes after the running model's arena, and the tokens of a text after them.

use attoformer::{Encoding, Error, Image, Session, Tokenizer};
use attoformer_protocol::link::fault::Fault;
use attoformer_protocol::link::message::{Input, InputKind};
use attoformer_slots::{MappedFlash, Refusal};
use zerocopy::FromBytes;

use super::Server;
use crate::board::Board;

impl<B: Board, F: MappedFlash> Server<'_, B, F> {
    /// Stores a part of the input. What does not fit is dropped here and refused by the request that uses it.
    pub(super) fn store_input(&mut self, at: u32, bytes: &[u8]) {
        let room = self.arena.get_mut(self.model_bytes..).unwrap_or_default();
        if let Some(room) = room.get_mut(at as usize..).and_then(|room| room.get_mut(..bytes.len())) {
            room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
    }
}

/// The bytes after the model's arena: the input, then free memory.
pub struct Bytes<'a> {
    /// The input.
    pub input: &'a [u8],
    /// Free memory after it, as words.
    pub free: &'a mut [u32],
}

/// Splits the memory after the model's arena.
pub fn split(memory: &mut [u8], input: Input) -> Result<Bytes<'_>, Refusal> {
    let have = memory.len();
    let len = (input.bytes as usize).next_multiple_of(4);
    let (bytes, free) = memory.split_at_mut_checked(len).ok_or(too_long(len, have))?;
    let words = free.len() / 4;
    let (free, _) = <[u32]>::mut_from_prefix_with_elems(free, words).map_err(|_| Fault::BadInput)?;
    let input = bytes.get(..input.bytes as usize).unwrap_or_default();
    Ok(Bytes { input, free })
}

/// The refusal of an input that needs more memory than there is.
pub fn too_long(need: usize, have: usize) -> Refusal {
    let limited = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    Fault::InputTooLong { need: limited(need), have: limited(have) }.into()
}

/// The input as text.
pub fn text(input: &[u8]) -> Result<&str, Refusal> {
    str::from_utf8(input).map_err(|_| Fault::BadInput.into())
}

/// The input as elements of a fixed size.
pub fn elements<T: FromBytes + zerocopy::Immutable>(input: &[u8]) -> Result<&[T], Refusal> {
    <[T]>::ref_from_bytes(input).map_err(|_| Fault::BadInput.into())
}

/// The tokens of a prompt: BOS precedes a text if the tokenizer adds it.
pub fn prompt_tokens<'b>(image: &Image<'_>, kind: InputKind, bytes: Bytes<'b>) -> Result<&'b [u32], Refusal> {
    let context = image.config().context as usize;
    match kind {
        InputKind::Tokens => elements(bytes.input),
        InputKind::Text => {
            let have = bytes.free.len();
            let free = bytes.free.get_mut(..have.min(context)).unwrap_or_default();
            match image.tokenizer()?.encode_prompt(text(bytes.input)?, free) {
                Ok(count) => Ok(free.get(..count).unwrap_or_default()),
                Err(Error::BufferTooSmall { .. }) if have < context => Err(too_long(context * 4, have * 4)),
                Err(Error::BufferTooSmall { .. }) => Err(Error::ContextFull { tokens: context + 1, context }.into()),
                Err(error) => Err(error.into()),
            }
        }
        InputKind::Samples | InputKind::Features => Err(Fault::BadInput.into()),
    }
}

/// The tokens of an encoder's input, and how many were truncated. The host's `atto embed` truncates in the same way.
pub fn encoder_tokens<'b>(session: &Session<'_>, kind: InputKind, bytes: Bytes<'b>) -> Result<(&'b [u32], usize), Refusal> {
    match kind {
        InputKind::Tokens => Ok((elements(bytes.input)?, 0)),
        InputKind::Text => {
            let tokenizer = session.image().tokenizer()?;
            let context = session.remaining();
            let encoding = encode_truncated(&tokenizer, text(bytes.input)?, bytes.free, context)?;
            Ok((bytes.free.get(..encoding.tokens).unwrap_or_default(), encoding.truncated))
        }
        InputKind::Samples | InputKind::Features => Err(Fault::BadInput.into()),
    }
}

/// Encodes a text with its special tokens; truncates the end of one that exceeds the context.
fn encode_truncated(tokenizer: &Tokenizer<'_>, text: &str, free: &mut [u32], context: usize) -> Result<Encoding, Refusal> {
    let have = free.len();
    let within = free.get_mut(..context).ok_or(too_long(context.saturating_mul(4), have * 4))?;
    match tokenizer.encode_with_special_tokens(text, within) {
        Err(Error::BufferTooSmall { .. }) if context > 2 => {}
        encoded => return Ok(encoded?),
    }
    let need = tokenizer.max_tokens(text.len());
    let all = free.get_mut(..need).ok_or(too_long(need.saturating_mul(4), have * 4))?;
    let count = tokenizer.encode_with_special_tokens(text, all)?.tokens;
    if count <= context {
        return Ok(Encoding { tokens: count, truncated: 0 });
    }
    if tokenizer.add_eos()
        && let Some(last) = all.get_mut(context - 1)
    {
        *last = tokenizer.eos();
    }
    Ok(Encoding { tokens: context, truncated: count - context })
}
