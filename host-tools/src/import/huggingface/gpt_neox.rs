//! GPT-NeoX and Pythia (Black et al. 2022): queries, keys and values in one matrix, head by head; RoPE on a part of each head.

use attoformer::image::{Config, NormKind};
use serde::Deserialize;

use super::activation::activation;
use super::defaults::{norm_eps, yes};
use super::directory::Directory;
use super::error::ConfigError;
use super::rope;
use super::token_ids::TokenIds;
use crate::import::checkpoint::SourceRole;
use crate::import::description::Description;
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::{RotaryPairs, TensorMapper};
use crate::import::weights::WeightsError;

/// Fields of config.json.
#[derive(Deserialize)]
struct ConfigJson {
    hidden_size: u32,
    intermediate_size: u32,
    num_hidden_layers: u32,
    num_attention_heads: u32,
    vocab_size: u32,
    max_position_embeddings: u32,
    #[serde(default = "quarter")]
    rotary_pct: f64,
    #[serde(default = "norm_eps")]
    layer_norm_eps: f32,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "yes")]
    use_parallel_residual: bool,
    #[serde(default = "yes")]
    attention_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
    bos_token_id: Option<TokenIds>,
    eos_token_id: Option<TokenIds>,
}

fn quarter() -> f64 {
    0.25
}

fn gelu() -> String {
    "gelu".to_owned()
}

/// Describes the model.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn describe(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let head_dim = head_dim(json.hidden_size, json.num_attention_heads, "hidden_size")?;
    let rotary_dim = (f64::from(head_dim) * json.rotary_pct) as u32;
    if rotary_dim == 0 || rotary_dim > head_dim {
        return Err(ConfigError::RotaryDim { field: "rotary_pct", value: json.rotary_pct, rotary_dim, head_dim });
    }
    let rope = rope::read_without_yarn(directory, rotary_dim, json.max_position_embeddings)?;
    let config = attoformer::config! {
        norm: NormKind::Layer,
        activation: activation(&json.hidden_act)?,
        gated: false,
        d_model: json.hidden_size,
        d_hidden: json.intermediate_size,
        layers: json.num_hidden_layers,
        heads: json.num_attention_heads,
        kv_heads: json.num_attention_heads,
        head_dim,
        vocab: json.vocab_size,
        context: json.max_position_embeddings,
        norm_eps: json.layer_norm_eps,
        tied_head: json.tie_word_embeddings,
        parallel: json.use_parallel_residual,
        partial_rotary_dim: (rotary_dim != head_dim).then_some(rotary_dim),
        bos: TokenIds::first(&json.bos_token_id),
        eos: TokenIds::first(&json.eos_token_id),
        ..Config::DECODER
    };
    let bias = json.attention_bias;
    let description = Description::new(config, move |config, mapper| map_tensors(config, bias, mapper));
    Ok(Description { rotary: rope.frequencies()?, ..description })
}

fn map_tensors(config: &Config, bias: bool, mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
    const HEAD: &str = "embed_out.weight";
    let (width, hidden) = (config.d_model, config.d_hidden);
    mapper.prefix_if("gpt_neox.");
    mapper.matrix(SourceRole::Embedding, None, "embed_in.weight", config.vocab, width)?;
    for layer in 0..config.layers {
        let name = |own: &str| format!("layers.{layer}.{own}");
        let at = Some(layer);
        // Constants of the causal mask, and a table that follows from the config.
        for constant in ["attention.bias", "attention.masked_bias", "attention.rotary_emb.inv_freq"] {
            mapper.skip(&[&name(constant)]);
        }
        mapper.norm(SourceRole::AttnNorm, at, &name("input_layernorm"), width, config.norm)?;
        map_qkv(config, mapper, at, &name("attention.query_key_value"), bias)?;
        mapper.linear(SourceRole::AttnOut, at, &name("attention.dense"), (width, width), bias)?;
        mapper.norm(SourceRole::MlpNorm, at, &name("post_attention_layernorm"), width, config.norm)?;
        mapper.linear(SourceRole::Up, at, &name("mlp.dense_h_to_4h"), (hidden, width), true)?;
        mapper.linear(SourceRole::Down, at, &name("mlp.dense_4h_to_h"), (width, hidden), true)?;
    }
    mapper.norm(SourceRole::FinalNorm, None, "final_layer_norm", width, config.norm)?;
    mapper.prefix = "";
    if config.tied_head {
        mapper.skip(&[HEAD]);
        return Ok(());
    }
    mapper.matrix(SourceRole::Head, None, HEAD, config.vocab, width)
}

/// Maps a matrix with the query, key and value rows of the first head, then those of the next one, and so on.
fn map_qkv(config: &Config, mapper: &mut TensorMapper<'_>, layer: Option<u32>, name: &str, bias: bool) -> Result<(), WeightsError> {
    let (stored, bias) = mapper.weight_and_bias(name, (3 * config.q_dim(), config.d_model), bias)?;
    let columns = config.d_model as usize;
    let rows = config.head_dim as usize;
    // Every third group of a head's rows, from group `which` on.
    let own = move |all: &[f32], columns: usize, which: usize| -> Vec<f32> {
        all.chunks_exact(rows * columns).skip(which).step_by(3).flatten().copied().collect()
    };
    for (which, role) in [SourceRole::Query, SourceRole::Key, SourceRole::Value].into_iter().enumerate() {
        let data = stored.clone().map(stored.len() / 3, move |stored| own(stored, columns, which));
        mapper.put(role, layer, columns, data, bias.as_ref().map(|bias| own(bias, 1, which)));
        if role != SourceRole::Value {
            mapper.interleave_last(config, RotaryPairs::RotateHalf, columns);
        }
    }
    Ok(())
}
