//! BERT and what has its shape (Devlin et al. 2018): MiniLM, E5, BGE and other sentence encoders.

use attoformer::image::header::{Activation, Architecture, Config, KvType, MaskKind, NormKind, NormPlacement, PositionKind};
use serde::Deserialize;

use super::pooling::Pooling;
use super::weights::Weights;
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

impl Shape {
    /// The engine's name for all of it. Begin and end tokens are the tokenizer's.
    ///
    /// # Errors
    /// A sentence's end: what contradicts itself, or is not known.
    pub fn config(&self, pooling: &Pooling) -> Result<Config, String> {
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

    /// All tensors, taken from the file.
    ///
    /// # Errors
    /// A sentence's end that names the tensor.
    pub fn tensors(&self, weights: &mut Weights<'_>) -> Result<Vec<Tensor>, String> {
        let prefix = if weights.has("bert.embeddings.word_embeddings.weight") { "bert." } else { "" };
        let (width, hidden) = (self.hidden_size as usize, self.intermediate_size as usize);
        let mut take = Taker { weights, prefix, tensors: Vec::new() };
        let vocab = self.vocab_size as usize;
        let words = take.values("embeddings.word_embeddings.weight", &[vocab, width])?;
        take.put(Part::Embedding, None, vocab, width, words, None);
        self.positions(&mut take)?;
        take.norm(Part::EmbeddingNorm, None, "embeddings.LayerNorm", width)?;
        for layer in 0..self.num_hidden_layers {
            let name = |rest: &str| format!("encoder.layer.{layer}.{rest}");
            let layer = Some(layer);
            take.linear(Part::Query, layer, &name("attention.self.query"), width, width)?;
            take.linear(Part::Key, layer, &name("attention.self.key"), width, width)?;
            take.linear(Part::Value, layer, &name("attention.self.value"), width, width)?;
            take.linear(Part::AttnOut, layer, &name("attention.output.dense"), width, width)?;
            take.norm(Part::AttnNorm, layer, &name("attention.output.LayerNorm"), width)?;
            take.linear(Part::Up, layer, &name("intermediate.dense"), hidden, width)?;
            take.linear(Part::Down, layer, &name("output.dense"), width, hidden)?;
            take.norm(Part::MlpNorm, layer, &name("output.LayerNorm"), width)?;
        }
        // A list of numbers, and a layer that only the pre-training task looks at.
        for name in ["embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"] {
            take.weights.skip(&format!("{prefix}{name}"));
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
        take.put(Part::Positions, None, places, width, positions, None);
        Ok(())
    }
}

fn activation(name: &str) -> Result<Activation, String> {
    match name {
        "gelu" => Ok(Activation::GeluErf),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        "silu" | "swish" => Ok(Activation::Silu),
        other => Err(format!("its hidden_act {other} is not one of gelu, gelu_new, relu, silu")),
    }
}

/// Tensors on their way from the file to the checkpoint.
struct Taker<'w, 'b> {
    weights: &'w mut Weights<'b>,
    prefix: &'static str,
    tensors: Vec<Tensor>,
}

impl Taker<'_, '_> {
    fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        self.weights.take(&format!("{}{name}", self.prefix), shape)
    }

    fn put(&mut self, part: Part, layer: Option<u32>, rows: usize, columns: usize, values: Vec<f32>, bias: Option<Vec<f32>>) {
        self.tensors.push(Tensor { part, layer, rows, columns, values, bias });
    }

    fn linear(&mut self, part: Part, layer: Option<u32>, name: &str, rows: usize, columns: usize) -> Result<(), String> {
        let values = self.values(&format!("{name}.weight"), &[rows, columns])?;
        let bias = self.values(&format!("{name}.bias"), &[rows])?;
        self.put(part, layer, rows, columns, values, Some(bias));
        Ok(())
    }

    fn norm(&mut self, part: Part, layer: Option<u32>, name: &str, width: usize) -> Result<(), String> {
        let mut values = self.values(&format!("{name}.weight"), &[width])?;
        values.extend(self.values(&format!("{name}.bias"), &[width])?);
        self.put(part, layer, 2, width, values, None);
        Ok(())
    }
}
