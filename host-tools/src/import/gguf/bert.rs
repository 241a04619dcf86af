//! The architecture bert: sentence encoders.

use attoformer::image::{Activation, Architecture, Config, MaskKind, NormKind, NormPlacement, Pooling, PositionKind};

use super::reader::Gguf;
use crate::import::description::Description;
use crate::import::encoder::{self, Encoder};
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs};

const WORDS: &str = "token_embd.weight";
const SEGMENTS: &str = "token_types.weight";
const ENCODER: Encoder = Encoder {
    words: WORDS,
    positions: "position_embd.weight",
    segments: Some(SEGMENTS),
    norm: "token_embd_norm",
    front: "blk.",
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

/// Reads the shape. The file does not state the non-linearity, which is the exact GELU in every model that has this architecture, nor
/// whether embeddings are brought to length 1.
///
/// # Errors
/// A sentence's end that names the field.
pub fn read(gguf: &Gguf<'_>, architecture: &str) -> Result<Description, String> {
    let key = |rest: &str| format!("{architecture}.{rest}");
    let need = |rest: &str| gguf.need(&key(rest));
    let (width, heads, context) = (need("embedding_length")?, need("attention.head_count")?, need("context_length")?);
    let eps = key("attention.layer_norm_epsilon");
    let rows = |name: &str| gguf.shape(name).and_then(|shape| u32::try_from(shape[0]).ok());
    let config = attoformer::config! {
        architecture: Architecture::Encoder,
        norm: NormKind::Layer,
        placement: NormPlacement::Post,
        activation: Activation::GeluErf,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        mask: MaskKind::Bidirectional,
        d_model: width,
        d_hidden: need("feed_forward_length")?,
        layers: need("block_count")?,
        heads,
        kv_heads: heads,
        head_dim: head_dim(width, heads, "embedding_length")?,
        vocab: rows(WORDS).ok_or("the tensor token_embd.weight is missing")?,
        context,
        norm_eps: gguf.number(&eps)?.ok_or_else(|| format!("its metadata lacks {eps}"))? as f32,
        final_norm: false,
        embedding_norm: true,
        pooling: pooling(gguf.size(&key("pooling_type"))?)?,
        ..Config::DECODER
    };
    let tables = encoder::Tables { places: context, first: 0, segments: rows(SEGMENTS) };
    Ok(Description::new(config, move |config, mapper| ENCODER.tensors(config, tables, mapper)))
}

/// How rows become an embedding; a file that does not say takes the mean.
fn pooling(number: Option<u32>) -> Result<Pooling, String> {
    match number {
        None | Some(1) => Ok(Pooling::Mean),
        Some(2) => Ok(Pooling::First),
        Some(3) => Ok(Pooling::Last),
        Some(other) => Err(format!("it pools in a way {other} that cannot be run; what can is 1 (mean), 2 (first) and 3 (last)")),
    }
}
