//! Marian's translation models (Junczys-Dowmunt et al. 2018) as Hugging Face converts them: the transformer of Vaswani et al. (2017) with one embedding
//! table.

use attoformer::image::{Architecture, Config, NormKind, NormPlacement, PositionKind};
use serde::Deserialize;

use super::activation::activation;
use super::defaults::yes;
use super::directory::Directory;
use super::error::ConfigError;
use super::token_ids::TokenIds;
use crate::import::checkpoint::{GenerationConfig, SourceRole};
use crate::import::description::Description;
use crate::import::limits::{COMPUTED_TABLE_MAX, head_dim};
use crate::import::tensor_data::TensorData;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs, TensorMapper};
use crate::import::weights::WeightsError;

/// Fields of config.json.
#[derive(Deserialize)]
struct ConfigJson {
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
    eos_token_id: Option<TokenIds>,
    #[serde(default)]
    bad_words_ids: Option<Vec<Vec<u32>>>,
}

/// Epsilon of the norms, which config.json does not state.
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

/// Describes the model.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn describe(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let (hidden, heads) = (json.decoder_ffn_dim, json.decoder_attention_heads);
    if (json.encoder_ffn_dim, json.encoder_attention_heads) != (hidden, heads) {
        return Err(ConfigError::StacksDiffer);
    }
    let one_vocabulary = json.decoder_vocab_size.unwrap_or(json.vocab_size) == json.vocab_size;
    if !json.share_encoder_decoder_embeddings || !json.tie_word_embeddings || !one_vocabulary {
        return Err(ConfigError::EmbeddingsDiffer);
    }
    if json.normalize_before || json.normalize_embedding {
        return Err(ConfigError::unsupported("normalize_before or normalize_embedding", true, "false in this family"));
    }
    let start = json.decoder_start_token_id.or(json.pad_token_id).ok_or(ConfigError::FieldMissing("decoder_start_token_id"))?;
    let suppress_tokens = json.bad_words_ids.unwrap_or_default().into_iter().filter(|word| word.len() == 1).flatten().collect();
    let config = attoformer::config! {
        architecture: Architecture::EncoderDecoder,
        norm: NormKind::Layer,
        placement: NormPlacement::Post,
        activation: activation(&json.activation_function)?,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        d_model: json.d_model,
        d_hidden: hidden,
        layers: json.decoder_layers,
        encoder_layers: json.encoder_layers,
        heads,
        kv_heads: heads,
        head_dim: head_dim(json.d_model, heads, "d_model")?,
        vocab: json.vocab_size,
        context: json.max_position_embeddings,
        encoder_context: json.max_position_embeddings,
        norm_eps: NORM_EPS,
        tied_head: true,
        final_norm: false,
        embedding_scale: json.scale_embedding.then(|| f64::from(json.d_model).sqrt() as f32),
        bos: start,
        eos: TokenIds::first(&json.eos_token_id),
        ..Config::DECODER
    };
    let generation_config = GenerationConfig { prompt: vec![start], suppress_tokens, ..GenerationConfig::default() };
    Ok(Description { generation_config: Some(generation_config), ..Description::new(config, map_tensors) })
}

fn map_tensors(config: &Config, mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
    let (width, vocab) = (config.d_model as usize, config.vocab as usize);
    // The names of the one embedding table; a file has at least one of them.
    let names = ["model.shared.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"];
    let name = names.into_iter().find(|name| mapper.weights.has(name)).unwrap_or(names[0]);
    let embedding = mapper.data(name, &[vocab, width])?;
    let bias = mapper.values("final_logits_bias", &[1, vocab])?;
    mapper.put(SourceRole::Embedding, None, width, embedding, Some(bias));
    mapper.skip(&names);
    for (role, name) in [
        (SourceRole::EncoderPositions, "model.encoder.embed_positions.weight"),
        (SourceRole::Positions, "model.decoder.embed_positions.weight"),
    ] {
        let table = if mapper.weights.has(name) {
            mapper.data(name, &[config.context as usize, width])?
        } else {
            sinusoids(config.context, config.d_model)?
        };
        mapper.put(role, None, width, table, None);
    }
    for layer in 0..config.encoder_layers {
        mapper.layer(config, &LAYERS, layer, &format!("model.encoder.layers.{layer}."))?;
    }
    for layer in 0..config.layers {
        let (prefix, at) = (format!("model.decoder.layers.{layer}."), config.encoder_layers + layer);
        mapper.layer(config, &LAYERS, at, &prefix)?;
        let projections = [("q_proj", true), ("k_proj", true), ("v_proj", true), ("out_proj", true)];
        mapper.cross(config, at, &format!("{prefix}encoder_attn_layer_norm"), &format!("{prefix}encoder_attn."), projections)?;
    }
    Ok(())
}

/// Sinusoidal positions: sines in the first half of a row, cosines in the second, with wavelengths from 2 pi to 20,000 pi (Vaswani et al. 2017,
/// section 3.5, where the two alternate).
fn sinusoids(rows: u32, columns: u32) -> Result<TensorData, WeightsError> {
    if u64::from(rows) * u64::from(columns) > COMPUTED_TABLE_MAX {
        return Err(WeightsError::ComputedTable { rows, columns });
    }
    let sines = columns.div_ceil(2);
    let value = move |position: u32, column: u32| {
        let pair = if column < sines { column } else { column - sines };
        let angle = f64::from(position) / libm::pow(10_000.0, 2.0 * f64::from(pair) / f64::from(columns));
        if column < sines { libm::sin(angle) } else { libm::cos(angle) }
    };
    let table = move || (0..rows).flat_map(|position| (0..columns).map(move |column| value(position, column) as f32)).collect();
    Ok(TensorData::computed(rows as usize * columns as usize, table))
}
