//! GPT-2 (Radford et al. 2019). Its matrices are stored with their inputs as rows, query, key and value in one.

use attoformer::image::{Config, NormKind, PositionKind};
use serde::Deserialize;

use super::activation::activation;
use super::directory::{Directory, Token};
use crate::import::checkpoint::SourceRole;
use crate::import::description::Description;
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::{TensorMapper, transposed};

/// What config.json says.
#[derive(Deserialize)]
struct Shape {
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
    bos_token_id: Option<Token>,
    eos_token_id: Option<Token>,
}

fn gelu_new() -> String {
    "gelu_new".to_owned()
}

fn yes() -> bool {
    true
}

/// Reads the shape.
///
/// # Errors
/// A sentence's end: what contradicts itself, or is not known.
pub fn read(directory: &Directory) -> Result<Description, String> {
    let shape: Shape = directory.fields()?;
    if shape.scale_attn_by_inverse_layer_idx {
        return Err("its scores depend on the layer (scale_attn_by_inverse_layer_idx), which cannot be read".to_owned());
    }
    let config = attoformer::config! {
        norm: NormKind::Layer,
        activation: activation(&shape.activation_function)?,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        d_model: shape.n_embd,
        d_hidden: shape.n_inner.unwrap_or(shape.n_embd.saturating_mul(4)),
        layers: shape.n_layer,
        heads: shape.n_head,
        kv_heads: shape.n_head,
        head_dim: head_dim(shape.n_embd, shape.n_head, "n_embd")?,
        vocab: shape.vocab_size,
        context: shape.n_positions,
        norm_eps: shape.layer_norm_epsilon,
        tied_head: shape.tie_word_embeddings,
        bos: Token::first(&shape.bos_token_id),
        eos: Token::first(&shape.eos_token_id),
        score_scale: (!shape.scale_attn_weights).then_some(1.0),
        ..Config::DECODER
    };
    Ok(Description::new(config, tensors))
}

fn tensors(config: &Config, mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
    const HEAD: &str = "lm_head.weight";
    let (width, hidden) = (config.d_model, config.d_hidden);
    mapper.prefix_if("transformer.");
    mapper.matrix(SourceRole::Embedding, None, "wte.weight", config.vocab, width)?;
    mapper.matrix(SourceRole::Positions, None, "wpe.weight", config.context, width)?;
    for layer in 0..config.layers {
        let name = |rest: &str| format!("h.{layer}.{rest}");
        let at = Some(layer);
        // Constants of the causal mask.
        mapper.skip(&[&name("attn.bias"), &name("attn.masked_bias")]);
        mapper.norm(SourceRole::AttnNorm, at, &name("ln_1"), width, config.norm)?;
        turned(mapper, &[SourceRole::Query, SourceRole::Key, SourceRole::Value], at, &name("attn.c_attn"), (width, width))?;
        turned(mapper, &[SourceRole::AttnOut], at, &name("attn.c_proj"), (width, width))?;
        mapper.norm(SourceRole::MlpNorm, at, &name("ln_2"), width, config.norm)?;
        turned(mapper, &[SourceRole::Up], at, &name("mlp.c_fc"), (hidden, width))?;
        turned(mapper, &[SourceRole::Down], at, &name("mlp.c_proj"), (width, hidden))?;
    }
    mapper.norm(SourceRole::FinalNorm, None, "ln_f", width, config.norm)?;
    mapper.prefix = "";
    if config.tied_head {
        mapper.skip(&[HEAD]);
        return Ok(());
    }
    mapper.matrix(SourceRole::Head, None, HEAD, config.vocab, width)
}

/// A matrix of one or several parts of `rows` outputs each, stored with its inputs as rows.
fn turned(
    mapper: &mut TensorMapper<'_, '_>,
    parts: &[SourceRole],
    layer: Option<u32>,
    name: &str,
    (rows, columns): (u32, u32),
) -> Result<(), String> {
    let (rows, columns) = (rows as usize, columns as usize);
    let all = parts.len() * rows;
    let values = transposed(&mapper.values(&format!("{name}.weight"), &[columns, all])?, all);
    let bias = mapper.values(&format!("{name}.bias"), &[all])?;
    for (index, &part) in parts.iter().enumerate() {
        let own = &values[index * rows * columns..][..rows * columns];
        mapper.put(part, layer, columns, own.to_vec(), Some(bias[index * rows..][..rows].to_vec()));
    }
    Ok(())
}
