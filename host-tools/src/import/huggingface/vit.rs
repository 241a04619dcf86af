//! Vision transformers (Dosovitskiy et al. 2021): patches of an image as rows, a class token before them.
//!
//! A patch is a row of `channels * size * size` values: its first channel row by row from the top, left to right, then the next channel. Patches are
//! in the order of the image, from the top, left to right.

use attoformer::image::{Architecture, Classifier, Config, InputStem, MaskKind, NormKind, Pooling, PositionKind};
use serde::Deserialize;

use super::activation::activation;
use super::defaults::yes;
use super::directory::Directory;
use super::error::ConfigError;
use super::file_names::PREPROCESSOR;
use crate::import::checkpoint::SourceRole;
use crate::import::description::Description;
use crate::import::limits::head_dim;
use crate::import::preprocess::pictures::Preprocessor;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs, TensorMapper};
use crate::import::weights::WeightsError;

/// Fields of config.json.
#[derive(Deserialize)]
struct ConfigJson {
    hidden_size: u32,
    intermediate_size: u32,
    num_hidden_layers: u32,
    num_attention_heads: u32,
    hidden_act: String,
    layer_norm_eps: f32,
    image_size: u32,
    patch_size: u32,
    #[serde(default = "three")]
    num_channels: u32,
    #[serde(default = "yes")]
    qkv_bias: bool,
}

fn three() -> u32 {
    3
}

const NAMES: LayerNames = LayerNames {
    attn_norm: "layernorm_before",
    query: "attention.attention.query",
    key: "attention.attention.key",
    value: "attention.attention.value",
    attn_out: "attention.output.dense",
    mlp_norm: "layernorm_after",
    up: "intermediate.dense",
    down: "output.dense",
    ..LayerNames::NONE
};

/// Describes the model. Without a preprocessor_config.json the model is fed rows instead of pictures.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn describe(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let ConfigJson { image_size, patch_size, num_channels: channels, .. } = json;
    let features = channels.checked_mul(patch_size).and_then(|column| column.checked_mul(patch_size)).filter(|&features| features > 0);
    let per_side = image_size.checked_div(patch_size).unwrap_or(0);
    let patches = per_side.checked_mul(per_side).filter(|&patches| patches > 0 && patches < 1 << 20);
    let (Some(features), Some(patches)) = (features, patches) else {
        return Err(ConfigError::Patches { image_size, patch_size, channels });
    };
    if features > u32::from(u16::MAX) {
        return Err(ConfigError::PatchValues { values: features, max: u16::MAX.into() });
    }
    let is_classifier = directory.class_ends_with("ForImageClassification");
    let labels = if is_classifier { directory.labels()? } else { Vec::new() };
    let config = attoformer::config! {
        architecture: Architecture::Encoder,
        norm: NormKind::Layer,
        activation: activation(&json.hidden_act)?,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        mask: MaskKind::Bidirectional,
        d_model: json.hidden_size,
        d_hidden: json.intermediate_size,
        layers: json.num_hidden_layers,
        heads: json.num_attention_heads,
        kv_heads: json.num_attention_heads,
        head_dim: head_dim(json.hidden_size, json.num_attention_heads, "hidden_size")?,
        context: patches + 1,
        norm_eps: json.layer_norm_eps,
        pooling: Pooling::First,
        classifier: if is_classifier { Classifier::Sequence } else { Classifier::None },
        input_stem: InputStem::Patches,
        class_token: true,
        labels: labels.len() as u32,
        features,
        ..Config::DECODER
    };
    let spec = LayerSpec { names: &NAMES, qkv_bias: [json.qkv_bias; 3], out_bias: true, mlp_bias: true, pairs: RotaryPairs::Interleaved };
    let kernel = [json.hidden_size as usize, channels as usize, patch_size as usize, patch_size as usize];
    let pictures = directory.sidecar(PREPROCESSOR, |file: Preprocessor| file.pictures(image_size, channels, patch_size))?;
    let description = Description::new(config, move |config, mapper| map_tensors(config, &spec, kernel, mapper));
    Ok(Description { labels, pictures, ..description })
}

fn map_tensors(config: &Config, spec: &LayerSpec, kernel: [usize; 4], mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
    let width = config.d_model as usize;
    mapper.prefix_if("vit.");
    let class = mapper.values("embeddings.cls_token", &[1, 1, width])?;
    mapper.put(SourceRole::ClassToken, None, width, class, None);
    let positions = mapper.data("embeddings.position_embeddings", &[1, config.context as usize, width])?;
    mapper.put(SourceRole::Positions, None, width, positions, None);
    // The patch embedding is a convolution whose stride is its width: the kernel of an output is one row over the values of a patch, in the same
    // order.
    let projection = mapper.data("embeddings.patch_embeddings.projection.weight", &kernel)?;
    let bias = mapper.values("embeddings.patch_embeddings.projection.bias", &[width])?;
    mapper.put(SourceRole::Conv1, None, config.features as usize, projection, Some(bias));
    for layer in 0..config.layers {
        mapper.layer(config, spec, layer, &format!("encoder.layer.{layer}."))?;
    }
    mapper.norm(SourceRole::FinalNorm, None, "layernorm", config.d_model, config.norm)?;
    mapper.skip(&["pooler.dense.weight", "pooler.dense.bias"]);
    if config.classifier != Classifier::None {
        mapper.prefix = "";
        mapper.linear(SourceRole::Classifier, None, "classifier", (config.labels, config.d_model), true)?;
    }
    Ok(())
}
