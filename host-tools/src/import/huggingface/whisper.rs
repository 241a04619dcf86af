//! Whisper (Radford et al. 2022): log-mel frames through a convolution stem and an encoder; text from a decoder with cross-attention.

use std::collections::BTreeMap;

use attoformer::image::{Architecture, Config, InputStem, NormKind, PositionKind};
use serde::Deserialize;

use super::activation::activation;
use super::directory::Directory;
use super::error::ConfigError;
use super::file_names::{GENERATION, PREPROCESSOR};
use crate::import::checkpoint::{GenerationConfig, SourceRole};
use crate::import::description::Description;
use crate::import::limits::head_dim;
use crate::import::preprocess::audio::LogMel;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs, TensorMapper};
use crate::import::weights::WeightsError;

/// Fields of config.json.
#[derive(Deserialize)]
struct ConfigJson {
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

/// Fields of generation_config.json.
#[derive(Deserialize)]
struct GenerationJson {
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

/// 50 timestamps of 20 ms.
fn one_second() -> u32 {
    50
}

impl GenerationJson {
    /// Checks that the tokens are the model's.
    fn check(&self, config: &Config) -> Result<(), ConfigError> {
        let named = self.lang_to_id.values().chain(self.task_to_id.values());
        let suppressed = self.suppress_tokens.iter().chain(&self.begin_suppress_tokens);
        let mut tokens = named.chain(suppressed).chain([&self.no_timestamps_token_id]);
        if let Some(&token) = tokens.find(|&&token| token >= config.vocab) {
            return Err(ConfigError::TokenRange { token, vocab: config.vocab });
        }
        if self.decoder_start_token_id != config.bos {
            return Err(ConfigError::StartToken { generation: self.decoder_start_token_id, config: config.bos });
        }
        Ok(())
    }

    /// The start of an English transcript without timestamps; the tokens of other transcripts are beside it.
    fn generation_config(self, config: &Config) -> Result<GenerationConfig, ConfigError> {
        self.check(config)?;
        let multilingual = self.is_multilingual;
        let task = |name: &str| self.task_to_id.get(name).filter(|_| multilingual).copied();
        let english = self.lang_to_id.get("<|en|>").or(self.lang_to_id.values().next()).filter(|_| multilingual).copied();
        let prompt = [Some(self.decoder_start_token_id), english, task("transcribe"), Some(self.no_timestamps_token_id)];
        Ok(GenerationConfig {
            prompt: prompt.into_iter().flatten().collect(),
            transcribe: task("transcribe").unwrap_or(0),
            translate: task("translate").unwrap_or(0),
            languages: if multilingual { self.lang_to_id.into_values().collect() } else { Vec::new() },
            no_timestamps: self.no_timestamps_token_id,
            max_initial_timestamp: self.max_initial_timestamp_index,
            suppress_tokens: self.suppress_tokens,
            begin_suppress_tokens: self.begin_suppress_tokens,
        })
    }
}

/// Epsilon of the norms, which config.json does not state.
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

/// Describes the model.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn describe(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let heads = json.encoder_attention_heads;
    if json.decoder_attention_heads != heads || json.decoder_ffn_dim != json.encoder_ffn_dim {
        return Err(ConfigError::StacksDiffer);
    }
    let config = attoformer::config! {
        architecture: Architecture::EncoderDecoder,
        norm: NormKind::Layer,
        activation: activation(&json.activation_function)?,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        d_model: json.d_model,
        d_hidden: json.encoder_ffn_dim,
        layers: json.decoder_layers,
        encoder_layers: json.encoder_layers,
        heads,
        kv_heads: heads,
        head_dim: head_dim(json.d_model, heads, "d_model")?,
        vocab: json.vocab_size,
        context: json.max_target_positions,
        encoder_context: json.max_source_positions,
        norm_eps: NORM_EPS,
        tied_head: true,
        input_stem: InputStem::Convolution,
        features: json.num_mel_bins,
        embedding_scale: json.scale_embedding.then(|| f64::from(json.d_model).sqrt() as f32),
        bos: json.decoder_start_token_id,
        eos: json.eos_token_id,
        ..Config::DECODER
    };
    let audio = directory.sidecar(PREPROCESSOR, |file: LogMel| file.frontend())?.ok_or(ConfigError::FileMissing(PREPROCESSOR))?;
    // The second convolution has stride 2.
    let positions = audio.samples / audio.hop / 2;
    let (expected_positions, expected_bands) = (config.encoder_context, config.features);
    if (positions, audio.bands) != (expected_positions, expected_bands) {
        return Err(ConfigError::AudioSize { positions, bands: audio.bands, expected_positions, expected_bands });
    }
    let generation_config = directory.sidecar(GENERATION, |file: GenerationJson| file.generation_config(&config))?;
    Ok(Description { audio: Some(audio), generation_config, ..Description::new(config, map_tensors) })
}

fn map_tensors(config: &Config, mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
    let (width, features) = (config.d_model as usize, config.features as usize);
    mapper.prefix = "model.";
    mapper.matrix(SourceRole::Embedding, None, "decoder.embed_tokens.weight", config.vocab, config.d_model)?;
    mapper.matrix(SourceRole::EncoderPositions, None, "encoder.embed_positions.weight", config.encoder_context, config.d_model)?;
    mapper.matrix(SourceRole::Positions, None, "decoder.embed_positions.weight", config.context, config.d_model)?;
    map_convolution(mapper, SourceRole::Conv1, "encoder.conv1", (width, features))?;
    map_convolution(mapper, SourceRole::Conv2, "encoder.conv2", (width, width))?;
    for layer in 0..config.encoder_layers {
        mapper.layer(config, &LAYERS, layer, &format!("encoder.layers.{layer}."))?;
    }
    mapper.norm(SourceRole::EncoderNorm, None, "encoder.layer_norm", config.d_model, config.norm)?;
    for layer in 0..config.layers {
        let (prefix, at) = (format!("decoder.layers.{layer}."), config.encoder_layers + layer);
        mapper.layer(config, &LAYERS, at, &prefix)?;
        let projections = [("q_proj", true), ("k_proj", false), ("v_proj", true), ("out_proj", true)];
        mapper.cross(config, at, &format!("{prefix}encoder_attn_layer_norm"), &format!("{prefix}encoder_attn."), projections)?;
    }
    mapper.norm(SourceRole::FinalNorm, None, "decoder.layer_norm", config.d_model, config.norm)?;
    // With tied embeddings some files store a copy of the embedding table.
    mapper.weights.skip("proj_out.weight");
    Ok(())
}

/// Maps a convolution of width 3. The file stores `(out, in, tap)`, a checkpoint the inputs of each tap one after another.
fn map_convolution(
    mapper: &mut TensorMapper<'_>,
    role: SourceRole,
    name: &str,
    (rows, inputs): (usize, usize),
) -> Result<(), WeightsError> {
    let kernels = mapper.data(&format!("{name}.weight"), &[rows, inputs, 3])?;
    let bias = mapper.values(&format!("{name}.bias"), &[rows])?;
    let by_tap = |row: &[f32]| (0..3).flat_map(|tap| row.chunks_exact(3).map(move |taps| taps[tap])).collect::<Vec<f32>>();
    let kernels = kernels.map(rows * inputs * 3, move |kernels| kernels.chunks_exact(3 * inputs).flat_map(by_tap).collect());
    mapper.put(role, None, 3 * inputs, kernels, Some(bias));
    Ok(())
}
