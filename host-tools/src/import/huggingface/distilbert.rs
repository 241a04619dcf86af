//! DistilBERT (Sanh et al. 2019): BERT's layers without segments.

use attoformer::image::Pooler;
use serde::Deserialize;

use super::activation::activation;
use super::bert::SHAPE;
use super::classifier::{Head, Names};
use super::directory::Directory;
use crate::import::description::Description;
use crate::import::encoder::{Encoder, Tables};
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs};

/// What config.json says.
#[derive(Deserialize)]
struct Shape {
    dim: u32,
    hidden_dim: u32,
    n_layers: u32,
    n_heads: u32,
    vocab_size: u32,
    max_position_embeddings: u32,
    activation: String,
}

/// It is not in config.json.
const NORM_EPS: f32 = 1e-12;
const ENCODER: Encoder = Encoder {
    words: "embeddings.word_embeddings.weight",
    positions: "embeddings.position_embeddings.weight",
    segments: None,
    norm: "embeddings.LayerNorm",
    front: "transformer.layer.",
    layers: LayerSpec {
        names: &LayerNames {
            attn_norm: "sa_layer_norm",
            query: "attention.q_lin",
            key: "attention.k_lin",
            value: "attention.v_lin",
            attn_out: "attention.out_lin",
            mlp_norm: "output_layer_norm",
            up: "ffn.lin1",
            down: "ffn.lin2",
            ..LayerNames::NONE
        },
        qkv_bias: [true; 3],
        out_bias: true,
        mlp_bias: true,
        pairs: RotaryPairs::Interleaved,
    },
};

/// Reads the shape.
///
/// # Errors
/// A sentence's end: what contradicts itself, or is not known.
pub fn read(directory: &Directory) -> Result<Description, String> {
    let shape: Shape = directory.fields()?;
    let head = Head::read(directory, Names { pooler: ("pre_classifier", Pooler::Relu), sequence: "classifier" })?;
    let pooling = &directory.pooling;
    let config = head.config(attoformer::config! {
        activation: activation(&shape.activation)?,
        d_model: shape.dim,
        d_hidden: shape.hidden_dim,
        layers: shape.n_layers,
        heads: shape.n_heads,
        kv_heads: shape.n_heads,
        head_dim: head_dim(shape.dim, shape.n_heads, "dim")?,
        vocab: shape.vocab_size,
        context: pooling.context.unwrap_or(u32::MAX).min(shape.max_position_embeddings),
        norm_eps: NORM_EPS,
        pooling: pooling.kind,
        l2_normalize: pooling.normalized,
        ..SHAPE
    });
    let tables = Tables { places: shape.max_position_embeddings, first: 0, segments: None };
    let labels = head.labels.clone();
    let model = Description::new(config, move |config, mapper| {
        mapper.prefix_if("distilbert.");
        ENCODER.tensors(config, tables, mapper)?;
        mapper.skip(&["embeddings.position_ids"]);
        mapper.prefix = "";
        head.tensors(config, mapper)
    });
    Ok(Description { labels, ..model })
}
