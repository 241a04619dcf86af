//! BERT and what has its shape (Devlin et al. 2018): MiniLM, E5, BGE and other sentence encoders, and classifiers.

use attoformer::image::{Architecture, Config, MaskKind, NormKind, NormPlacement, Pooler, PositionKind};
use serde::Deserialize;

use super::activation::activation;
use super::classifier::{Head, Names};
use super::directory::Directory;
use crate::import::description::Description;
use crate::import::encoder::{Encoder, Tables};
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs};

/// What config.json says.
#[derive(Deserialize)]
pub struct Shape {
    hidden_size: u32,
    intermediate_size: u32,
    num_hidden_layers: u32,
    num_attention_heads: u32,
    vocab_size: u32,
    /// Rows of the table of positions.
    pub max_position_embeddings: u32,
    /// Rows of the table of segments.
    pub type_vocab_size: u32,
    layer_norm_eps: f32,
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    /// Token of padding, behind which RoBERTa's positions begin.
    pub pad_token_id: Option<u32>,
    #[serde(default)]
    is_decoder: bool,
}

fn absolute() -> String {
    "absolute".to_owned()
}

/// The encoder's names, which RoBERTa shares.
pub const ENCODER: Encoder = Encoder {
    words: "embeddings.word_embeddings.weight",
    positions: "embeddings.position_embeddings.weight",
    segments: Some("embeddings.token_type_embeddings.weight"),
    norm: "embeddings.LayerNorm",
    front: "encoder.layer.",
    layers: LayerSpec {
        names: &LayerNames {
            attn_norm: "attention.output.LayerNorm",
            query: "attention.self.query",
            key: "attention.self.key",
            value: "attention.self.value",
            attn_out: "attention.output.dense",
            mlp_norm: "output.LayerNorm",
            up: "intermediate.dense",
            down: "output.dense",
            ..LayerNames::NONE
        },
        qkv_bias: [true; 3],
        out_bias: true,
        mlp_bias: true,
        pairs: RotaryPairs::Interleaved,
    },
};
/// A list of numbers, and a layer that only the pre-training task looks at.
pub const UNUSED: [&str; 4] = ["embeddings.position_ids", "embeddings.token_type_ids", "pooler.dense.weight", "pooler.dense.bias"];

/// Reads the shape.
///
/// # Errors
/// A sentence's end: what contradicts itself, or is not known.
pub fn read(directory: &Directory) -> Result<Description, String> {
    let shape: Shape = directory.fields()?;
    let head = Head::read(directory, Names { pooler: ("pooler.dense", Pooler::Tanh), sequence: "classifier" })?;
    let config = head.config(shape.config(directory, shape.max_position_embeddings)?);
    let tables = Tables { places: shape.max_position_embeddings, first: 0, segments: Some(shape.type_vocab_size) };
    let labels = head.labels.clone();
    let tensors = Description::new(config, move |config, mapper| {
        mapper.prefix_if("bert.");
        ENCODER.tensors(config, tables, mapper)?;
        mapper.skip(&UNUSED[..2]);
        if config.pooler == Pooler::None {
            mapper.skip(&UNUSED);
        }
        head.tensors(config, mapper)
    });
    Ok(Description { labels, ..tensors })
}

impl Shape {
    /// The engine's name for the encoder, with `places` positions. Begin and end tokens are the tokenizer's.
    ///
    /// # Errors
    /// A sentence's end: what contradicts itself, or is not known.
    pub fn config(&self, directory: &Directory, places: u32) -> Result<Config, String> {
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if self.position_embedding_type != absolute() {
            return Err(format!("positions of type {} cannot be read yet, only absolute ones", self.position_embedding_type));
        }
        if self.type_vocab_size == 0 {
            return Err("a type_vocab_size of 0 leaves no row for a first segment".to_owned());
        }
        if self.is_decoder {
            return Err("it is a decoder (is_decoder), which cannot be read in this family".to_owned());
        }
        let pooling = &directory.pooling;
        Ok(attoformer::config! {
            activation: activation(&self.hidden_act)?,
            d_model: width,
            d_hidden: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads,
            kv_heads: heads,
            head_dim: head_dim(width, heads, "hidden_size")?,
            vocab: self.vocab_size,
            context: pooling.context.unwrap_or(u32::MAX).min(places),
            norm_eps: self.layer_norm_eps,
            pooling: pooling.kind,
            l2_normalize: pooling.normalized,
            ..SHAPE
        })
    }
}

/// What all encoders of this kind have in common: Vaswani's layers, with a table of positions and a norm before the first.
pub const SHAPE: Config = attoformer::config! {
    architecture: Architecture::Encoder,
    norm: NormKind::Layer,
    placement: NormPlacement::Post,
    gated: false,
    positions: PositionKind::LearnedAbsolute,
    mask: MaskKind::Bidirectional,
    final_norm: false,
    embedding_norm: true,
    ..Config::DECODER
};
