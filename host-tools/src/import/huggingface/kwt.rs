//! Keyword transformer (Berg, O'Connor and Cruz 2021): a post-norm vision transformer over MFCC frames, with a class token.

use attoformer::image::{Architecture, Classifier, Config, InputStem, MaskKind, NormKind, NormPlacement, Pooling, PositionKind};
use serde::Deserialize;

use super::activation::activation;
use super::directory::Directory;
use super::error::ConfigError;
use crate::import::checkpoint::SourceRole;
use crate::import::description::Description;
use crate::import::preprocess::audio::Mfcc;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs, TensorMapper};
use crate::import::weights::WeightsError;

/// Fields of config.json.
#[derive(Deserialize)]
struct ConfigJson {
    hidden_size: u32,
    intermediate_size: u32,
    num_hidden_layers: u32,
    num_attention_heads: u32,
    head_dim: u32,
    hidden_act: String,
    norm_placement: String,
    layer_norm_eps: f32,
    #[serde(default)]
    qkv_bias: bool,
    attention_scale: f32,
    patch_size: [u32; 2],
    num_positions: u32,
    num_labels: u32,
    labels: Vec<String>,
    frontend: Mfcc,
}

const NAMES: LayerNames = LayerNames {
    attn_norm: "attention.output.LayerNorm",
    query: "attention.attention.query",
    key: "attention.attention.key",
    value: "attention.attention.value",
    attn_out: "attention.output.dense",
    mlp_norm: "output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    ..LayerNames::NONE
};

/// Describes the model.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn describe(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let [frames, features] = json.patch_size;
    if json.norm_placement != "post" {
        return Err(ConfigError::unsupported("norm_placement", &json.norm_placement, "post"));
    }
    if frames != 1 {
        return Err(ConfigError::unsupported("patch_size", format!("[{frames}, {features}]"), "patches of one frame"));
    }
    if json.labels.len() != json.num_labels as usize {
        return Err(ConfigError::LabelCount { num_labels: json.num_labels, labels: json.labels.len() });
    }
    let config = attoformer::config! {
        architecture: Architecture::Encoder,
        norm: NormKind::Layer,
        placement: NormPlacement::Post,
        activation: activation(&json.hidden_act)?,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        mask: MaskKind::Bidirectional,
        d_model: json.hidden_size,
        d_hidden: json.intermediate_size,
        layers: json.num_hidden_layers,
        heads: json.num_attention_heads,
        kv_heads: json.num_attention_heads,
        head_dim: json.head_dim,
        context: json.num_positions,
        norm_eps: json.layer_norm_eps,
        final_norm: false,
        pooling: Pooling::First,
        classifier: Classifier::Sequence,
        input_stem: InputStem::Patches,
        class_token: true,
        labels: json.num_labels,
        features,
        score_scale: (json.attention_scale != 0.0).then_some(json.attention_scale),
        ..Config::DECODER
    };
    let spec = LayerSpec { names: &NAMES, qkv_bias: [json.qkv_bias; 3], out_bias: true, mlp_bias: true, pairs: RotaryPairs::Interleaved };
    let audio = Some(json.frontend.frontend()?);
    let description = Description::new(config, move |config, mapper| map_tensors(config, &spec, mapper));
    Ok(Description { labels: json.labels, audio, ..description })
}

fn map_tensors(config: &Config, spec: &LayerSpec, mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
    let width = config.d_model as usize;
    let class = mapper.values("embeddings.cls_token", &[1, 1, width])?;
    mapper.put(SourceRole::ClassToken, None, width, class, None);
    let positions = mapper.data("embeddings.position_embeddings", &[1, config.context as usize, width])?;
    mapper.put(SourceRole::Positions, None, width, positions, None);
    let patch_embedding = "embeddings.patch_embeddings.projection";
    mapper.linear(SourceRole::Conv1, None, patch_embedding, (config.d_model, config.features), true)?;
    for layer in 0..config.layers {
        mapper.layer(config, spec, layer, &format!("encoder.layer.{layer}."))?;
    }
    mapper.linear(SourceRole::Classifier, None, "classifier", (config.labels, config.d_model), true)
}
