//! GPT-2 (Radford et al. 2019). Its matrices are stored transposed, with queries, keys and values in one.

use attoformer::image::{Config, NormKind, PositionKind};
use serde::Deserialize;

use super::activation::activation;
use super::defaults::yes;
use super::directory::Directory;
use super::error::ConfigError;
use super::token_ids::TokenIds;
use crate::import::checkpoint::SourceRole;
use crate::import::description::Description;
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::{TensorMapper, transposed};
use crate::import::weights::WeightsError;

/// Fields of config.json.
#[derive(Deserialize)]
struct ConfigJson {
    n_embd: u32,
    n_inner: Option<u32>,
    n_layer: u32,
    n_head: u32,
    n_positions: u32,
    vocab_size: u32,
    #[serde(default = "gelu_new")]
    activation_function: String,
    layer_norm_epsilon: f32,
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
    #[serde(default = "yes")]
    scale_attn_weights: bool,
    #[serde(default)]
    scale_attn_by_inverse_layer_idx: bool,
    bos_token_id: Option<TokenIds>,
    eos_token_id: Option<TokenIds>,
}

fn gelu_new() -> String {
    "gelu_new".to_owned()
}

/// Describes the model.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn describe(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    if json.scale_attn_by_inverse_layer_idx {
        return Err(ConfigError::unsupported("scale_attn_by_inverse_layer_idx", true, "false"));
    }
    let config = attoformer::config! {
        norm: NormKind::Layer,
        activation: activation(&json.activation_function)?,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        d_model: json.n_embd,
        d_hidden: json.n_inner.unwrap_or(json.n_embd.saturating_mul(4)),
        layers: json.n_layer,
        heads: json.n_head,
        kv_heads: json.n_head,
        head_dim: head_dim(json.n_embd, json.n_head, "n_embd")?,
        vocab: json.vocab_size,
        context: json.n_positions,
        norm_eps: json.layer_norm_epsilon,
        tied_head: json.tie_word_embeddings,
        bos: TokenIds::first(&json.bos_token_id),
        eos: TokenIds::first(&json.eos_token_id),
        score_scale: (!json.scale_attn_weights).then_some(1.0),
        ..Config::DECODER
    };
    Ok(Description::new(config, map_tensors))
}

fn map_tensors(config: &Config, mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
    const HEAD: &str = "lm_head.weight";
    let (width, hidden) = (config.d_model, config.d_hidden);
    mapper.prefix_if("transformer.");
    mapper.matrix(SourceRole::Embedding, None, "wte.weight", config.vocab, width)?;
    mapper.matrix(SourceRole::Positions, None, "wpe.weight", config.context, width)?;
    for layer in 0..config.layers {
        let name = |own: &str| format!("h.{layer}.{own}");
        let at = Some(layer);
        // Constants of the causal mask.
        mapper.skip(&[&name("attn.bias"), &name("attn.masked_bias")]);
        mapper.norm(SourceRole::AttnNorm, at, &name("ln_1"), width, config.norm)?;
        let qkv = [SourceRole::Query, SourceRole::Key, SourceRole::Value];
        map_transposed(mapper, &qkv, at, &name("attn.c_attn"), (width, width))?;
        map_transposed(mapper, &[SourceRole::AttnOut], at, &name("attn.c_proj"), (width, width))?;
        mapper.norm(SourceRole::MlpNorm, at, &name("ln_2"), width, config.norm)?;
        map_transposed(mapper, &[SourceRole::Up], at, &name("mlp.c_fc"), (hidden, width))?;
        map_transposed(mapper, &[SourceRole::Down], at, &name("mlp.c_proj"), (width, hidden))?;
    }
    mapper.norm(SourceRole::FinalNorm, None, "ln_f", width, config.norm)?;
    mapper.prefix = "";
    if config.tied_head {
        mapper.skip(&[HEAD]);
        return Ok(());
    }
    mapper.matrix(SourceRole::Head, None, HEAD, config.vocab, width)
}

/// Maps a transposed matrix of one or several roles with `rows` outputs each.
fn map_transposed(
    mapper: &mut TensorMapper<'_>,
    roles: &[SourceRole],
    layer: Option<u32>,
    name: &str,
    (rows, columns): (u32, u32),
) -> Result<(), WeightsError> {
    let (rows, columns) = (rows as usize, columns as usize);
    let all = roles.len() * rows;
    let stored = mapper.data(&format!("{name}.weight"), &[columns, all])?;
    let bias = mapper.values(&format!("{name}.bias"), &[all])?;
    for (index, &role) in roles.iter().enumerate() {
        let own = index * rows..(index + 1) * rows;
        let bias = bias[own.clone()].to_vec();
        let data = stored.clone().map(rows * columns, move |stored| transposed(stored, all, own.clone()));
        mapper.put(role, layer, columns, data, Some(bias));
    }
    Ok(())
}
