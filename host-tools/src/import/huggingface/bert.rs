//! BERT and what has its shape (Devlin et al. 2018): MiniLM, E5, BGE and other sentence encoders.

use std::path::Path;

use attoformer::image::header::{Architecture, Config, KvType, MaskKind, NormKind, NormPlacement, PositionKind};
use serde::Deserialize;

use super::pooling::Pooling;
use super::take::Taker;
use super::weights::Weights;
use super::{Family, activation, pooling};
use crate::error::Error;
use crate::import::{Part, Tensor};

/// What config.json says.
#[derive(Deserialize)]
pub struct Shape {
    hidden_size: u32,
    intermediate_size: u32,
    num_hidden_layers: u32,
    num_attention_heads: u32,
    vocab_size: u32,
    max_position_embeddings: u32,
    type_vocab_size: u32,
    layer_norm_eps: f32,
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
}

fn absolute() -> String {
    "absolute".to_owned()
}

impl Family for Shape {
    fn config(&self, folder: &Path) -> Result<Config, Error> {
        self.shape(&pooling::read(folder)?).map_err(Error::file(&folder.join(super::CONFIG)))
    }

    fn tensors(&self, weights: &mut Weights<'_>) -> Result<Vec<Tensor>, String> {
        self.take(weights)
    }
}

impl Shape {
    fn shape(&self, pooling: &Pooling) -> Result<Config, String> {
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if heads == 0 || width == 0 || !width.is_multiple_of(heads) {
            return Err(format!("a hidden_size of {width} does not divide into {heads} heads"));
        }
        if self.position_embedding_type != absolute() {
            return Err(format!("positions of type {} cannot be read yet, only absolute ones", self.position_embedding_type));
        }
        if self.type_vocab_size == 0 {
            return Err("a type_vocab_size of 0 leaves no row for a first segment".to_owned());
        }
        Ok(Config {
            architecture: Architecture::Encoder,
            norm: NormKind::Layer,
            placement: NormPlacement::Post,
            activation: activation(&self.hidden_act)?,
            gated: false,
            positions: PositionKind::Learned,
            mask: MaskKind::Bidirectional,
            kv: KvType::F32,
            d_model: width,
            d_hidden: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads,
            kv_heads: heads,
            head_dim: width / heads,
            vocab: self.vocab_size,
            context: pooling.context.unwrap_or(u32::MAX).min(self.max_position_embeddings),
            window: 0,
            norm_eps: self.layer_norm_eps,
            tied_head: false,
            final_norm: false,
            embedding_norm: true,
            pooling: pooling.kind,
            normalized: pooling.normalized,
            ..Config::DECODER
        })
    }

    fn take(&self, weights: &mut Weights<'_>) -> Result<Vec<Tensor>, String> {
        let prefix = if weights.has("bert.embeddings.word_embeddings.weight") { "bert." } else { "" };
        let (width, hidden) = (self.hidden_size as usize, self.intermediate_size as usize);
        let mut take = Taker::new(weights, prefix);
        let vocab = self.vocab_size as usize;
        let words = take.values("embeddings.word_embeddings.weight", &[vocab, width])?;
        take.put(Part::Embedding, None, (vocab, width), words, None);
        self.positions(&mut take)?;
        take.layer_norm(Part::EmbeddingNorm, None, "embeddings.LayerNorm", width)?;
        for layer in 0..self.num_hidden_layers {
            let name = |rest: &str| format!("encoder.layer.{layer}.{rest}");
            let layer = Some(layer);
            take.linear(Part::Query, layer, &name("attention.self.query"), (width, width))?;
            take.linear(Part::Key, layer, &name("attention.self.key"), (width, width))?;
            take.linear(Part::Value, layer, &name("attention.self.value"), (width, width))?;
            take.linear(Part::AttnOut, layer, &name("attention.output.dense"), (width, width))?;
            take.layer_norm(Part::AttnNorm, layer, &name("attention.output.LayerNorm"), width)?;
            take.linear(Part::Up, layer, &name("intermediate.dense"), (hidden, width))?;
            take.linear(Part::Down, layer, &name("output.dense"), (width, hidden))?;
            take.layer_norm(Part::MlpNorm, layer, &name("output.LayerNorm"), width)?;
        }
        // A list of numbers, and a layer that only the pre-training task looks at.
        for name in ["embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"] {
            take.skip(name);
        }
        Ok(take.tensors)
    }

    /// Learned positions. Every token is of the first segment, so that segment's row is added once and for all.
    fn positions(&self, take: &mut Taker<'_, '_>) -> Result<(), String> {
        let (width, places) = (self.hidden_size as usize, self.max_position_embeddings as usize);
        let mut positions = take.values("embeddings.position_embeddings.weight", &[places, width])?;
        let segments = take.values("embeddings.token_type_embeddings.weight", &[self.type_vocab_size as usize, width])?;
        for row in positions.chunks_exact_mut(width) {
            row.iter_mut().zip(&segments).for_each(|(x, &segment)| *x += segment);
        }
        take.put(Part::Positions, None, (places, width), positions, None);
        Ok(())
    }
}
