//! DistilBERT (Sanh et al. 2019): BERT's layers without segments.

use attoformer::image::Pooler;
use serde::Deserialize;

use super::activation::activation;
use super::bert::POST_NORM_ENCODER;
use super::classifier::{EncoderHead, HeadNames};
use super::directory::Directory;
use super::error::ConfigError;
use crate::import::description::Description;
use crate::import::encoder::{EncoderNames, TableSizes};
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs};

/// Fields of config.json.
#[derive(Deserialize)]
struct ConfigJson {
    dim: u32,
    hidden_dim: u32,
    n_layers: u32,
    n_heads: u32,
    vocab_size: u32,
    max_position_embeddings: u32,
    activation: String,
}

/// Epsilon of the norms, which config.json does not state.
const NORM_EPS: f32 = 1e-12;
const ENCODER: EncoderNames = EncoderNames {
    embedding: "embeddings.word_embeddings.weight",
    positions: "embeddings.position_embeddings.weight",
    segments: None,
    norm: "embeddings.LayerNorm",
    layer_prefix: "transformer.layer.",
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

/// Describes the model.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn describe(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let head = EncoderHead::read(directory, HeadNames { pooler: ("pre_classifier", Pooler::Relu), sequence: "classifier" })?;
    let pooling = &directory.pooling;
    let config = head.config(attoformer::config! {
        activation: activation(&json.activation)?,
        d_model: json.dim,
        d_hidden: json.hidden_dim,
        layers: json.n_layers,
        heads: json.n_heads,
        kv_heads: json.n_heads,
        head_dim: head_dim(json.dim, json.n_heads, "dim")?,
        vocab: json.vocab_size,
        context: pooling.context.unwrap_or(u32::MAX).min(json.max_position_embeddings),
        norm_eps: NORM_EPS,
        pooling: pooling.kind,
        l2_normalize: pooling.l2_normalize,
        ..POST_NORM_ENCODER
    });
    let tables = TableSizes { positions: json.max_position_embeddings, first_position: 0, segments: None };
    let labels = head.labels.clone();
    let description = Description::new(config, move |config, mapper| {
        mapper.prefix_if("distilbert.");
        ENCODER.map(config, tables, mapper)?;
        mapper.skip(&["embeddings.position_ids"]);
        mapper.prefix = "";
        head.map(config, mapper)
    });
    Ok(Description { labels, ..description })
}
