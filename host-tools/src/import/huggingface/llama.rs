//! Decoders of Llama's shape (Touvron et al. 2023): Llama, SmolLM, Mistral, Qwen 2 and Qwen 3, which differ in biases, query and key norms and
//! sliding windows.

use attoformer::image::{Config, MaskKind};
use serde::Deserialize;

use super::activation::activation;
use super::directory::Directory;
use super::error::ConfigError;
use super::rope;
use super::token_ids::TokenIds;
use crate::import::decoder::DecoderNames;
use crate::import::description::Description;
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs, TensorMapper};
use crate::import::weights::WeightsError;

/// Fields of config.json.
#[derive(Deserialize)]
struct ConfigJson {
    hidden_size: u32,
    intermediate_size: u32,
    num_hidden_layers: u32,
    num_attention_heads: u32,
    num_key_value_heads: Option<u32>,
    head_dim: Option<u32>,
    vocab_size: u32,
    max_position_embeddings: u32,
    #[serde(default = "norm_eps")]
    rms_norm_eps: f32,
    #[serde(default = "silu")]
    hidden_act: String,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    bos_token_id: Option<TokenIds>,
    eos_token_id: Option<TokenIds>,
    #[serde(default)]
    sliding_window: Option<u32>,
    #[serde(default)]
    use_sliding_window: bool,
    max_window_layers: Option<u32>,
    partial_rotary_factor: Option<f64>,
}

fn norm_eps() -> f32 {
    1e-6
}

fn silu() -> String {
    "silu".to_owned()
}

const DECODER: DecoderNames = DecoderNames {
    embedding: "embed_tokens.weight",
    layer_prefix: "layers.",
    layers: LayerSpec {
        names: &LayerNames {
            attn_norm: "input_layernorm",
            query: "self_attn.q_proj",
            key: "self_attn.k_proj",
            value: "self_attn.v_proj",
            attn_out: "self_attn.o_proj",
            query_norm: "self_attn.q_norm",
            key_norm: "self_attn.k_norm",
            mlp_norm: "post_attention_layernorm",
            gate: "mlp.gate_proj",
            up: "mlp.up_proj",
            down: "mlp.down_proj",
        },
        qkv_bias: [false; 3],
        out_bias: false,
        mlp_bias: false,
        pairs: RotaryPairs::RotateHalf,
    },
    final_norm: "norm",
    head: "lm_head.weight",
};

/// Traits of a family that config.json does not state.
#[derive(Clone, Copy, Default)]
struct FamilyTraits {
    qkv_bias: bool,
    qk_norm: bool,
    /// Sliding window, tokens.
    window: Option<u32>,
}

/// Describes a Llama.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn llama(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let traits = FamilyTraits { qkv_bias: json.attention_bias, ..FamilyTraits::default() };
    describe(directory, &json, traits)
}

/// Describes a Mistral.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn mistral(directory: &Directory) -> Result<Description, ConfigError> {
    /// Sliding window of a config.json that does not mention it.
    const WINDOW: u32 = 4096;
    let json: ConfigJson = directory.fields()?;
    let window = if directory.config.get("sliding_window").is_some() { json.sliding_window } else { Some(WINDOW) };
    describe(directory, &json, FamilyTraits { window, ..FamilyTraits::default() })
}

/// Describes a Qwen 2.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn qwen2(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let window = qwen_window(&json)?;
    describe(directory, &json, FamilyTraits { qkv_bias: true, window, ..FamilyTraits::default() })
}

/// Describes a Qwen 3.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn qwen3(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let traits = FamilyTraits { qkv_bias: json.attention_bias, qk_norm: true, window: qwen_window(&json)? };
    describe(directory, &json, traits)
}

/// Qwen's sliding window, which the layers from `max_window_layers` on have.
fn qwen_window(json: &ConfigJson) -> Result<Option<u32>, ConfigError> {
    let window = json.sliding_window.filter(|&window| json.use_sliding_window && window < json.max_position_embeddings);
    match (window, json.max_window_layers.unwrap_or(0)) {
        (None, _) => Ok(None),
        (Some(_), first) if first >= json.num_hidden_layers => Ok(None),
        (window, 0) => Ok(window),
        (_, first) => Err(ConfigError::unsupported("max_window_layers", first, "0, or the number of layers: one window for all layers")),
    }
}

fn describe(directory: &Directory, json: &ConfigJson, traits: FamilyTraits) -> Result<Description, ConfigError> {
    let (width, heads, context) = (json.hidden_size, json.num_attention_heads, json.max_position_embeddings);
    let head = match json.head_dim {
        Some(head) => head,
        None => head_dim(width, heads, "hidden_size")?,
    };
    if let Some(factor) = json.partial_rotary_factor.filter(|&factor| factor != 1.0) {
        return Err(ConfigError::unsupported("partial_rotary_factor", factor, "1 in this family"));
    }
    let rope = rope::read(directory, head, context)?;
    let window = traits.window.filter(|&window| window < context);
    let score_factor = rope.score_factor();
    let config = attoformer::config! {
        activation: activation(&json.hidden_act)?,
        mask: if window.is_some() { MaskKind::Window } else { MaskKind::Causal },
        d_model: width,
        d_hidden: json.intermediate_size,
        layers: json.num_hidden_layers,
        heads,
        kv_heads: json.num_key_value_heads.unwrap_or(heads),
        head_dim: head,
        vocab: json.vocab_size,
        context,
        window,
        norm_eps: json.rms_norm_eps,
        tied_head: json.tie_word_embeddings,
        qk_norm: traits.qk_norm,
        bos: TokenIds::first(&json.bos_token_id),
        eos: TokenIds::first(&json.eos_token_id),
        score_scale: (score_factor != 1.0).then(|| (score_factor / f64::from(head).sqrt()) as f32),
        ..Config::DECODER
    };
    let layers = LayerSpec { qkv_bias: [traits.qkv_bias; 3], out_bias: json.attention_bias, mlp_bias: json.mlp_bias, ..DECODER.layers };
    let names = DecoderNames { layers, ..DECODER };
    let rotary = rope.frequencies()?;
    Ok(Description { rotary, ..Description::new(config, move |config, mapper| map_tensors(&names, config, mapper)) })
}

fn map_tensors(names: &DecoderNames, config: &Config, mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
    mapper.prefix_if("model.");
    for layer in 0..config.layers {
        // A table that follows from the config; older files store it.
        mapper.skip(&[&format!("layers.{layer}.self_attn.rotary_emb.inv_freq")]);
    }
    names.map(config, mapper)
}
