//! What config.json says of rotary positions.

use serde::Deserialize;

use super::directory::Directory;
use crate::import::rope::{Rope, Scaling, Yarn, yarn_attention};

#[derive(Deserialize)]
struct Fields {
    rope_theta: Option<f64>,
    rotary_emb_base: Option<f64>,
    rope_scaling: Option<Parameters>,
    /// What newer files have in place of the two.
    rope_parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Parameters {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    /// The old name of `rope_type`.
    #[serde(rename = "type")]
    kind: Option<String>,
    factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    attention_factor: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    truncate: Option<bool>,
}

/// Frequencies of the `dim` dimensions of a head that turn, under a context of `context` tokens.
///
/// # Errors
/// A sentence's end: a scaling that is not known, or lacks a number.
pub fn read(directory: &Directory, dim: u32, context: u32) -> Result<Rope, String> {
    let fields: Fields = directory.fields()?;
    let parameters = fields.rope_parameters.or(fields.rope_scaling);
    let base = parameters.as_ref().and_then(|parameters| parameters.rope_theta).or(fields.rope_theta).or(fields.rotary_emb_base);
    let scaling = parameters.map_or(Ok(Scaling::None), |parameters| parameters.scaling(context))?;
    Ok(Rope { base: base.unwrap_or(10_000.0), dim, scaling })
}

impl Parameters {
    fn scaling(&self, context: u32) -> Result<Scaling, String> {
        let kind = self.rope_type.as_ref().or(self.kind.as_ref()).map_or("default", |kind| kind);
        let need = |name: &str, value: Option<f64>| value.ok_or_else(|| format!("its rope_scaling of type {kind} lacks {name}"));
        let factor = || need("factor", self.factor);
        match kind {
            // Dynamic scaling begins where a text is longer than the trained context, and no image's context is.
            "default" | "dynamic" => Ok(Scaling::None),
            "linear" => Ok(Scaling::Linear(factor()?)),
            "llama3" => Ok(Scaling::Llama3 {
                factor: factor()?,
                low: need("low_freq_factor", self.low_freq_factor)?,
                high: need("high_freq_factor", self.high_freq_factor)?,
                context: need("original_max_position_embeddings", self.original_max_position_embeddings)?,
            }),
            "yarn" => {
                let factor = factor()?;
                let weighed = match (self.mscale, self.mscale_all_dim) {
                    (Some(first), Some(all)) if first != 0.0 && all != 0.0 => {
                        Some(yarn_attention(factor, first) / yarn_attention(factor, all))
                    }
                    _ => None,
                };
                Ok(Scaling::Yarn(Yarn {
                    factor,
                    context: self.original_max_position_embeddings.unwrap_or(f64::from(context)),
                    fast: self.beta_fast.unwrap_or(32.0),
                    slow: self.beta_slow.unwrap_or(1.0),
                    whole: self.truncate.unwrap_or(true),
                    attention: self.attention_factor.or(weighed),
                }))
            }
            other => Err(format!("its rope_scaling is of type {other}; what can be read is linear, dynamic, yarn and llama3")),
        }
    }
}
