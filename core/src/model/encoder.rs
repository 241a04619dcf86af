//! Bidirectional stacks, in which every token attends to its whole sequence: encoders, the encoder of an encoder-decoder, and the prefix of
//! a prefix decoder.

use super::{Buffers, Model, Pass};
use crate::format::{Architecture, Classifier, Config, InputStem as InputStemKind, Pooler, Pooling, Role};
use crate::layers::attention::cross::CrossAttention;
use crate::layers::attention::key_ranges::QueryPos;
use crate::layers::attention::kv_cache::KvCache;
use crate::layers::block::{Block, EncoderRows};
use crate::layers::ctx::Ctx;
use crate::layers::input_stem::{InputStem, InputStemBuffers};
use crate::layers::linear::Linear;
use crate::layers::norm::Norm;
use crate::numeric::{l2_normalize, relu, tanh};
use crate::probe::{Part, Probe};
use crate::slices::{part_mut, prefix_mut, rows, rows_mut};

/// An encoder's input.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'i> {
    /// Tokens of one sequence or several.
    Tokens(&'i [u32]),
    /// Rows of features of one sequence, `(frames, features)`.
    Features(&'i [f32]),
}

/// Rows of the residual stream for `frames` rows of features.
pub(crate) fn input_stem_rows(config: &Config, frames: usize) -> usize {
    match config.input_stem {
        InputStemKind::Convolution => frames.div_ceil(2),
        _ => frames + usize::from(config.class_token),
    }
}

/// Each sequence's first index in the cache, and its length. Rows of sequences are packed without padding; their keys each begin at a whole
/// block of four, so that weighted sums run over the same blocks as for the sequence alone (rule 7 of the numeric specification).
pub(crate) fn seq_starts(lengths: &[usize]) -> impl Iterator<Item = (usize, usize)> + Clone {
    lengths.iter().scan(0usize, |end, &seq_len| {
        let seq_start = end.saturating_add(3) & !3;
        *end = seq_start.saturating_add(seq_len);
        Some((seq_start, seq_len))
    })
}

/// The position of each row of packed sequences of these lengths, from row `start` on.
fn positions(lengths: &[usize], start: usize) -> impl Iterator<Item = QueryPos> + Clone {
    // Rows before `start` are skipped at once: a long sequence has many blocks.
    let rest = seq_starts(lengths).scan(start, |before, (seq_start, seq_len)| {
        let done = seq_len.min(*before);
        *before -= done;
        Some((seq_start, done, seq_len))
    });
    rest.flat_map(|(seq_start, done, seq_len)| (done..seq_len).map(move |pos| QueryPos { pos, seq_start, seq_len }))
}

impl Model<'_> {
    /// Runs whole sequences of `lengths` rows, packed without padding, through a bidirectional stack, `plan.block` rows at a time. A layer
    /// has two halves: first the keys, values and queries of all rows are computed, then the rest of the layer. The rows `(rows, d_model)`
    /// stay in the workspace.
    pub(crate) fn encode<P: Probe>(&self, mut pass: Pass<'_, '_, P>, input: Input<'_>, lengths: &[usize]) {
        let config = self.image().config();
        let (block_rows, context) = ((pass.plan.block as usize).max(1), pass.plan.context);
        let (mut ctx, mut buffers) = pass.split();
        self.encoder_input(&mut ctx, input, lengths, block_rows, &mut buffers);
        let (d_model, q_dim, count) = (config.d_model as usize, config.q_dim() as usize, lengths.iter().sum::<usize>());
        let Some(queries) = buffers.queries else {
            debug_assert!(false, "a bidirectional stack without its queries");
            return;
        };
        let (x, queries) = (prefix_mut(buffers.x, count * d_model), prefix_mut(queries, count * q_dim));
        ctx.show(Part::Embedded, d_model, x);
        // A decoder's prefix keeps its keys for the tokens after it; an encoder's layers share one layer's memory.
        let (layers, is_prefix) = match config.architecture {
            Architecture::Decoder => (config.layers, true),
            Architecture::Encoder => (config.layers, false),
            Architecture::EncoderDecoder => (config.encoder_layers, false),
        };
        let mut caches = match buffers.cross {
            Some(bytes) => KvCache::new(bytes, config, config.encoder_context),
            None => KvCache::new(buffers.kv, config, context),
        };
        for layer in 0..layers {
            let Some(mut cache) = caches.layer(if is_prefix { layer } else { 0 }) else {
                debug_assert!(false, "layer {layer} is outside the cache");
                return;
            };
            cache.clear();
            ctx.layer = layer;
            let block = Block::new(self.image(), layer);
            let block = if is_prefix { block.bidirectional() } else { block };
            for is_second_half in [false, true] {
                let blocks = x.chunks_mut((block_rows * d_model).max(1)).zip(queries.chunks_mut((block_rows * q_dim).max(1)));
                for ((x, queries), start) in blocks.zip((0..).step_by(block_rows.max(1))) {
                    ctx.start = start;
                    let positions = positions(lengths, start);
                    let mut rows = EncoderRows { x, queries, cache: &mut cache };
                    if is_second_half {
                        block.attend_and_mlp(&mut ctx, &mut rows, positions, &mut buffers.block);
                    } else {
                        let rotary = self.rotary(positions.clone().map(|query| query.pos), buffers.sin_cos);
                        block.project_qkv(&mut ctx, &mut rows, positions, rotary, &mut buffers.block);
                    }
                }
            }
        }
    }

    /// Computes the rows before the first block, into `buffers.x`: embedded tokens, or the input stem's output.
    fn encoder_input<P: Probe>(
        &self,
        ctx: &mut Ctx<'_, P>,
        input: Input<'_>,
        lengths: &[usize],
        block_rows: usize,
        buffers: &mut Buffers<'_>,
    ) {
        let config = self.image().config();
        let d_model = config.d_model as usize;
        let x = prefix_mut(buffers.x, lengths.iter().sum::<usize>() * d_model);
        let table = if config.has_cross() { Role::EncoderPositions } else { Role::Positions };
        match input {
            Input::Tokens(tokens) => {
                let positions = positions(lengths, 0).map(|query| query.pos);
                self.embed(ctx.kernels, tokens.iter().copied().zip(positions), table, x, buffers.block.normed);
            }
            Input::Features(features) => {
                let stem = InputStem::new(self.image(), table);
                let mut scratch = InputStemBuffers { gathered: buffers.block.normed, conv_out: buffers.conv_out.as_deref_mut() };
                for (x, start) in x.chunks_mut((block_rows * d_model).max(1)).zip((0..).step_by(block_rows.max(1))) {
                    ctx.start = start;
                    stem.apply(ctx, features, x, &mut scratch);
                }
                ctx.start = 0;
            }
        }
    }

    /// Applies the encoder's final norm to the first `count` rows of the last [`Model::encode`] of an encoder-decoder, and caches their
    /// keys and values for the cross-attention of every decoder layer.
    pub(crate) fn project_encoder_kv<P: Probe>(&self, mut pass: Pass<'_, '_, P>, count: usize) {
        let config = self.image().config();
        let (d_model, block_rows) = (config.d_model as usize, (pass.plan.block as usize).max(1));
        let (mut ctx, buffers) = pass.split();
        let x = prefix_mut(buffers.x, count * d_model);
        if config.final_norm {
            Norm::new(self.image(), Role::EncoderNorm, 0).apply_in_place(ctx.kernels, x, buffers.block.normed);
        }
        let Some(bytes) = buffers.cross else {
            debug_assert!(false, "an encoder-decoder without a cache for its encoder");
            return;
        };
        let mut cross = KvCache::new(bytes, config, config.encoder_context);
        for layer in 0..config.layers {
            ctx.layer = config.encoder_layers + layer;
            let (Some(attention), Some(mut cache)) = (CrossAttention::new(self.image(), ctx.layer), cross.layer(layer)) else {
                debug_assert!(false, "layer {layer} has no cross-attention or no cache");
                return;
            };
            for (x, start) in x.chunks((block_rows * d_model).max(1)).zip((0..).step_by(block_rows.max(1))) {
                ctx.start = start;
                attention.cache_encoder_kv(&mut ctx, x, &mut cache, buffers.block.proj);
            }
        }
    }

    /// Pools or classifies `tokens` rows from row `pass.start` on of the last [`Model::encode`]: writes an embedding `(d_model)`, or the
    /// `(labels)` of the sequence or of each row, to the workspace's output.
    pub(crate) fn pool_or_classify<P: Probe>(&self, mut pass: Pass<'_, '_, P>, tokens: usize) {
        let config = self.image().config();
        let (d_model, labels) = (config.d_model as usize, config.labels as usize);
        let first = pass.start;
        let (mut ctx, buffers) = pass.split();
        let (normed, output) = (buffers.block.normed, buffers.output);
        let x = part_mut(buffers.x, first * d_model..(first + tokens) * d_model);
        if config.final_norm {
            Norm::new(self.image(), Role::FinalNorm, 0).apply_in_place(ctx.kernels, x, normed);
        }
        let classifier = Linear::new(self.image(), Role::Classifier, 0);
        match config.classifier {
            Classifier::Tokens => {
                let logits = prefix_mut(output, tokens * labels);
                for ((x, out), start) in rows(x, d_model).zip(rows_mut(logits, labels)).zip(first..) {
                    ctx.start = start;
                    classifier.apply(&mut ctx, x, out);
                }
            }
            Classifier::None => {
                let embedding = prefix_mut(output, d_model);
                pool(config.pooling, x, tokens, embedding);
                if config.l2_normalize {
                    l2_normalize(embedding);
                }
            }
            _ => {
                let mut pooled = prefix_mut(normed, d_model);
                pool(config.pooling, x, tokens, pooled);
                if config.pooler != Pooler::None {
                    let dense = Linear::new(self.image(), Role::Pooler, 0).apply(&mut ctx, pooled, buffers.block.proj);
                    let activation = if config.pooler == Pooler::Tanh { tanh } else { relu };
                    dense.iter_mut().for_each(|x| *x = activation(*x));
                    pooled = dense;
                }
                classifier.apply(&mut ctx, pooled, output);
            }
        }
    }
}

/// Pools the rows `x` of a sequence of `tokens` rows into one row, `out` `(d_model)`.
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
