//! Marian's translation models (Junczys-Dowmunt et al. 2018) as Hugging Face converts them: Vaswani's transformer with one token table.

use attoformer::image::{Architecture, Config, NormKind, NormPlacement, PositionKind};
use serde::Deserialize;

use super::activation::activation;
use super::directory::{Directory, Token};
use crate::import::checkpoint::{GenerationConfig, SourceRole};
use crate::import::description::Description;
use crate::import::limits::{COMPUTED_MAX, head_dim};
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs, TensorMapper};

/// What config.json says.
#[derive(Deserialize)]
struct Shape {
    d_model: u32,
    encoder_layers: u32,
    decoder_layers: u32,
    encoder_ffn_dim: u32,
    decoder_ffn_dim: u32,
    encoder_attention_heads: u32,
    decoder_attention_heads: u32,
    vocab_size: u32,
    decoder_vocab_size: Option<u32>,
    max_position_embeddings: u32,
    activation_function: String,
    #[serde(default)]
    scale_embedding: bool,
    #[serde(default)]
    normalize_before: bool,
    #[serde(default)]
    normalize_embedding: bool,
    #[serde(default = "yes")]
    share_encoder_decoder_embeddings: bool,
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
    decoder_start_token_id: Option<u32>,
    pad_token_id: Option<u32>,
    eos_token_id: Option<Token>,
    #[serde(default)]
    bad_words_ids: Option<Vec<Vec<u32>>>,
}

fn yes() -> bool {
    true
}

/// It is not in config.json.
const NORM_EPS: f32 = 1e-5;
const LAYERS: LayerSpec = LayerSpec {
    names: &LayerNames {
        attn_norm: "self_attn_layer_norm",
        query: "self_attn.q_proj",
        key: "self_attn.k_proj",
        value: "self_attn.v_proj",
        attn_out: "self_attn.out_proj",
        mlp_norm: "final_layer_norm",
        up: "fc1",
        down: "fc2",
        ..LayerNames::NONE
    },
    qkv_bias: [true; 3],
    out_bias: true,
    mlp_bias: true,
    pairs: RotaryPairs::Interleaved,
};

/// Reads the shape.
///
/// # Errors
/// A sentence's end: what contradicts itself, or is not known.
pub fn read(directory: &Directory) -> Result<Description, String> {
    let shape: Shape = directory.fields()?;
    let (encoder, decoder) =
        ((shape.encoder_ffn_dim, shape.encoder_attention_heads), (shape.decoder_ffn_dim, shape.decoder_attention_heads));
    if encoder != decoder {
        return Err(format!("its encoder's MLP and heads {encoder:?} are not its decoder's {decoder:?}: such stacks cannot be read yet"));
    }
    if !shape.share_encoder_decoder_embeddings
        || !shape.tie_word_embeddings
        || shape.decoder_vocab_size.unwrap_or(shape.vocab_size) != shape.vocab_size
    {
        return Err("its two stacks and its head do not share one token table, which cannot be read yet".to_owned());
    }
    if shape.normalize_before || shape.normalize_embedding {
        return Err("it states normalize_before or normalize_embedding, which no model of this family has".to_owned());
    }
    let start = shape.decoder_start_token_id.or(shape.pad_token_id).ok_or("it lacks decoder_start_token_id")?;
    let suppressed = shape.bad_words_ids.unwrap_or_default().into_iter().filter(|word| word.len() == 1).flatten().collect();
    let config = attoformer::config! {
        architecture: Architecture::EncoderDecoder,
        norm: NormKind::Layer,
        placement: NormPlacement::Post,
        activation: activation(&shape.activation_function)?,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        d_model: shape.d_model,
        d_hidden: decoder.0,
        layers: shape.decoder_layers,
        encoder_layers: shape.encoder_layers,
        heads: decoder.1,
        kv_heads: decoder.1,
        head_dim: head_dim(shape.d_model, decoder.1, "d_model")?,
        vocab: shape.vocab_size,
        context: shape.max_position_embeddings,
        encoder_context: shape.max_position_embeddings,
        norm_eps: NORM_EPS,
        tied_head: true,
        final_norm: false,
        embedding_scale: shape.scale_embedding.then(|| f64::from(shape.d_model).sqrt() as f32),
        bos: start,
        eos: Token::first(&shape.eos_token_id),
        ..Config::DECODER
    };
    let decoding = GenerationConfig {
        prompt: vec![start],
        suppress_tokens: suppressed,
        begin_suppress_tokens: Vec::new(),
        ..GenerationConfig::default()
    };
    Ok(Description { generation_config: Some(decoding), ..Description::new(config, tensors) })
}

fn tensors(config: &Config, mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
    let (width, vocab) = (config.d_model as usize, config.vocab as usize);
    // The same table under its other names, of which a file may have any.
    let names = ["model.shared.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"];
    let name = names.into_iter().find(|name| mapper.weights.has(name)).unwrap_or(names[0]);
    let words = mapper.values(name, &[vocab, width])?;
    let bias = mapper.values("final_logits_bias", &[1, vocab])?;
    mapper.put(SourceRole::Embedding, None, width, words, Some(bias));
    mapper.skip(&names);
    for (part, name) in [
        (SourceRole::EncoderPositions, "model.encoder.embed_positions.weight"),
        (SourceRole::Positions, "model.decoder.embed_positions.weight"),
    ] {
        let table = if mapper.weights.has(name) {
            mapper.values(name, &[config.context as usize, width])?
        } else {
            sinusoids(config.context, config.d_model)?
        };
        mapper.put(part, None, width, table, None);
    }
    for layer in 0..config.encoder_layers {
        mapper.layer(config, &LAYERS, layer, &format!("model.encoder.layers.{layer}."))?;
    }
    for layer in 0..config.layers {
        let (front, at) = (format!("model.decoder.layers.{layer}."), config.encoder_layers + layer);
        mapper.layer(config, &LAYERS, at, &front)?;
        let projections = [("q_proj", true), ("k_proj", true), ("v_proj", true), ("out_proj", true)];
        mapper.cross(config, at, &format!("{front}encoder_attn_layer_norm"), &format!("{front}encoder_attn."), projections)?;
    }
    Ok(())
}

/// Sines in the first half of a row, cosines in the second, whose wavelengths grow from 2 pi to 20,000 pi (Vaswani et al. 2017, section
/// 3.5, where they alternate).
fn sinusoids(places: u32, width: u32) -> Result<Vec<f32>, String> {
    if u64::from(places) * u64::from(width) > COMPUTED_MAX {
        return Err(format!("a table of {places} positions by {width} is more than can be computed"));
    }
    let sines = width.div_ceil(2);
    let value = |place: u32, column: u32| {
        let pair = if column < sines { column } else { column - sines };
        let angle = f64::from(place) / libm::pow(10_000.0, 2.0 * f64::from(pair) / f64::from(width));
        if column < sines { libm::sin(angle) } else { libm::cos(angle) }
    };
    Ok((0..places).flat_map(|place| (0..width).map(move |column| value(place, column) as f32)).collect())
}
