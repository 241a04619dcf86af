//! RoPE parameters of config.json.

use serde::Deserialize;

use super::directory::Directory;
use super::error::ConfigError;
use crate::import::rope::{Rope, RopeScaling, Yarn, yarn_attention_factor};

#[derive(Deserialize)]
struct RopeFields {
    rope_theta: Option<f64>,
    rotary_emb_base: Option<f64>,
    rope_scaling: Option<Parameters>,
    /// The newer name of `rope_scaling`, with `rope_theta` inside.
    rope_parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Parameters {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    /// The older name of `rope_type`.
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

/// RoPE of heads with `dim` rotated dimensions, in a model with a context of `context` tokens.
///
/// # Errors
/// [`ConfigError`]: the scaling is not supported, or lacks a parameter.
pub fn read(directory: &Directory, dim: u32, context: u32) -> Result<Rope, ConfigError> {
    let fields: RopeFields = directory.fields()?;
    let parameters = fields.rope_parameters.or(fields.rope_scaling);
    let base = parameters.as_ref().and_then(|parameters| parameters.rope_theta).or(fields.rope_theta).or(fields.rotary_emb_base);
    let scaling = parameters.map_or(Ok(RopeScaling::None), |parameters| parameters.scaling(context))?;
    Ok(Rope { base: base.unwrap_or(10_000.0), dim, scaling })
}

/// RoPE of a family without YaRN.
///
/// # Errors
/// Those of [`read`], and [`ConfigError::Unsupported`] for YaRN.
pub fn read_without_yarn(directory: &Directory, dim: u32, context: u32) -> Result<Rope, ConfigError> {
    let rope = read(directory, dim, context)?;
    if rope.score_factor() != 1.0 {
        return Err(ConfigError::unsupported("the type of rope_scaling", "yarn", "linear, dynamic and llama3 in this family"));
    }
    Ok(rope)
}

impl Parameters {
    fn scaling(&self, context: u32) -> Result<RopeScaling, ConfigError> {
        let kind = self.rope_type.as_ref().or(self.kind.as_ref()).map_or("default", |kind| kind);
        let required = |parameter: &'static str, value: Option<f64>| {
            value.ok_or_else(|| ConfigError::RopeParameter { kind: kind.to_owned(), parameter })
        };
        let factor = || required("factor", self.factor);
        match kind {
            // Dynamic NTK scaling starts beyond the trained context, which no image exceeds.
            "default" | "dynamic" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear(factor()?)),
            "llama3" => Ok(RopeScaling::Llama3 {
                factor: factor()?,
                low_freq_factor: required("low_freq_factor", self.low_freq_factor)?,
                high_freq_factor: required("high_freq_factor", self.high_freq_factor)?,
                original_context: required("original_max_position_embeddings", self.original_max_position_embeddings)?,
            }),
            "yarn" => {
                let factor = factor()?;
                let from_mscale = match (self.mscale, self.mscale_all_dim) {
                    (Some(first), Some(all)) if first != 0.0 && all != 0.0 => {
                        Some(yarn_attention_factor(factor, first) / yarn_attention_factor(factor, all))
                    }
                    _ => None,
                };
                Ok(RopeScaling::Yarn(Yarn {
                    factor,
                    original_context: self.original_max_position_embeddings.unwrap_or(f64::from(context)),
                    beta_fast: self.beta_fast.unwrap_or(32.0),
                    beta_slow: self.beta_slow.unwrap_or(1.0),
                    truncate: self.truncate.unwrap_or(true),
                    attention_factor: self.attention_factor.or(from_mscale),
                }))
            }
            other => Err(ConfigError::unsupported("the type of rope_scaling", other, "default, linear, dynamic, yarn and llama3")),
        }
    }
}
