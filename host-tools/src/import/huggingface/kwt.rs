//! Keyword transformer (Berg, O'Connor and Cruz 2021): a vision transformer over frames of sound, post-norm, with a class token.

use attoformer::image::{Architecture, Classifier, Config, InputStem, MaskKind, NormKind, NormPlacement, Pooling, PositionKind};
use serde::Deserialize;

use super::activation::activation;
use super::directory::Directory;
use crate::import::checkpoint::SourceRole;
use crate::import::description::Description;
use crate::import::preprocess::audio::Mfcc;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs, TensorMapper};

/// What config.json says.
#[derive(Deserialize)]
struct Shape {
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

/// Reads the shape.
///
/// # Errors
/// A sentence's end: what contradicts itself, or is not known.
pub fn read(directory: &Directory) -> Result<Description, String> {
    let shape: Shape = directory.fields()?;
    if shape.norm_placement != "post" || shape.patch_size[0] != 1 || shape.labels.len() != shape.num_labels as usize {
        return Err("what can be read of this family has post-norms, patches of one frame, and a name for each label".to_owned());
    }
    let config = attoformer::config! {
        architecture: Architecture::Encoder,
        norm: NormKind::Layer,
        placement: NormPlacement::Post,
        activation: activation(&shape.hidden_act)?,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        mask: MaskKind::Bidirectional,
        d_model: shape.hidden_size,
        d_hidden: shape.intermediate_size,
        layers: shape.num_hidden_layers,
        heads: shape.num_attention_heads,
        kv_heads: shape.num_attention_heads,
        head_dim: shape.head_dim,
        context: shape.num_positions,
        norm_eps: shape.layer_norm_eps,
        final_norm: false,
        pooling: Pooling::First,
        classifier: Classifier::Sequence,
        input_stem: InputStem::Patches,
        class_token: true,
        labels: shape.num_labels,
        features: shape.patch_size[1],
        score_scale: (shape.attention_scale != 0.0).then_some(shape.attention_scale),
        ..Config::DECODER
    };
    let layers =
        LayerSpec { names: &NAMES, qkv_bias: [shape.qkv_bias; 3], out_bias: true, mlp_bias: true, pairs: RotaryPairs::Interleaved };
    let audio = Some(shape.frontend.frontend()?);
    Ok(Description { labels: shape.labels, audio, ..Description::new(config, move |config, mapper| tensors(config, &layers, mapper)) })
}

fn tensors(config: &Config, layers: &LayerSpec, mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
    let width = config.d_model as usize;
    let class = mapper.values("embeddings.cls_token", &[1, 1, width])?;
    mapper.put(SourceRole::ClassToken, None, width, class, None);
    let positions = mapper.values("embeddings.position_embeddings", &[1, config.context as usize, width])?;
    mapper.put(SourceRole::Positions, None, width, positions, None);
    mapper.linear(SourceRole::Conv1, None, "embeddings.patch_embeddings.projection", (config.d_model, config.features), true)?;
    for layer in 0..config.layers {
        mapper.layer(config, layers, layer, &format!("encoder.layer.{layer}."))?;
    }
    mapper.linear(SourceRole::Classifier, None, "classifier", (config.labels, config.d_model), true)
}
