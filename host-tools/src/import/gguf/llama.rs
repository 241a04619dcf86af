//! The architectures llama, qwen2 and qwen3.
//!
//! Files of the llama architecture store queries and keys with interleaved rotary pairs already, those of the Qwen architectures in `rotate_half`
//! order, like the publisher.

use attoformer::image::{Config, MaskKind};

use super::error::{ContainerError, GgufError};
use super::reader::Gguf;
use crate::import::decoder::DecoderNames;
use crate::import::description::Description;
use crate::import::limits::{LimitError, head_dim};
use crate::import::rope::{Rope, RopeScaling, Yarn, yarn_attention_factor};
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs};

/// Factors of the RoPE frequencies (Llama 3.1).
const ROPE_FACTORS: &str = "rope_freqs.weight";
const EMBEDDING: &str = "token_embd.weight";
const HEAD: &str = "output.weight";
const NAMES: LayerNames = LayerNames {
    attn_norm: "attn_norm",
    query: "attn_q",
    key: "attn_k",
    value: "attn_v",
    attn_out: "attn_output",
    query_norm: "attn_q_norm",
    key_norm: "attn_k_norm",
    mlp_norm: "ffn_norm",
    gate: "ffn_gate",
    up: "ffn_up",
    down: "ffn_down",
};

/// Describes the model.
///
/// # Errors
/// [`GgufError`] with the metadata key.
pub fn describe(gguf: &Gguf<'_>, architecture: &str) -> Result<Description, GgufError> {
    let key = |name: &str| format!("{architecture}.{name}");
    let size = |name: &str| gguf.size(&key(name));
    let required = |name: &str| gguf.required_size(&key(name));
    let unsupported = |name: &str, value: u32, supported: &'static str| {
        Err(GgufError::Unsupported { key: key(name), value: value.to_string(), supported })
    };
    if let Some(experts) = size("expert_count")?.filter(|&experts| experts > 0) {
        return unsupported("expert_count", experts, "0 (no mixture of experts)");
    }
    let (width, heads, context) = (required("embedding_length")?, required("attention.head_count")?, required("context_length")?);
    let head = match size("attention.key_length")? {
        Some(head) => head,
        None => head_dim(width, heads, "embedding_length")?,
    };
    if let Some(value) = size("attention.value_length")?.filter(|&value| value != head) {
        return unsupported("attention.value_length", value, "the width of the keys (attention.key_length)");
    }
    let rotary_dim = size("rope.dimension_count")?.unwrap_or(head);
    if rotary_dim > head {
        return Err(LimitError::RotaryDim { rotary_dim, head_dim: head }.into());
    }
    let base = gguf.number(&key("rope.freq_base"))?.unwrap_or(10_000.0);
    let rope = Rope { base, dim: rotary_dim, scaling: scaling(gguf, &key, context)? };
    let window = size("attention.sliding_window")?.filter(|&window| window > 0 && window < context);
    let score_factor = rope.score_factor();
    if rotary_dim != head && score_factor != 1.0 {
        return unsupported("rope.dimension_count", rotary_dim, "the width of a head, with YaRN scaling");
    }
    let config = attoformer::config! {
        mask: if window.is_some() { MaskKind::Window } else { MaskKind::Causal },
        d_model: width,
        d_hidden: required("feed_forward_length")?,
        layers: required("block_count")?,
        heads,
        kv_heads: size("attention.head_count_kv")?.unwrap_or(heads),
        head_dim: head,
        vocab: gguf.rows(EMBEDDING)?,
        context,
        window,
        norm_eps: gguf.required_number(&key("attention.layer_norm_rms_epsilon"))? as f32,
        tied_head: gguf.shape(HEAD).is_none(),
        qk_norm: architecture == "qwen3",
        partial_rotary_dim: (rotary_dim != head).then_some(rotary_dim),
        score_scale: (score_factor != 1.0).then(|| (score_factor / f64::from(head).sqrt()) as f32),
        ..Config::DECODER
    };
    let has_bias = |name: &str| gguf.shape(&format!("blk.0.{name}.bias")).is_some();
    let layers = LayerSpec {
        names: &NAMES,
        qkv_bias: [architecture == "qwen2" || has_bias(NAMES.query); 3],
        out_bias: has_bias(NAMES.attn_out),
        mlp_bias: has_bias(NAMES.up),
        pairs: if architecture == "llama" { RotaryPairs::Interleaved } else { RotaryPairs::RotateHalf },
    };
    let decoder = DecoderNames { embedding: EMBEDDING, layer_prefix: "blk.", layers, final_norm: "output_norm", head: HEAD };
    let rotary = rope.frequencies()?;
    let description = Description::new(config, move |config, mapper| {
        mapper.skip(&[ROPE_FACTORS]);
        decoder.map(config, mapper)
    });
    Ok(Description { rotary, ..description })
}

/// RoPE scaling.
fn scaling(gguf: &Gguf<'_>, key: &impl Fn(&str) -> String, context: u32) -> Result<RopeScaling, GgufError> {
    let number = |name: &str| -> Result<Option<f64>, ContainerError> { gguf.number(&key(name)) };
    if let Some(factors) = gguf.vector(ROPE_FACTORS)? {
        return Ok(RopeScaling::Factors(factors.into_iter().map(f64::from).collect()));
    }
    let factor = match number("rope.scaling.factor")? {
        // The key of the first files.
        None => number("rope.scale_linear")?,
        factor => factor,
    };
    let kind_key = key("rope.scaling.type");
    let kind = gguf.text(&kind_key)?.unwrap_or(if factor.is_some() { "linear" } else { "none" });
    match (kind, factor) {
        ("none", _) | (_, None) => Ok(RopeScaling::None),
        ("linear", Some(factor)) => Ok(RopeScaling::Linear(factor)),
        ("yarn", Some(factor)) => Ok(RopeScaling::Yarn(Yarn {
            factor,
            original_context: number("rope.scaling.original_context_length")?.unwrap_or(f64::from(context)),
            beta_fast: number("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
            beta_slow: number("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
            truncate: true,
            attention_factor: Some(number("rope.scaling.attn_factor")?.unwrap_or(1.0) * yarn_attention_factor(factor, 1.0)),
        })),
        (other, _) => Err(GgufError::Unsupported { key: kind_key, value: other.to_owned(), supported: "none, linear and yarn" }),
    }
}
