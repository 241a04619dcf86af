//! Decoders of Llama's shape (Touvron et al. 2023): Llama, SmolLM, Mistral, Qwen 2 and Qwen 3, which differ in biases, norms of the heads and
//! windows.

use attoformer::image::{Config, MaskKind};
use serde::Deserialize;

use super::activation::activation;
use super::directory::{Directory, Token};
use super::rope;
use crate::import::decoder::Decoder;
use crate::import::description::Description;
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs, TensorMapper};

/// What config.json says.
#[derive(Deserialize)]
struct Shape {
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
    bos_token_id: Option<Token>,
    eos_token_id: Option<Token>,
    #[serde(default)]
    sliding_window: Option<u32>,
    #[serde(default)]
    use_sliding_window: bool,
    max_window_layers: Option<u32>,
    partial_rotary_factor: Option<f64>,
}

/// What config.json need not say.
fn norm_eps() -> f32 {
    1e-6
}

fn silu() -> String {
    "silu".to_owned()
}

const DECODER: Decoder = Decoder {
    embedding: "embed_tokens.weight",
    front: "layers.",
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

/// What a family has that config.json does not say.
#[derive(Clone, Copy, Default)]
struct Kind {
    qkv_bias: bool,
    qk_norm: bool,
    window: Option<u32>,
}

/// Reads Llama's shape.
///
/// # Errors
/// A sentence's end: what contradicts itself, or is not known.
pub fn llama(directory: &Directory) -> Result<Description, String> {
    let shape: Shape = directory.fields()?;
    let bias = shape.attention_bias;
    model(directory, shape, Kind { qkv_bias: bias, ..Kind::default() })
}

/// Reads Mistral's shape.
///
/// # Errors
/// Those of [`llama`].
pub fn mistral(directory: &Directory) -> Result<Description, String> {
    /// The window of a config.json that does not mention it.
    const WINDOW: u32 = 4096;
    let shape: Shape = directory.fields()?;
    let window = if directory.config.get("sliding_window").is_some() { shape.sliding_window } else { Some(WINDOW) };
    model(directory, shape, Kind { window, ..Kind::default() })
}

/// Reads the shape of Qwen 2.
///
/// # Errors
/// Those of [`llama`].
pub fn qwen2(directory: &Directory) -> Result<Description, String> {
    let shape: Shape = directory.fields()?;
    let window = qwen_window(&shape)?;
    model(directory, shape, Kind { qkv_bias: true, window, ..Kind::default() })
}

/// Reads the shape of Qwen 3.
///
/// # Errors
/// Those of [`llama`].
pub fn qwen3(directory: &Directory) -> Result<Description, String> {
    let shape: Shape = directory.fields()?;
    let (window, bias) = (qwen_window(&shape)?, shape.attention_bias);
    model(directory, shape, Kind { qkv_bias: bias, qk_norm: true, window })
}

/// Qwen's layers from `max_window_layers` on have a window, the others have none.
fn qwen_window(shape: &Shape) -> Result<Option<u32>, String> {
    let window = shape.sliding_window.filter(|&window| shape.use_sliding_window && window < shape.max_position_embeddings);
    match (window, shape.max_window_layers.unwrap_or(0)) {
        (None, _) => Ok(None),
        (Some(_), first) if first >= shape.num_hidden_layers => Ok(None),
        (window, 0) => Ok(window),
        (_, first) => Err(format!("its layers have a window from number {first} on only, which cannot be read yet")),
    }
}

fn model(directory: &Directory, shape: Shape, kind: Kind) -> Result<Description, String> {
    let (width, heads, context) = (shape.hidden_size, shape.num_attention_heads, shape.max_position_embeddings);
    let head = shape.head_dim.map_or_else(|| head_dim(width, heads, "hidden_size"), Ok)?;
    if shape.partial_rotary_factor.is_some_and(|part| part != 1.0) {
        return Err("only a part of its heads turns (partial_rotary_factor), which cannot be read in this family".to_owned());
    }
    let rope = rope::read(directory, head, context)?;
    let window = kind.window.filter(|&window| window < context);
    let score_factor = rope.score_factor();
    let config = attoformer::config! {
        activation: activation(&shape.hidden_act)?,
        mask: if window.is_some() { MaskKind::Window } else { MaskKind::Causal },
        d_model: width,
        d_hidden: shape.intermediate_size,
        layers: shape.num_hidden_layers,
        heads,
        kv_heads: shape.num_key_value_heads.unwrap_or(heads),
        head_dim: head,
        vocab: shape.vocab_size,
        context,
        window,
        norm_eps: shape.rms_norm_eps,
        tied_head: shape.tie_word_embeddings,
        qk_norm: kind.qk_norm,
        bos: Token::first(&shape.bos_token_id),
        eos: Token::first(&shape.eos_token_id),
        score_scale: (score_factor != 1.0).then(|| (score_factor / f64::from(head).sqrt()) as f32),
        ..Config::DECODER
    };
    let layers = LayerSpec { qkv_bias: [kind.qkv_bias; 3], out_bias: shape.attention_bias, mlp_bias: shape.mlp_bias, ..DECODER.layers };
    let decoder = Decoder { layers, ..DECODER };
    let rotary = rope.frequencies()?;
    Ok(Description { rotary, ..Description::new(config, move |config, mapper| tensors(&decoder, config, mapper)) })
}

fn tensors(decoder: &Decoder, config: &Config, mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
    mapper.prefix_if("model.");
    for layer in 0..config.layers {
        // A table that follows from the config; old files hold it.
        mapper.skip(&[&format!("layers.{layer}.self_attn.rotary_emb.inv_freq")]);
    }
    decoder.tensors(config, mapper)
}
