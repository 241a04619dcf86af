//! Time of each operator in one pass over the golden vector's tokens.
//!
//! A probe sees the rows between the operators; the time between two of its calls belongs to what was computed there.

use attoformer::image::Role;
use attoformer::probe::{Part, Site};
use attoformer::{Probe, Session};
use attoformer_protocol::link::message::{Done, Reply};
use attoformer_slots::{MappedFlash, Refusal};
use heapless::Vec;

use super::{Server, self_test};
use crate::board::Board;

/// Operators of a model at most.
const OPERATORS: usize = 24;

impl<B: Board, F: MappedFlash> Server<'_, B, F> {
    pub(super) fn bench(&mut self) -> Result<(), Refusal> {
        let image = self.slots.model()?;
        self_test(&image, self.arena)?;
        let golden = image.golden();
        let mut session = Session::new(&image, self.arena)?;
        let start = self.board.ticks();
        let mut probe = Timer { board: &mut self.board, since: start, operator: "embedding", times: Vec::new() };
        if image.config().has_encoder() {
            if golden.features.is_empty() {
                session.encode_probed(golden.tokens, &mut probe)?;
            } else {
                session.encode_features_probed(golden.features, &mut probe)?;
            }
        }
        if golden.generate > 0 {
            probe.next("embedding");
            session.prefill_probed(golden.tokens, &mut probe)?;
        }
        probe.next("end");
        let times = probe.times;
        let ticks = times.iter().fold(0_u64, |sum, (_, ticks)| sum.wrapping_add(*ticks));
        let tokens = golden.tokens.len() as u32;
        times.iter().for_each(|&(name, ticks)| self.port.send(&mut self.board, &Reply::Operator { name, ticks }));
        self.done(Done { tokens, ticks, ..Done::default() });
        Ok(())
    }
}

/// A probe that measures the time between its calls.
struct Timer<'b, B> {
    board: &'b mut B,
    since: u64,
    /// The operator that runs since then.
    operator: &'static str,
    times: Vec<(&'static str, u64), OPERATORS>,
}

impl<B: Board> Timer<'_, B> {
    /// Ends the operator that runs; `operator` follows.
    fn next(&mut self, operator: &'static str) {
        let now = self.board.ticks();
        let ticks = now.wrapping_sub(self.since);
        match self.times.iter_mut().find(|(name, _)| *name == self.operator) {
            Some((_, sum)) => *sum = sum.wrapping_add(ticks),
            // A model has fewer kinds of operators than the list has room for.
            None => drop(self.times.push((self.operator, ticks))),
        }
        (self.operator, self.since) = (operator, self.board.ticks());
    }
}

impl<B: Board> Probe for Timer<'_, B> {
    fn rows(&mut self, site: Site, _: usize, _: &mut [f32]) {
        self.next(match site.part {
            Part::Keys | Part::CrossKeys => "attention",
            Part::Neurons => "quantize",
            _ => "norm_and_residual",
        });
    }

    fn input(&mut self, site: Site, _: usize, _: &[f32]) {
        self.next(match site.part {
            Part::Input(Role::Qkv) => "qkv",
            Part::Input(Role::AttnOut) => "attn_out",
            Part::Input(Role::MlpUp) => "mlp_up",
            Part::Input(Role::MlpDown) => "mlp_down",
            Part::Input(Role::Embedding | Role::Head) => "head",
            Part::Input(Role::CrossQuery | Role::CrossKv | Role::CrossOut) => "cross_attention",
            Part::Input(Role::Conv1 | Role::Conv2) => "input_stem",
            _ => "other",
        });
    }
}
