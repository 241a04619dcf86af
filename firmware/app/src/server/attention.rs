//! Attention weights of one head, sent as they are computed, so no buffer holds them all.

use attoformer::probe::HeadSite;
use attoformer::{Error, Probe, Session};
use attoformer_protocol::link::message::{Done, Input, Reply};
use attoformer_slots::{MappedFlash, Refusal};
use heapless::Vec;

use super::{Server, arena_of, input, replies::TEXT};
use crate::board::Board;
use crate::port::Port;

impl<B: Board, F: MappedFlash> Server<'_, B, F> {
    pub(super) fn attention(&mut self, asked: Input, layer: u32, head: u32) -> Result<(), Refusal> {
        let image = self.slots.model()?;
        let config = image.config();
        if layer >= config.layers || head >= config.heads {
            let (name, value) = if layer >= config.layers { ("layer", layer) } else { ("head", head) };
            return Err(Error::Field { name, value }.into());
        }
        let (arena, memory) = self.arena.split_at_mut_checked(arena_of(&image)).unwrap_or_default();
        let bytes = input::split(memory, asked)?;
        let mut session = Session::new(&image, arena)?;
        let mut probe = HeadProbe { layer, head: head as usize, port: &mut self.port, board: &mut self.board };
        let tokens = if config.has_encoder() {
            let (tokens, _) = input::encoder_tokens(&session, asked.kind, bytes)?;
            session.encode_probed(tokens, &mut probe)?;
            tokens.len()
        } else {
            let tokens = input::prompt_tokens(&image, asked.kind, bytes)?;
            session.prefill_probed(tokens, &mut probe)?;
            tokens.len()
        };
        self.done(Done { tokens: tokens as u32, ..Done::default() });
        Ok(())
    }
}

/// A probe that sends the weights of one head.
struct HeadProbe<'s, 'l, B> {
    layer: u32,
    head: usize,
    port: &'s mut Port<'l>,
    board: &'s mut B,
}

impl<B: Board> Probe for HeadProbe<'_, '_, B> {
    fn wants_attention(&self) -> bool {
        true
    }

    fn attention(&mut self, site: HeadSite, weights: impl Iterator<Item = (usize, u32)>) {
        if site.layer != self.layer || site.head != self.head {
            return;
        }
        let (mut bytes, mut next) = (Vec::new(), 0);
        for (key, weight) in weights {
            // A mask may hide keys between two visible ones.
            if bytes.len() + 4 > TEXT || key != next {
                self.flush(site.position, next, &mut bytes);
            }
            // Fits: a full buffer was sent above.
            let _ = bytes.extend_from_slice(&weight.to_le_bytes());
            next = key + 1;
        }
        self.flush(site.position, next, &mut bytes);
    }
}

impl<B: Board> HeadProbe<'_, '_, B> {
    /// Sends the weights of the keys before `next`.
    fn flush(&mut self, position: usize, next: usize, bytes: &mut Vec<u8, TEXT>) {
        if !bytes.is_empty() {
            let key = next.saturating_sub(bytes.len() / 4) as u32;
            self.port.send(self.board, &Reply::Attention { position: position as u32, key, weights: bytes });
        }
        bytes.clear();
    }
}
