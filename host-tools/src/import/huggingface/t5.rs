//! T5 and Flan-T5 (Raffel et al. 2020): T5 relative position biases, unscaled attention scores, RMSNorm, no biases.

use attoformer::image::{Activation, Architecture, Config, PositionKind};
use serde::Deserialize;

use super::defaults::yes;
use super::directory::Directory;
use super::error::ConfigError;
use super::token_ids::TokenIds;
use crate::import::checkpoint::{GenerationConfig, SourceRole};
use crate::import::description::Description;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs, TensorMapper, transposed};
use crate::import::weights::WeightsError;

/// Largest distance with a bias of its own in the engine.
const DISTANCE_MAX: u32 = 128;
/// Context of the training, tokens; relative positions themselves have no bound.
const CONTEXT: u32 = 512;

/// Fields of config.json.
#[derive(Deserialize)]
struct ConfigJson {
    d_model: u32,
    d_kv: u32,
    d_ff: u32,
    num_layers: u32,
    num_decoder_layers: Option<u32>,
    num_heads: u32,
    vocab_size: u32,
    relative_attention_num_buckets: u32,
    relative_attention_max_distance: Option<u32>,
    n_positions: Option<u32>,
    layer_norm_epsilon: f32,
    #[serde(default = "relu")]
    feed_forward_proj: String,
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
    decoder_start_token_id: Option<u32>,
    eos_token_id: Option<TokenIds>,
}

fn relu() -> String {
    "relu".to_owned()
}

/// Names of an encoder's layer with a gated MLP.
const ENCODER: LayerNames = LayerNames {
    attn_norm: "layer.0.layer_norm",
    query: "layer.0.SelfAttention.q",
    key: "layer.0.SelfAttention.k",
    value: "layer.0.SelfAttention.v",
    attn_out: "layer.0.SelfAttention.o",
    mlp_norm: "layer.1.layer_norm",
    gate: "layer.1.DenseReluDense.wi_0",
    up: "layer.1.DenseReluDense.wi_1",
    down: "layer.1.DenseReluDense.wo",
    ..LayerNames::NONE
};
const UNGATED_ENCODER: LayerNames = LayerNames { up: "layer.1.DenseReluDense.wi", ..ENCODER };
/// Names of a decoder's layer, whose MLP follows the cross-attention.
const DECODER: LayerNames = LayerNames {
    mlp_norm: "layer.2.layer_norm",
    gate: "layer.2.DenseReluDense.wi_0",
    up: "layer.2.DenseReluDense.wi_1",
    down: "layer.2.DenseReluDense.wo",
    ..ENCODER
};
const UNGATED_DECODER: LayerNames = LayerNames { up: "layer.2.DenseReluDense.wi", ..DECODER };

/// Describes the model.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn describe(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let (activation, gated) = match &json.feed_forward_proj[..] {
        "relu" => (Activation::Relu, false),
        // GELU by its tanh approximation, although the name does not say so.
        "gated-gelu" => (Activation::GeluTanh, true),
        "gated-silu" => (Activation::Silu, true),
        other => return Err(ConfigError::unsupported("feed_forward_proj", other, "relu, gated-gelu and gated-silu")),
    };
    let buckets = json.relative_attention_num_buckets;
    if buckets == 0 || !buckets.is_multiple_of(4) || buckets > 1024 {
        return Err(ConfigError::unsupported("relative_attention_num_buckets", buckets, "multiples of 4 up to 1024"));
    }
    if let Some(distance) = json.relative_attention_max_distance.filter(|&distance| distance != DISTANCE_MAX) {
        return Err(ConfigError::unsupported("relative_attention_max_distance", distance, "128"));
    }
    let context = json.n_positions.unwrap_or(CONTEXT);
    let start = json.decoder_start_token_id.unwrap_or(0);
    let config = attoformer::config! {
        architecture: Architecture::EncoderDecoder,
        activation,
        gated,
        positions: PositionKind::T5Relative,
        d_model: json.d_model,
        d_hidden: json.d_ff,
        layers: json.num_decoder_layers.unwrap_or(json.num_layers),
        encoder_layers: json.num_layers,
        heads: json.num_heads,
        kv_heads: json.num_heads,
        head_dim: json.d_kv,
        vocab: json.vocab_size,
        context,
        encoder_context: context,
        norm_eps: json.layer_norm_epsilon,
        tied_head: json.tie_word_embeddings,
        bos: start,
        eos: TokenIds::first(&json.eos_token_id),
        score_scale: Some(1.0),
        buckets,
        ..Config::DECODER
    };
    let generation_config = GenerationConfig { prompt: vec![start], ..GenerationConfig::default() };
    Ok(Description { generation_config: Some(generation_config), ..Description::new(config, map_tensors) })
}

fn map_tensors(config: &Config, mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
    let width = config.d_model;
    mapper.matrix(SourceRole::Embedding, None, "shared.weight", config.vocab, width)?;
    mapper.skip(&["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]);
    map_biases(config, mapper, SourceRole::EncoderScoreBias, "encoder")?;
    map_biases(config, mapper, SourceRole::ScoreBias, "decoder")?;
    // Files of the first models have a table that nothing reads.
    mapper.skip(&["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"]);
    let spec = |names| LayerSpec { names, qkv_bias: [false; 3], out_bias: false, mlp_bias: false, pairs: RotaryPairs::Interleaved };
    let (encoder, decoder) = if config.gated { (&ENCODER, &DECODER) } else { (&UNGATED_ENCODER, &UNGATED_DECODER) };
    for layer in 0..config.encoder_layers {
        mapper.layer(config, &spec(encoder), layer, &format!("encoder.block.{layer}."))?;
    }
    mapper.norm(SourceRole::EncoderNorm, None, "encoder.final_layer_norm", width, config.norm)?;
    for layer in 0..config.layers {
        let (prefix, at) = (format!("decoder.block.{layer}."), config.encoder_layers + layer);
        mapper.layer(config, &spec(decoder), at, &prefix)?;
        let projections = [("q", false), ("k", false), ("v", false), ("o", false)];
        mapper.cross(config, at, &format!("{prefix}layer.1.layer_norm"), &format!("{prefix}layer.1.EncDecAttention."), projections)?;
    }
    mapper.norm(SourceRole::FinalNorm, None, "decoder.final_layer_norm", width, config.norm)?;
    if !config.tied_head {
        return mapper.matrix(SourceRole::Head, None, "lm_head.weight", config.vocab, width);
    }
    mapper.skip(&["lm_head.weight"]);
    // With tied embeddings the head reads rows divided by sqrt(d_model): the factor is folded into the norm before it.
    let scale = (1.0 / f64::from(width).sqrt()) as f32;
    if let Some(norm) = mapper.tensors.last_mut() {
        norm.data.edit(|values| values.iter_mut().for_each(|value| *value *= scale));
    }
    Ok(())
}

/// Maps the relative position biases of a stack, which its first layer stores for all layers, one row per bucket.
fn map_biases(config: &Config, mapper: &mut TensorMapper<'_>, role: SourceRole, stack: &str) -> Result<(), WeightsError> {
    let (buckets, heads) = (config.buckets as usize, config.heads as usize);
    let name = format!("{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
    let values = transposed(&mapper.values(&name, &[buckets, heads])?, heads, 0..heads);
    mapper.put(role, None, buckets, values, None);
    Ok(())
}
