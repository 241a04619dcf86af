//! GPT-J (Wang and Komatsuzaki 2021): attention and MLP after one norm, interleaved rotary pairs, a head with a bias.

use attoformer::image::{Config, NormKind};
use serde::Deserialize;

use super::activation::activation;
use super::directory::Directory;
use super::error::ConfigError;
use super::rope;
use super::token_ids::TokenIds;
use crate::import::checkpoint::{SourceRole, Tensor};
use crate::import::description::Description;
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::TensorMapper;
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
    rotary_dim: Option<u32>,
    activation_function: String,
    layer_norm_epsilon: f32,
    #[serde(default)]
    tie_word_embeddings: bool,
    bos_token_id: Option<TokenIds>,
    eos_token_id: Option<TokenIds>,
}

/// Describes the model.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn describe(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let head_dim = head_dim(json.n_embd, json.n_head, "n_embd")?;
    let rotary_dim = json.rotary_dim.unwrap_or(head_dim);
    if rotary_dim == 0 || rotary_dim > head_dim {
        return Err(ConfigError::RotaryDim { field: "rotary_dim", value: rotary_dim.into(), rotary_dim, head_dim });
    }
    let config = attoformer::config! {
        norm: NormKind::Layer,
        activation: activation(&json.activation_function)?,
        gated: false,
        d_model: json.n_embd,
        d_hidden: json.n_inner.unwrap_or(json.n_embd.saturating_mul(4)),
        layers: json.n_layer,
        heads: json.n_head,
        kv_heads: json.n_head,
        head_dim,
        vocab: json.vocab_size,
        context: json.n_positions,
        norm_eps: json.layer_norm_epsilon,
        tied_head: json.tie_word_embeddings,
        parallel: true,
        partial_rotary_dim: (rotary_dim != head_dim).then_some(rotary_dim),
        bos: TokenIds::first(&json.bos_token_id),
        eos: TokenIds::first(&json.eos_token_id),
        ..Config::DECODER
    };
    let rotary = rope::read_without_yarn(directory, rotary_dim, json.n_positions)?.frequencies()?;
    Ok(Description { rotary, ..Description::new(config, map_tensors) })
}

fn map_tensors(config: &Config, mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
    let (width, hidden) = (config.d_model, config.d_hidden);
    mapper.prefix_if("transformer.");
    mapper.matrix(SourceRole::Embedding, None, "wte.weight", config.vocab, width)?;
    for layer in 0..config.layers {
        let name = |own: &str| format!("h.{layer}.{own}");
        let at = Some(layer);
        // Constants of the causal mask and of the positions.
        for constant in ["attn.bias", "attn.masked_bias", "attn.embed_positions"] {
            mapper.skip(&[&name(constant)]);
        }
        mapper.norm(SourceRole::AttnNorm, at, &name("ln_1"), width, config.norm)?;
        // Attention and MLP read the same rows, so the MLP's norm is the attention's.
        let norm = mapper.tensors.last().cloned();
        mapper.tensors.extend(norm.map(|norm| Tensor { role: SourceRole::MlpNorm, ..norm }));
        for (role, own) in
            [(SourceRole::Query, "q_proj"), (SourceRole::Key, "k_proj"), (SourceRole::Value, "v_proj"), (SourceRole::AttnOut, "out_proj")]
        {
            mapper.linear(role, at, &name(&format!("attn.{own}")), (width, width), false)?;
        }
        mapper.linear(SourceRole::Up, at, &name("mlp.fc_in"), (hidden, width), true)?;
        mapper.linear(SourceRole::Down, at, &name("mlp.fc_out"), (width, hidden), true)?;
    }
    mapper.norm(SourceRole::FinalNorm, None, "ln_f", width, config.norm)?;
    mapper.prefix = "";
    if !config.tied_head {
        return mapper.linear(SourceRole::Head, None, "lm_head", (config.vocab, width), true);
    }
    let bias = mapper.values("lm_head.bias", &[config.vocab as usize])?;
    mapper.skip(&["lm_head.weight"]);
    if let Some(embedding) = mapper.tensors.first_mut() {
        embedding.bias = Some(bias);
    }
    Ok(())
}
