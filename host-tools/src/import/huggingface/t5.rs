//! T5 and Flan-T5 (Raffel et al. 2020): addends to the scores by distance, scores without a scale, RMS norms, no biases.

use attoformer::image::{Activation, Architecture, Config, PositionKind};
use serde::Deserialize;

use super::directory::{Directory, Token};
use crate::import::checkpoint::{GenerationConfig, SourceRole};
use crate::import::description::Description;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs, TensorMapper, transposed};

/// Distances beyond this one count as it: the engine's bound.
const DISTANCE: u32 = 128;
/// Tokens that the models were trained with; the positions themselves have no bound.
const CONTEXT: u32 = 512;

/// What config.json says.
#[derive(Deserialize)]
struct Shape {
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
    eos_token_id: Option<Token>,
}

fn relu() -> String {
    "relu".to_owned()
}

fn yes() -> bool {
    true
}

/// A layer of the encoder, or of the decoder, whose MLP is one part further on.
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
const PLAIN_ENCODER: LayerNames = LayerNames { up: "layer.1.DenseReluDense.wi", ..ENCODER };
const DECODER: LayerNames = LayerNames {
    mlp_norm: "layer.2.layer_norm",
    gate: "layer.2.DenseReluDense.wi_0",
    up: "layer.2.DenseReluDense.wi_1",
    down: "layer.2.DenseReluDense.wo",
    ..ENCODER
};
const PLAIN_DECODER: LayerNames = LayerNames { up: "layer.2.DenseReluDense.wi", ..DECODER };

/// Reads the shape.
///
/// # Errors
/// A sentence's end: what contradicts itself, or is not known.
pub fn read(directory: &Directory) -> Result<Description, String> {
    let shape: Shape = directory.fields()?;
    let (activation, gated) = match &shape.feed_forward_proj[..] {
        "relu" => (Activation::Relu, false),
        // The tanh form, whatever the name says.
        "gated-gelu" => (Activation::GeluTanh, true),
        "gated-silu" => (Activation::Silu, true),
        other => return Err(format!("its feed_forward_proj {other} is not one of relu, gated-gelu, gated-silu")),
    };
    let buckets = shape.relative_attention_num_buckets;
    if buckets == 0 || !buckets.is_multiple_of(4) || buckets > 1024 {
        return Err(format!("{buckets} buckets cannot be read; what can is 4 to 1024, in fours"));
    }
    match shape.relative_attention_max_distance {
        None | Some(DISTANCE) => {}
        Some(other) => return Err(format!("its relative_attention_max_distance is {other}; what can be read is {DISTANCE}")),
    }
    let context = shape.n_positions.unwrap_or(CONTEXT);
    let start = shape.decoder_start_token_id.unwrap_or(0);
    let config = attoformer::config! {
        architecture: Architecture::EncoderDecoder,
        activation,
        gated,
        positions: PositionKind::T5Relative,
        d_model: shape.d_model,
        d_hidden: shape.d_ff,
        layers: shape.num_decoder_layers.unwrap_or(shape.num_layers),
        encoder_layers: shape.num_layers,
        heads: shape.num_heads,
        kv_heads: shape.num_heads,
        head_dim: shape.d_kv,
        vocab: shape.vocab_size,
        context,
        encoder_context: context,
        norm_eps: shape.layer_norm_epsilon,
        tied_head: shape.tie_word_embeddings,
        bos: start,
        eos: Token::first(&shape.eos_token_id),
        score_scale: Some(1.0),
        buckets,
        ..Config::DECODER
    };
    let decoding = GenerationConfig {
        prompt: vec![start],
        suppress_tokens: Vec::new(),
        begin_suppress_tokens: Vec::new(),
        ..GenerationConfig::default()
    };
    Ok(Description { generation_config: Some(decoding), ..Description::new(config, tensors) })
}

fn tensors(config: &Config, mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
    let width = config.d_model;
    mapper.matrix(SourceRole::Embedding, None, "shared.weight", config.vocab, width)?;
    mapper.skip(&["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]);
    biases(config, mapper, SourceRole::EncoderScoreBias, "encoder")?;
    biases(config, mapper, SourceRole::ScoreBias, "decoder")?;
    // Files of the first models hold a table that nothing reads.
    mapper.skip(&["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"]);
    let layers = |names| LayerSpec { names, qkv_bias: [false; 3], out_bias: false, mlp_bias: false, pairs: RotaryPairs::Interleaved };
    let (encoder, decoder) = if config.gated { (&ENCODER, &DECODER) } else { (&PLAIN_ENCODER, &PLAIN_DECODER) };
    for layer in 0..config.encoder_layers {
        mapper.layer(config, &layers(encoder), layer, &format!("encoder.block.{layer}."))?;
    }
    mapper.norm(SourceRole::EncoderNorm, None, "encoder.final_layer_norm", width, config.norm)?;
    for layer in 0..config.layers {
        let (front, at) = (format!("decoder.block.{layer}."), config.encoder_layers + layer);
        mapper.layer(config, &layers(decoder), at, &front)?;
        let projections = [("q", false), ("k", false), ("v", false), ("o", false)];
        mapper.cross(config, at, &format!("{front}layer.1.layer_norm"), &format!("{front}layer.1.EncDecAttention."), projections)?;
    }
    mapper.norm(SourceRole::FinalNorm, None, "decoder.final_layer_norm", width, config.norm)?;
    if !config.tied_head {
        return mapper.matrix(SourceRole::Head, None, "lm_head.weight", config.vocab, width);
    }
    mapper.skip(&["lm_head.weight"]);
    // A head that is the token table reads rows divided by sqrt(d_model): the norm before it does that.
    let scale = (1.0 / f64::from(width).sqrt()) as f32;
    if let Some(norm) = mapper.tensors.last_mut() {
        norm.values.iter_mut().for_each(|value| *value *= scale);
    }
    Ok(())
}

/// A stack's addends, which its first layer holds for all, one row a bucket.
fn biases(config: &Config, mapper: &mut TensorMapper<'_, '_>, part: SourceRole, stack: &str) -> Result<(), String> {
    let (buckets, heads) = (config.buckets as usize, config.heads as usize);
    let name = format!("{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
    let values = transposed(&mapper.values(&name, &[buckets, heads])?, heads);
    mapper.put(part, None, buckets, values, None);
    Ok(())
}
