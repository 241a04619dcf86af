//! What sees whole sequences: encoders, the encoder of an encoder-decoder, and a decoder's prefix.

use crate::format::Role;
use crate::format::{Architecture, Classifier, Pooler, Pooling};
use crate::kernels::Kernels;
use crate::layers::attention::CrossAttention;
use crate::layers::attention::heads::Sight;
use crate::layers::block::Block;
use crate::layers::input_stem::{InputStem, InputStemScratch};
use crate::layers::linear::{Linear, QuantizeScratch};
use crate::layers::norm::Norm;
use crate::memory::{Plan, workspace::Workspace};
use crate::model::{Model, Rooms};
use crate::numeric::{l2_normalize, relu, tanh};
use crate::probe::{Part, Probe, Site};
use crate::slices::{prefix_mut, rows};

/// What an encoder reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'i> {
    /// Tokens of one sequence or several.
    Tokens(&'i [u32]),
    /// Rows of features of one sequence, `(frames, features)`.
    Features(&'i [f32]),
}

/// Each sequence's first place in the cache and its length. Rows are packed one behind another; a sequence's keys begin at a whole block of four,
/// so that its sums run over the same keys as those of the sequence alone (rule 7 of the numeric specification).
pub(crate) fn places(lengths: &[usize]) -> impl Iterator<Item = (usize, usize)> + Clone {
    lengths.iter().scan(0usize, |end, &tokens| {
        let first = end.saturating_add(3) & !3;
        *end = first.saturating_add(tokens);
        Some((first, tokens))
    })
}

/// Where each row of sequences of these lengths stands, from row `start` on.
fn sights(lengths: &[usize], start: usize) -> impl Iterator<Item = Sight> + Clone {
    // Rows before `start` are not stepped through: a long sequence has many blocks.
    let rest = places(lengths).scan(start, |before, (first, tokens)| {
        let done = tokens.min(*before);
        *before -= done;
        Some((first, done, tokens))
    });
    rest.flat_map(|(first, done, tokens)| (done..tokens).map(move |position| Sight { position, first, tokens }))
}

impl Model<'_> {
    /// Runs whole sequences of `lengths` rows, packed one behind another, through a stack, every row of which sees its own sequence, `plan.block`
    /// rows at a time. A layer has two halves: first all rows leave their keys, values and queries, then all rows go on. The rows
    /// `(rows, d_model)` stay in the workspace.
    pub(crate) fn encode(
        &self,
        kernels: &Kernels,
        workspace: &mut Workspace<'_>,
        plan: Plan,
        input: Input<'_>,
        lengths: &[usize],
        probe: &mut impl Probe,
    ) {
        let config = self.image().config();
        let count = lengths.iter().sum();
        let mut rooms = Rooms::of(workspace, config, plan, count);
        let block = plan.block as usize;
        let (rows_at_once, queries_at_once) = ((block * config.d_model as usize).max(1), (block * config.q_dim() as usize).max(1));
        let starts = || (0..).step_by(block.max(1));
        self.enter(kernels, input, lengths, rows_at_once, &mut rooms);
        probe.rows(Site { layer: 0, part: Part::Embedded, start: 0 }, config.d_model as usize, rooms.x);
        // A decoder's prefix leaves its keys to the tokens behind it; an encoder's layers take turns in one place.
        let (layers, keeps) = match config.architecture {
            Architecture::Decoder => (config.layers, true),
            Architecture::Encoder => (config.layers, false),
            Architecture::EncoderDecoder => (config.encoder_layers, false),
        };
        let Rooms { x, queries, cache, cross, scratch, turns, .. } = &mut rooms;
        let caches = if config.has_cross() { cross } else { cache };
        for layer in 0..layers {
            let Some(mut cache) = caches.layer(if keeps { layer } else { 0 }) else { return };
            cache.clear();
            let block = Block::new(self.image(), layer);
            let block = if keeps { block.seeing_all() } else { block };
            for ((x, queries), start) in x.chunks(rows_at_once).zip(queries.chunks_mut(queries_at_once)).zip(starts()) {
                let sights = sights(lengths, start);
                let rotary = self.rotary(sights.clone().map(|sight| sight.position), turns);
                block.ask(kernels, sights.map(|sight| sight.first + sight.position), x, rotary, &mut cache, scratch, queries);
            }
            for ((x, queries), start) in x.chunks_mut(rows_at_once).zip(queries.chunks(queries_at_once)).zip(starts()) {
                block.answer(kernels, start, x, sights(lengths, start), &cache, scratch, queries, probe);
            }
        }
    }

    /// Rows before the first block.
    fn enter(&self, kernels: &Kernels, input: Input<'_>, lengths: &[usize], rows_at_once: usize, rooms: &mut Rooms<'_>) {
        let Rooms { x, scratch, stem, .. } = rooms;
        match input {
            Input::Tokens(tokens) => {
                let positions = sights(lengths, 0).map(|sight| sight.position);
                self.embed(kernels, tokens.iter().copied().zip(positions), true, x, scratch.inner);
            }
            Input::Features(features) => {
                let layer = InputStem::new(self.image());
                let mut scratch = InputStemScratch { inner: scratch.inner, stem, quantize: &mut scratch.quantize };
                let mut start = 0;
                for x in x.chunks_mut(rows_at_once) {
                    layer.apply(kernels, features, start, x, &mut scratch);
                    start += rows(x, self.image().config().d_model as usize).len();
                }
            }
        }
    }

    /// Norms the first `count` rows of the last [`Model::encode`] of an encoder-decoder, and leaves their keys and values to its decoder's layers.
    pub(crate) fn hand_over(&self, kernels: &Kernels, workspace: &mut Workspace<'_>, plan: Plan, count: usize) {
        let config = self.image().config();
        let Rooms { x, mut cross, scratch, .. } = Rooms::of(workspace, config, plan, count);
        let mut scratch = scratch;
        if config.final_norm {
            Norm::new(self.image(), Role::EncoderNorm, 0).apply_in_place(kernels, x, scratch.inner);
        }
        let rows_at_once = (plan.block as usize * config.d_model as usize).max(1);
        for layer in 0..config.layers {
            let Some(attention) = CrossAttention::new(self.image(), config.encoder_layers + layer) else { return };
            let Some(mut cache) = cross.layer(layer) else { return };
            for (x, first) in x.chunks(rows_at_once).zip((0..).step_by((plan.block as usize).max(1))) {
                attention.read(kernels, first, x, &mut cache, scratch.wide, &mut scratch.quantize);
            }
        }
    }

    /// What an encoder makes of `tokens` rows from row `first` on of the last [`Model::encode`]: an embedding `(d_model)`, or the `(labels)` of the
    /// sequence or of each row.
    pub(crate) fn conclude(&self, kernels: &Kernels, workspace: &mut Workspace<'_>, first: usize, tokens: usize) {
        let config = self.image().config();
        let d_model = config.d_model as usize;
        let x = workspace.x.get_mut(first * d_model..(first + tokens) * d_model).unwrap_or_default();
        if config.final_norm {
            Norm::new(self.image(), Role::FinalNorm, 0).apply_in_place(kernels, x, workspace.inner);
        }
        let mut quantize = QuantizeScratch { values: workspace.quantized, scales: workspace.row_scales, parallel: workspace.parallel };
        let classifier = Linear::new(self.image(), Role::Classifier, 0);
        let labels = config.labels as usize;
        if config.classifier == Classifier::Tokens {
            let logits = prefix_mut(workspace.output, tokens * labels);
            for (x, out) in rows(x, d_model).zip(logits.chunks_exact_mut(labels.max(1))) {
                classifier.apply(kernels, x, &mut quantize, out);
            }
            return;
        }
        if config.classifier == Classifier::None {
            pool(config.pooling, x, tokens, prefix_mut(workspace.output, d_model));
            if config.l2_normalize {
                l2_normalize(prefix_mut(workspace.output, d_model));
            }
            return;
        }
        let mut pooled = prefix_mut(workspace.inner, d_model);
        pool(config.pooling, x, tokens, pooled);
        if config.pooler != Pooler::None {
            let dense = prefix_mut(workspace.projected, d_model);
            Linear::new(self.image(), Role::Pooler, 0).apply(kernels, pooled, &mut quantize, dense);
            let non_linearity = if config.pooler == Pooler::Tanh { tanh } else { relu };
            dense.iter_mut().for_each(|x| *x = non_linearity(*x));
            pooled = dense;
        }
        classifier.apply(kernels, pooled, &mut quantize, prefix_mut(workspace.output, labels));
    }
}

/// One row `(d_model)` of a sequence's rows.
fn pool(pooling: Pooling, x: &[f32], tokens: usize, out: &mut [f32]) {
    out.fill(0.0);
    let (skip, take) = match pooling {
        Pooling::First => (0, 1),
        Pooling::Last => (tokens.saturating_sub(1), 1),
        Pooling::Mean | Pooling::None => (0, tokens),
    };
    for row in rows(x, out.len()).skip(skip).take(take) {
        out.iter_mut().zip(row).for_each(|(out, &x)| *out += x);
    }
    let count = take as f32;
    out.iter_mut().for_each(|x| *x /= count);
}
