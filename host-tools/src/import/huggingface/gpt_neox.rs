//! GPT-NeoX and Pythia (Black et al. 2022): query, key and value in one matrix, head by head, of which a part turns.

use attoformer::image::{Config, NormKind};
use serde::Deserialize;

use super::activation::activation;
use super::directory::{Directory, Token};
use super::rope;
use crate::import::checkpoint::SourceRole;
use crate::import::description::Description;
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::{RotaryPairs, TensorMapper};

/// What config.json says.
#[derive(Deserialize)]
struct Shape {
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
    bos_token_id: Option<Token>,
    eos_token_id: Option<Token>,
}

fn quarter() -> f64 {
    0.25
}

fn norm_eps() -> f32 {
    1e-5
}

fn gelu() -> String {
    "gelu".to_owned()
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
    let head = head_dim(shape.hidden_size, shape.num_attention_heads, "hidden_size")?;
    let turning = (f64::from(head) * shape.rotary_pct) as u32;
    if turning == 0 || turning > head {
        return Err(format!("a rotary_pct of {} lets {turning} of a head's {head} dimensions turn", shape.rotary_pct));
    }
    let rope = rope::read(directory, turning, shape.max_position_embeddings)?;
    if rope.score_factor() != 1.0 {
        return Err("its rope_scaling of type yarn cannot be read in this family".to_owned());
    }
    let config = attoformer::config! {
        norm: NormKind::Layer,
        activation: activation(&shape.hidden_act)?,
        gated: false,
        d_model: shape.hidden_size,
        d_hidden: shape.intermediate_size,
        layers: shape.num_hidden_layers,
        heads: shape.num_attention_heads,
        kv_heads: shape.num_attention_heads,
        head_dim: head,
        vocab: shape.vocab_size,
        context: shape.max_position_embeddings,
        norm_eps: shape.layer_norm_eps,
        tied_head: shape.tie_word_embeddings,
        parallel: shape.use_parallel_residual,
        partial_rotary_dim: (turning != head).then_some(turning),
        bos: Token::first(&shape.bos_token_id),
        eos: Token::first(&shape.eos_token_id),
        ..Config::DECODER
    };
    let bias = shape.attention_bias;
    Ok(Description { rotary: rope.frequencies()?, ..Description::new(config, move |config, mapper| tensors(config, bias, mapper)) })
}

fn tensors(config: &Config, bias: bool, mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
    const HEAD: &str = "embed_out.weight";
    let (width, hidden) = (config.d_model, config.d_hidden);
    mapper.prefix_if("gpt_neox.");
    mapper.matrix(SourceRole::Embedding, None, "embed_in.weight", config.vocab, width)?;
    for layer in 0..config.layers {
        let name = |rest: &str| format!("layers.{layer}.{rest}");
        let at = Some(layer);
        // Constants of the mask, and a table that follows from the config.
        for constant in ["attention.bias", "attention.masked_bias", "attention.rotary_emb.inv_freq"] {
            mapper.skip(&[&name(constant)]);
        }
        mapper.norm(SourceRole::AttnNorm, at, &name("input_layernorm"), width, config.norm)?;
        heads(config, mapper, at, &name("attention.query_key_value"), bias)?;
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

/// A matrix whose rows are query, key and value of the first head, then those of the next.
fn heads(config: &Config, mapper: &mut TensorMapper<'_, '_>, layer: Option<u32>, name: &str, bias: bool) -> Result<(), String> {
    let (values, bias) = mapper.weight_and_bias(name, (3 * config.q_dim(), config.d_model), bias)?;
    let columns = config.d_model as usize;
    let rows = config.head_dim as usize;
    // Every third stretch of a head's rows, from `which` on.
    let own = |all: &[f32], columns: usize, which: usize| -> Vec<f32> {
        all.chunks_exact(rows * columns).skip(which).step_by(3).flatten().copied().collect()
    };
    for (which, part) in [SourceRole::Query, SourceRole::Key, SourceRole::Value].into_iter().enumerate() {
        mapper.put(part, layer, columns, own(&values, columns, which), bias.as_ref().map(|bias| own(bias, 1, which)));
        if part != SourceRole::Value {
            mapper.interleave_last(config, RotaryPairs::RotateHalf, columns);
        }
    }
    Ok(())
}
