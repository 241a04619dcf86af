//! The architecture bert: sentence encoders.

use attoformer::image::{Activation, Architecture, Config, MaskKind, NormKind, NormPlacement, Pooling, PositionKind};

use super::error::GgufError;
use super::reader::Gguf;
use crate::import::description::Description;
use crate::import::encoder::{EncoderNames, TableSizes};
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs};

const EMBEDDING: &str = "token_embd.weight";
const SEGMENTS: &str = "token_types.weight";
const ENCODER: EncoderNames = EncoderNames {
    embedding: EMBEDDING,
    positions: "position_embd.weight",
    segments: Some(SEGMENTS),
    norm: "token_embd_norm",
    layer_prefix: "blk.",
    layers: LayerSpec {
        names: &LayerNames {
            attn_norm: "attn_output_norm",
            query: "attn_q",
            key: "attn_k",
            value: "attn_v",
            attn_out: "attn_output",
            mlp_norm: "layer_output_norm",
            up: "ffn_up",
            down: "ffn_down",
            ..LayerNames::NONE
        },
        qkv_bias: [true; 3],
        out_bias: true,
        mlp_bias: true,
        pairs: RotaryPairs::Interleaved,
    },
};

/// Describes the model. The file does not state the activation function, which is the exact GELU in every model of this architecture, nor whether
/// embeddings are scaled to an L2 norm of 1.
///
/// # Errors
/// [`GgufError`] with the metadata key.
pub fn describe(gguf: &Gguf<'_>, architecture: &str) -> Result<Description, GgufError> {
    let key = |name: &str| format!("{architecture}.{name}");
    let size = |name: &str| gguf.required_size(&key(name));
    let (width, heads, context) = (size("embedding_length")?, size("attention.head_count")?, size("context_length")?);
    let config = attoformer::config! {
        architecture: Architecture::Encoder,
        norm: NormKind::Layer,
        placement: NormPlacement::Post,
        activation: Activation::GeluErf,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        mask: MaskKind::Bidirectional,
        d_model: width,
        d_hidden: size("feed_forward_length")?,
        layers: size("block_count")?,
        heads,
        kv_heads: heads,
        head_dim: head_dim(width, heads, "embedding_length")?,
        vocab: gguf.rows(EMBEDDING)?,
        context,
        norm_eps: gguf.required_number(&key("attention.layer_norm_epsilon"))? as f32,
        final_norm: false,
        embedding_norm: true,
        pooling: pooling(gguf, key("pooling_type"))?,
        ..Config::DECODER
    };
    let tables = TableSizes { positions: context, first_position: 0, segments: gguf.rows(SEGMENTS).ok() };
    Ok(Description::new(config, move |config, mapper| ENCODER.map(config, tables, mapper)))
}

/// How rows become an embedding: by the mean unless the file says otherwise.
fn pooling(gguf: &Gguf<'_>, key: String) -> Result<Pooling, GgufError> {
    match gguf.size(&key)? {
        None | Some(1) => Ok(Pooling::Mean),
        Some(2) => Ok(Pooling::First),
        Some(3) => Ok(Pooling::Last),
        Some(other) => Err(GgufError::Unsupported { key, value: other.to_string(), supported: "1 (mean), 2 (first) and 3 (last)" }),
    }
}
