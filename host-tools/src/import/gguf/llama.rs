//! The architectures llama, qwen2 and qwen3.
//!
//! Files of the llama architecture hold queries and keys with their rows as neighbour pairs already; the Qwen ones as the publisher has
//! them, in halves.

use attoformer::image::{Config, MaskKind};

use super::reader::Gguf;
use crate::import::decoder::Decoder;
use crate::import::description::Description;
use crate::import::limits::head_dim;
use crate::import::rope::{Rope, Scaling, Yarn, yarn_attention};
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs};

/// Factors of the rotary frequencies (Llama 3.1).
const FACTORS: &str = "rope_freqs.weight";
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

/// Reads the shape.
///
/// # Errors
/// A sentence's end that names the field.
pub fn read(gguf: &Gguf<'_>, architecture: &str) -> Result<Description, String> {
    let key = |rest: &str| format!("{architecture}.{rest}");
    let size = |rest: &str| gguf.size(&key(rest));
    let need = |rest: &str| gguf.need(&key(rest));
    if size("expert_count")?.unwrap_or(0) > 0 {
        return Err("it is a mixture of experts, which cannot be read yet".to_owned());
    }
    let (width, heads, context) = (need("embedding_length")?, need("attention.head_count")?, need("context_length")?);
    let head = size("attention.key_length")?.map_or_else(|| head_dim(width, heads, "embedding_length"), Ok)?;
    if size("attention.value_length")?.is_some_and(|value| value != head) {
        return Err("the heads of its values have another width than those of its keys".to_owned());
    }
    let turning = size("rope.dimension_count")?.unwrap_or(head);
    let rope = Rope {
        base: gguf.number(&key("rope.freq_base"))?.unwrap_or(10_000.0),
        dim: if turning <= head { turning } else { return Err(format!("{turning} dimensions of a head of {head} cannot turn")) },
        scaling: scaling(gguf, &key, context)?,
    };
    let window = size("attention.sliding_window")?.filter(|&window| window > 0 && window < context);
    let eps = key("attention.layer_norm_rms_epsilon");
    let score_factor = rope.score_factor();
    if turning != head && score_factor != 1.0 {
        return Err("only a part of its heads turns, under a scaling of yarn: that cannot be read".to_owned());
    }
    let config = attoformer::config! {
        mask: if window.is_some() { MaskKind::Window } else { MaskKind::Causal },
        d_model: width,
        d_hidden: need("feed_forward_length")?,
        layers: need("block_count")?,
        heads,
        kv_heads: size("attention.head_count_kv")?.unwrap_or(heads),
        head_dim: head,
        vocab: gguf.shape(EMBEDDING).and_then(|shape| u32::try_from(shape[0]).ok()).ok_or("the tensor token_embd.weight is missing")?,
        context,
        window,
        norm_eps: gguf.number(&eps)?.ok_or_else(|| format!("its metadata lacks {eps}"))? as f32,
        tied_head: gguf.shape(HEAD).is_none(),
        qk_norm: architecture == "qwen3",
        partial_rotary_dim: (turning != head).then_some(turning),
        score_scale: (score_factor != 1.0).then(|| (score_factor / f64::from(head).sqrt()) as f32),
        ..Config::DECODER
    };
    let first_has = |name: &str| gguf.shape(&format!("blk.0.{name}.bias")).is_some();
    let layers = LayerSpec {
        names: &NAMES,
        qkv_bias: [architecture == "qwen2" || first_has(NAMES.query); 3],
        out_bias: first_has(NAMES.attn_out),
        mlp_bias: first_has(NAMES.up),
        pairs: if architecture == "llama" { RotaryPairs::Interleaved } else { RotaryPairs::RotateHalf },
    };
    let decoder = Decoder { embedding: EMBEDDING, front: "blk.", layers, final_norm: "output_norm", head: HEAD };
    let rotary = rope.frequencies()?;
    let tensors = move |config: &Config, mapper: &mut crate::import::tensor_mapper::TensorMapper<'_, '_>| {
        mapper.skip(&[FACTORS]);
        decoder.tensors(config, mapper)
    };
    Ok(Description { rotary, ..Description::new(config, tensors) })
}

/// How the frequencies are stretched.
fn scaling(gguf: &Gguf<'_>, key: &impl Fn(&str) -> String, context: u32) -> Result<Scaling, String> {
    let number = |rest: &str| gguf.number(&key(rest));
    if let Some(factors) = gguf.vector(FACTORS)? {
        return Ok(Scaling::Factors(factors.into_iter().map(f64::from).collect()));
    }
    let factor = match number("rope.scaling.factor")? {
        // What the first versions wrote.
        None => number("rope.scale_linear")?,
        factor => factor,
    };
    let kind = gguf.text(&key("rope.scaling.type"))?.unwrap_or(if factor.is_some() { "linear" } else { "none" });
    match (kind, factor) {
        ("none", _) | (_, None) => Ok(Scaling::None),
        ("linear", Some(factor)) => Ok(Scaling::Linear(factor)),
        ("yarn", Some(factor)) => Ok(Scaling::Yarn(Yarn {
            factor,
            context: number("rope.scaling.original_context_length")?.unwrap_or(f64::from(context)),
            fast: number("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
            slow: number("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
            whole: true,
            attention: Some(number("rope.scaling.attn_factor")?.unwrap_or(1.0) * yarn_attention(factor, 1.0)),
        })),
        (other, _) => Err(format!("its rotary positions are scaled by {other}, which cannot be read; what can is linear and yarn")),
    }
}
