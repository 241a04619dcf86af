//! GPT-J (Wang and Komatsuzaki 2021): attention and MLP behind one norm, rotary positions on neighbour pairs, a bias of the head.

use attoformer::image::{Config, NormKind};
use serde::Deserialize;

use super::activation::activation;
use super::directory::{Directory, Token};
use super::rope;
use crate::import::checkpoint::SourceRole;
use crate::import::description::Description;
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::TensorMapper;

/// What config.json says.
#[derive(Deserialize)]
struct Shape {
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
    bos_token_id: Option<Token>,
    eos_token_id: Option<Token>,
}

/// Reads the shape.
///
/// # Errors
/// A sentence's end: what contradicts itself, or is not known.
pub fn read(directory: &Directory) -> Result<Description, String> {
    let shape: Shape = directory.fields()?;
    let head = head_dim(shape.n_embd, shape.n_head, "n_embd")?;
    let turning = shape.rotary_dim.unwrap_or(head);
    if turning == 0 || turning > head {
        return Err(format!("a rotary_dim of {turning} does not fit a head of {head} dimensions"));
    }
    let config = attoformer::config! {
        norm: NormKind::Layer,
        activation: activation(&shape.activation_function)?,
        gated: false,
        d_model: shape.n_embd,
        d_hidden: shape.n_inner.unwrap_or(shape.n_embd.saturating_mul(4)),
        layers: shape.n_layer,
        heads: shape.n_head,
        kv_heads: shape.n_head,
        head_dim: head,
        vocab: shape.vocab_size,
        context: shape.n_positions,
        norm_eps: shape.layer_norm_epsilon,
        tied_head: shape.tie_word_embeddings,
        parallel: true,
        partial_rotary_dim: (turning != head).then_some(turning),
        bos: Token::first(&shape.bos_token_id),
        eos: Token::first(&shape.eos_token_id),
        ..Config::DECODER
    };
    let rope = rope::read(directory, turning, shape.n_positions)?;
    if rope.score_factor() != 1.0 {
        return Err("its rope_scaling of type yarn cannot be read in this family".to_owned());
    }
    let rotary = rope.frequencies()?;
    Ok(Description { rotary, ..Description::new(config, tensors) })
}

fn tensors(config: &Config, mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
    let (width, hidden) = (config.d_model, config.d_hidden);
    mapper.prefix_if("transformer.");
    mapper.matrix(SourceRole::Embedding, None, "wte.weight", config.vocab, width)?;
    for layer in 0..config.layers {
        let name = |rest: &str| format!("h.{layer}.{rest}");
        let at = Some(layer);
        // Constants of the mask and of the positions.
        for constant in ["attn.bias", "attn.masked_bias", "attn.embed_positions"] {
            mapper.skip(&[&name(constant)]);
        }
        mapper.norm(SourceRole::AttnNorm, at, &name("ln_1"), width, config.norm)?;
        // The MLP reads the same rows: its norm is the attention's.
        let norm = mapper.tensors.last().cloned();
        mapper.tensors.extend(norm.map(|norm| crate::import::checkpoint::Tensor { role: SourceRole::MlpNorm, ..norm }));
        for (part, own) in
            [(SourceRole::Query, "q_proj"), (SourceRole::Key, "k_proj"), (SourceRole::Value, "v_proj"), (SourceRole::AttnOut, "out_proj")]
        {
            mapper.linear(part, at, &name(&format!("attn.{own}")), (width, width), false)?;
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
