//! The decoder: tokens run through a causal stack, which appends their keys and values to the KV cache.

use super::{Model, Pass};
use crate::format::Role;
use crate::layers::attention::cross::EncoderKv;
use crate::layers::attention::kv_cache::KvCache;
use crate::layers::block::{Block, Step};
use crate::probe::{Part, Probe};
use crate::slices::prefix_mut;

impl Model<'_> {
    /// Runs `tokens`, at most a block, from position `pass.start` on through the decoder's stack. Keys and values go to the KV cache; the
    /// rows `(tokens, d_model)` stay in the workspace for [`Model::logits`]. `encoder_len` rows of encoder output are available for
    /// cross-attention.
    pub(crate) fn forward<P: Probe>(&self, pass: Pass<'_, '_, P>, tokens: &[u32], encoder_len: usize) {
        self.forward_rows(pass, tokens, encoder_len, None);
    }

    /// Runs one token of each of several sequences, all at position `pass.start`, like [`Model::forward`]. Each sequence has `capacity` rows of
    /// the KV cache.
    pub(crate) fn forward_batch<P: Probe>(&self, pass: Pass<'_, '_, P>, tokens: &[u32], capacity: usize) {
        self.forward_rows(pass, tokens, 0, Some(capacity));
    }

    fn forward_rows<P: Probe>(&self, mut pass: Pass<'_, '_, P>, tokens: &[u32], encoder_len: usize, capacity: Option<usize>) {
        let config = self.image().config();
        let (start, context) = (pass.start, pass.plan.context);
        let (mut ctx, mut buffers) = pass.split();
        let x = prefix_mut(buffers.x, tokens.len() * config.d_model as usize);
        let mut kv = KvCache::new(buffers.kv, config, context);
        let mut cross = buffers.cross.map(|bytes| KvCache::new(bytes, config, config.encoder_context));
        // The tokens of a batch have one position, those of a sequence one each.
        let step = usize::from(capacity.is_none());
        let positions = (0..tokens.len()).map(|row| start + row * step);
        self.embed(ctx.kernels, tokens.iter().copied().zip(positions.clone()), Role::Positions, x, buffers.block.normed);
        ctx.show(Part::Embedded, config.d_model as usize, x);
        let rotary = self.rotary(positions, buffers.sin_cos);
        for layer in ctx.probe.first_layer()..config.layers {
            let Some(mut cache) = kv.layer(layer) else {
                debug_assert!(false, "layer {layer} is outside the KV cache");
                return;
            };
            if start == 0 {
                cache.clear();
            }
            let encoder = cross.as_mut().and_then(|cross| cross.layer(layer)).map(|cache| EncoderKv { cache, encoder_len });
            ctx.layer = config.encoder_layers + layer;
            let mut step = Step { tokens, rotary, cache, capacity, encoder };
            Block::new(self.image(), ctx.layer).forward(&mut ctx, x, &mut step, &mut buffers.block);
        }
    }
}
