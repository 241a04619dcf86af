//! Whisper (Radford et al. 2022): log-mel frames through a convolution stem and an encoder, text from a decoder that looks at its rows.

use std::collections::BTreeMap;

use attoformer::image::{Architecture, Config, InputStem, NormKind, PositionKind};
use serde::Deserialize;

use super::activation::activation;
use super::directory::Directory;
use super::file_names::{GENERATION, PREPROCESSOR};
use crate::import::checkpoint::{GenerationConfig, SourceRole};
use crate::import::description::Description;
use crate::import::json_file::fields;
use crate::import::limits::head_dim;
use crate::import::preprocess::audio::LogMel;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs, TensorMapper};

/// What config.json says.
#[derive(Deserialize)]
struct Shape {
    d_model: u32,
    encoder_layers: u32,
    decoder_layers: u32,
    encoder_attention_heads: u32,
    decoder_attention_heads: u32,
    encoder_ffn_dim: u32,
    decoder_ffn_dim: u32,
    activation_function: String,
    vocab_size: u32,
    num_mel_bins: u32,
    max_source_positions: u32,
    max_target_positions: u32,
    decoder_start_token_id: u32,
    eos_token_id: u32,
    #[serde(default)]
    scale_embedding: bool,
}

/// What generation_config.json says of a transcript.
#[derive(Deserialize)]
struct Generation {
    decoder_start_token_id: u32,
    no_timestamps_token_id: u32,
    #[serde(default)]
    suppress_tokens: Vec<u32>,
    #[serde(default)]
    begin_suppress_tokens: Vec<u32>,
    #[serde(default)]
    is_multilingual: bool,
    #[serde(default)]
    lang_to_id: BTreeMap<String, u32>,
    #[serde(default)]
    task_to_id: BTreeMap<String, u32>,
    #[serde(default = "one_second")]
    max_initial_timestamp_index: u32,
}

impl Generation {
    /// Whether its tokens are the model's.
    fn check(&self, config: &Config) -> Result<(), String> {
        let named = self.lang_to_id.values().chain(self.task_to_id.values());
        let suppressed = self.suppress_tokens.iter().chain(&self.begin_suppress_tokens);
        if let Some(token) = named.chain(suppressed).chain([&self.no_timestamps_token_id]).find(|&&token| token >= config.vocab) {
            return Err(format!("a token is {token}, and the model has {}", config.vocab));
        }
        if self.decoder_start_token_id != config.bos {
            let (start, begin) = (self.decoder_start_token_id, config.bos);
            return Err(format!("decoder_start_token_id is {start}, in the model's configuration {begin}"));
        }
        Ok(())
    }
}

/// Timestamps are 20 ms apart.
fn one_second() -> u32 {
    50
}

/// Layer norms of this family add 1e-5 to the variance; its configuration does not say so.
const NORM_EPS: f32 = 1e-5;
/// Keys have no bias: it would add the same to all scores of a query.
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
    qkv_bias: [true, false, true],
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
    let heads = shape.encoder_attention_heads;
    if shape.decoder_attention_heads != heads || shape.decoder_ffn_dim != shape.encoder_ffn_dim {
        return Err("its encoder and decoder differ in heads or in the MLP's width, which cannot be read yet".to_owned());
    }
    let config = attoformer::config! {
        architecture: Architecture::EncoderDecoder,
        norm: NormKind::Layer,
        activation: activation(&shape.activation_function)?,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        d_model: shape.d_model,
        d_hidden: shape.encoder_ffn_dim,
        layers: shape.decoder_layers,
        encoder_layers: shape.encoder_layers,
        heads,
        kv_heads: heads,
        head_dim: head_dim(shape.d_model, heads, "d_model")?,
        vocab: shape.vocab_size,
        context: shape.max_target_positions,
        encoder_context: shape.max_source_positions,
        norm_eps: NORM_EPS,
        tied_head: true,
        input_stem: InputStem::Convolution,
        features: shape.num_mel_bins,
        embedding_scale: shape.scale_embedding.then(|| f64::from(shape.d_model).sqrt() as f32),
        bos: shape.decoder_start_token_id,
        eos: shape.eos_token_id,
        ..Config::DECODER
    };
    let sound = directory.beside(PREPROCESSOR)?.ok_or_else(|| format!("there is no {PREPROCESSOR} beside it"))?;
    let sound = fields(sound).and_then(|sound: LogMel| sound.frontend()).map_err(|error| format!("of its {PREPROCESSOR}, {error}"))?;
    // The first convolution passes by each frame, the second by every other one.
    let positions = sound.samples / sound.hop / 2;
    if (positions, sound.bands) != (config.encoder_context, config.features) {
        let (bands, stated) = (config.features, config.encoder_context);
        return Err(format!(
            "its {PREPROCESSOR} makes {positions} positions of {} mel bands, its configuration states {stated} of {bands}",
            sound.bands
        ));
    }
    Ok(Description { audio: Some(sound), generation_config: generation_config(directory, &config)?, ..Description::new(config, tensors) })
}

/// In English, without timestamps; what other transcripts begin with stands beside it.
fn generation_config(directory: &Directory, config: &Config) -> Result<Option<GenerationConfig>, String> {
    let Some(generation) = directory.beside(GENERATION)? else { return Ok(None) };
    let generation: Generation = fields(generation).map_err(|error| format!("of its {GENERATION}, {error}"))?;
    generation.check(config).map_err(|error| format!("of its {GENERATION}, {error}"))?;
    let several = generation.is_multilingual;
    let task = |name: &str| generation.task_to_id.get(name).filter(|_| several).copied();
    let english = generation.lang_to_id.get("<|en|>").or(generation.lang_to_id.values().next()).filter(|_| several).copied();
    let first = generation.decoder_start_token_id;
    Ok(Some(GenerationConfig {
        prompt: [Some(first), english, task("transcribe"), Some(generation.no_timestamps_token_id)].into_iter().flatten().collect(),
        languages: if several { generation.lang_to_id.into_values().collect() } else { Vec::new() },
        transcribe: task("transcribe").unwrap_or(0),
        translate: task("translate").unwrap_or(0),
        no_timestamps: generation.no_timestamps_token_id,
        max_initial_timestamp: generation.max_initial_timestamp_index,
        suppress_tokens: generation.suppress_tokens,
        begin_suppress_tokens: generation.begin_suppress_tokens,
    }))
}

fn tensors(config: &Config, mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
    let (width, features) = (config.d_model as usize, config.features as usize);
    mapper.prefix = "model.";
    mapper.matrix(SourceRole::Embedding, None, "decoder.embed_tokens.weight", config.vocab, config.d_model)?;
    mapper.matrix(SourceRole::EncoderPositions, None, "encoder.embed_positions.weight", config.encoder_context, config.d_model)?;
    mapper.matrix(SourceRole::Positions, None, "decoder.embed_positions.weight", config.context, config.d_model)?;
    convolution(mapper, SourceRole::Conv1, "encoder.conv1", (width, features))?;
    convolution(mapper, SourceRole::Conv2, "encoder.conv2", (width, width))?;
    for layer in 0..config.encoder_layers {
        mapper.layer(config, &LAYERS, layer, &format!("encoder.layers.{layer}."))?;
    }
    mapper.norm(SourceRole::EncoderNorm, None, "encoder.layer_norm", config.d_model, config.norm)?;
    for layer in 0..config.layers {
        let (front, at) = (format!("decoder.layers.{layer}."), config.encoder_layers + layer);
        mapper.layer(config, &LAYERS, at, &front)?;
        let projections = [("q_proj", true), ("k_proj", false), ("v_proj", true), ("out_proj", true)];
        mapper.cross(config, at, &format!("{front}encoder_attn_layer_norm"), &format!("{front}encoder_attn."), projections)?;
    }
    mapper.norm(SourceRole::FinalNorm, None, "decoder.layer_norm", config.d_model, config.norm)?;
    // A copy of the embedding in some files.
    mapper.weights.skip("proj_out.weight");
    Ok(())
}

/// A convolution of width 3, whose file has (out, in, tap): the taps' inputs come one after another.
fn convolution(mapper: &mut TensorMapper<'_, '_>, part: SourceRole, name: &str, (rows, inputs): (usize, usize)) -> Result<(), String> {
    let values = mapper.values(&format!("{name}.weight"), &[rows, inputs, 3])?;
    let bias = mapper.values(&format!("{name}.bias"), &[rows])?;
    let by_tap = |row: &[f32]| (0..3).flat_map(|tap| row.chunks_exact(3).map(move |taps| taps[tap])).collect::<Vec<f32>>();
    let values = values.chunks_exact(3 * inputs).flat_map(by_tap).collect();
    mapper.put(part, None, 3 * inputs, values, Some(bias));
    Ok(())
}
