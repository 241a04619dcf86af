//! Encodes a text, tokens, audio or features: an embedding, or a classifier's logits.

#[cfg(feature = "engine")]
use attoformer::Error;
use attoformer::{OutputHash, Session};
use attoformer_protocol::link::fault::Fault;
use attoformer_protocol::link::message::{Done, Input, InputKind};
use attoformer_slots::{MappedFlash, Refusal};

use super::{Server, arena_of, input, replies};
use crate::board::Board;

impl<B: Board, F: MappedFlash> Server<'_, B, F> {
    pub(super) fn encode(&mut self, asked: Input) -> Result<(), Refusal> {
        let image = self.slots.model()?;
        let (arena, memory) = self.arena.split_at_mut_checked(arena_of(&image)).unwrap_or_default();
        let bytes = input::split(memory, asked)?;
        let mut session = Session::new(&image, arena)?;
        let mut done = Done::default();
        self.board.led(true);
        let start = self.board.ticks();
        let output = run(&mut session, asked.kind, bytes, &mut done);
        done.ticks = self.board.ticks().wrapping_sub(start);
        self.board.led(false);
        let output = output?;
        let mut hash = OutputHash::new();
        hash.logits(output);
        done.output_hash = hash.value();
        replies::send_values(&mut self.port, &mut self.board, output);
        self.done(done);
        Ok(())
    }
}

/// Encodes the input.
fn run<'s>(session: &'s mut Session<'_>, kind: InputKind, bytes: input::Bytes<'_>, done: &mut Done) -> Result<&'s [f32], Refusal> {
    match kind {
        InputKind::Text | InputKind::Tokens => {
            let (tokens, truncated) = input::encoder_tokens(session, kind, bytes)?;
            (done.tokens, done.truncated) = (tokens.len() as u32, truncated as u32);
            Ok(session.encode(tokens)?)
        }
        InputKind::Features => Ok(session.encode_features(input::elements(bytes.input)?)?),
        InputKind::Samples => samples(session, bytes),
    }
}

/// Encodes a clip: the front end's scratch memory and rows take the free memory.
#[cfg(feature = "engine")]
fn samples<'s>(session: &'s mut Session<'_>, bytes: input::Bytes<'_>) -> Result<&'s [f32], Refusal> {
    let frontend = session.image().frontend().ok_or(Error::Architecture { asked: "audio input" })?;
    let (need, have) = (frontend.scratch_len() + frontend.rows() * frontend.features(), bytes.free.len());
    let free = bytes.free.get_mut(..need).ok_or(input::too_long(need * 4, have * 4))?;
    let floats: &mut [f32] = zerocopy::FromBytes::mut_from_bytes(zerocopy::IntoBytes::as_mut_bytes(free)).map_err(|_| Fault::BadInput)?;
    let (scratch, rows) = floats.split_at_mut_checked(frontend.scratch_len()).unwrap_or_default();
    frontend.clip(input::elements::<i16>(bytes.input)?, scratch, rows)?;
    Ok(session.encode_features(rows)?)
}

#[cfg(not(feature = "engine"))]
fn samples<'s>(_: &'s mut Session<'_>, _: input::Bytes<'_>) -> Result<&'s [f32], Refusal> {
    Err(Fault::NotBuiltIn { feature: "audio" }.into())
}
