//! Vision transformers (Dosovitskiy et al. 2021): an image's patches as rows, a learned row before them.
//!
//! A patch is a row of `channels * size * size` values: all rows of its first channel from the top, left to right, then the next channel's.
//! Patches follow each other as they lie in the image, from the top, left to right.

use attoformer::image::{Architecture, Classifier, Config, InputStem, MaskKind, NormKind, Pooling, PositionKind};
use serde::Deserialize;

use super::activation::activation;
use super::directory::Directory;
use super::file_names::PREPROCESSOR;
use crate::import::checkpoint::SourceRole;
use crate::import::description::Description;
use crate::import::json_file::fields;
use crate::import::limits::head_dim;
use crate::import::preprocess::pictures::Preprocessor;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs, TensorMapper};

/// What config.json says.
#[derive(Deserialize)]
struct Shape {
    hidden_size: u32,
    intermediate_size: u32,
    num_hidden_layers: u32,
    num_attention_heads: u32,
    hidden_act: String,
    layer_norm_eps: f32,
    image_size: u32,
    patch_size: u32,
    #[serde(default = "colours")]
    num_channels: u32,
    #[serde(default = "yes")]
    qkv_bias: bool,
}

fn colours() -> u32 {
    3
}

fn yes() -> bool {
    true
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

/// Reads the shape.
///
/// # Errors
/// A sentence's end: what contradicts itself, or is not known.
pub fn read(directory: &Directory) -> Result<Description, String> {
    let shape: Shape = directory.fields()?;
    let (size, channels) = (shape.patch_size, shape.num_channels);
    let features = channels.checked_mul(size).and_then(|column| column.checked_mul(size)).filter(|&features| features > 0);
    let across = shape.image_size.checked_div(size).unwrap_or(0);
    let patches = across.checked_mul(across).filter(|&patches| patches > 0 && patches < 1 << 20);
    let (Some(features), Some(patches)) = (features, patches) else {
        return Err(format!("an image of {} does not divide into patches of {size} in {channels} channels", shape.image_size));
    };
    if features > u32::from(u16::MAX) {
        return Err(format!("its patches have {features} values; what can be read is up to {}", u16::MAX));
    }
    let classifies = directory.is_for("ForImageClassification");
    let labels = if classifies { directory.labels()? } else { Vec::new() };
    let config = attoformer::config! {
        architecture: Architecture::Encoder,
        norm: NormKind::Layer,
        activation: activation(&shape.hidden_act)?,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        mask: MaskKind::Bidirectional,
        d_model: shape.hidden_size,
        d_hidden: shape.intermediate_size,
        layers: shape.num_hidden_layers,
        heads: shape.num_attention_heads,
        kv_heads: shape.num_attention_heads,
        head_dim: head_dim(shape.hidden_size, shape.num_attention_heads, "hidden_size")?,
        context: patches + 1,
        norm_eps: shape.layer_norm_eps,
        pooling: Pooling::First,
        classifier: if classifies { Classifier::Sequence } else { Classifier::None },
        input_stem: InputStem::Patches,
        class_token: true,
        labels: labels.len() as u32,
        features,
        ..Config::DECODER
    };
    let layers =
        LayerSpec { names: &NAMES, qkv_bias: [shape.qkv_bias; 3], out_bias: true, mlp_bias: true, pairs: RotaryPairs::Interleaved };
    let kernel = [shape.hidden_size as usize, channels as usize, size as usize, size as usize];
    let pictures = |stated| fields(stated).and_then(|stated: Preprocessor| stated.pictures(shape.image_size, channels, size));
    let pictures = directory.beside(PREPROCESSOR)?.map(pictures).transpose().map_err(|error| format!("of its {PREPROCESSOR}, {error}"))?;
    Ok(Description { labels, pictures, ..Description::new(config, move |config, mapper| tensors(config, &layers, kernel, mapper)) })
}

fn tensors(config: &Config, layers: &LayerSpec, kernel: [usize; 4], mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
    let width = config.d_model as usize;
    mapper.prefix_if("vit.");
    let class = mapper.values("embeddings.cls_token", &[1, 1, width])?;
    mapper.put(SourceRole::ClassToken, None, width, class, None);
    let places = mapper.values("embeddings.position_embeddings", &[1, config.context as usize, width])?;
    mapper.put(SourceRole::Positions, None, width, places, None);
    // A convolution whose stride is its width: each output's kernel is one row over a patch's values, in the order they have here.
    let projection = mapper.values("embeddings.patch_embeddings.projection.weight", &kernel)?;
    let bias = mapper.values("embeddings.patch_embeddings.projection.bias", &[width])?;
    mapper.put(SourceRole::Conv1, None, config.features as usize, projection, Some(bias));
    for layer in 0..config.layers {
        mapper.layer(config, layers, layer, &format!("encoder.layer.{layer}."))?;
    }
    mapper.norm(SourceRole::FinalNorm, None, "layernorm", config.d_model, config.norm)?;
    mapper.skip(&["pooler.dense.weight", "pooler.dense.bias"]);
    if config.classifier != Classifier::None {
        mapper.prefix = "";
        mapper.linear(SourceRole::Classifier, None, "classifier", (config.labels, config.d_model), true)?;
    }
    Ok(())
}
