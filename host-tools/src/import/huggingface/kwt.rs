//! Keyword transformer (Berg, O'Connor and Cruz 2021): a vision transformer over frames of sound, post-norm, with a class token.

use std::path::Path;

use attoformer::image::header::{Architecture, Classifier, Config, Front, MaskKind, NormKind, NormPlacement, Pooling, PositionKind};
use serde::Deserialize;

use super::take::Taker;
use super::weights::Weights;
use super::{Family, activation};
use crate::error::Error;
use crate::import::frontend::{Frontend, Mfcc};
use crate::import::{Part, Tensor};

/// What config.json says.
#[derive(Deserialize)]
pub struct Shape {
    hidden_size: u32,
    intermediate_size: u32,
    num_hidden_layers: u32,
    num_attention_heads: u32,
    head_dim: u32,
    hidden_act: String,
    norm_placement: String,
    layer_norm_eps: f32,
    attention_scale: f32,
    patch_size: [u32; 2],
    num_positions: u32,
    num_labels: u32,
    labels: Vec<String>,
    frontend: Mfcc,
}

impl Family for Shape {
    fn config(&self, folder: &Path) -> Result<Config, Error> {
        self.shape().map_err(Error::file(&folder.join(super::CONFIG)))
    }

    fn tensors(&self, weights: &mut Weights<'_>) -> Result<Vec<Tensor>, String> {
        self.take(Taker::new(weights, ""))
    }

    fn frontend(&self, folder: &Path) -> Result<Option<Frontend>, Error> {
        self.frontend.frontend().map(Some).map_err(Error::file(&folder.join(super::CONFIG)))
    }

    fn labels(&self) -> Vec<String> {
        self.labels.clone()
    }
}

impl Shape {
    fn shape(&self) -> Result<Config, String> {
        if self.norm_placement != "post" || self.patch_size[0] != 1 || self.labels.len() != self.num_labels as usize {
            return Err("what can be read of this family has post-norms, patches of one frame, and a name for each label".to_owned());
        }
        Ok(Config {
            architecture: Architecture::Encoder,
            norm: NormKind::Layer,
            placement: NormPlacement::Post,
            activation: activation(&self.hidden_act)?,
            gated: false,
            positions: PositionKind::Learned,
            mask: MaskKind::Bidirectional,
            d_model: self.hidden_size,
            d_hidden: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_attention_heads,
            head_dim: self.head_dim,
            context: self.num_positions,
            norm_eps: self.layer_norm_eps,
            final_norm: false,
            pooling: Pooling::First,
            classifier: Classifier::Sequence,
            front: Front::Patches,
            class_token: true,
            labels: self.num_labels,
            features: self.patch_size[1],
            score_scale: self.attention_scale,
            ..Config::DECODER
        })
    }

    fn take(&self, mut take: Taker<'_, '_>) -> Result<Vec<Tensor>, String> {
        let (width, hidden) = (self.hidden_size as usize, self.intermediate_size as usize);
        let (q_dim, places) = ((self.num_attention_heads * self.head_dim) as usize, self.num_positions as usize);
        let class = take.values("embeddings.cls_token", &[1, 1, width])?;
        take.put(Part::ClassToken, None, (1, width), class, None);
        let positions = take.values("embeddings.position_embeddings", &[1, places, width])?;
        take.put(Part::Positions, None, (places, width), positions, None);
        take.linear(Part::FrontFirst, None, "embeddings.patch_embeddings.projection", (width, self.patch_size[1] as usize))?;
        for layer in 0..self.num_hidden_layers {
            let name = |rest: &str| format!("encoder.layer.{layer}.{rest}");
            let layer = Some(layer);
            take.linear(Part::Query, layer, &name("attention.attention.query"), (q_dim, width))?;
            take.linear(Part::Key, layer, &name("attention.attention.key"), (q_dim, width))?;
            take.linear(Part::Value, layer, &name("attention.attention.value"), (q_dim, width))?;
            take.linear(Part::AttnOut, layer, &name("attention.output.dense"), (width, q_dim))?;
            take.layer_norm(Part::AttnNorm, layer, &name("attention.output.LayerNorm"), width)?;
            take.linear(Part::Up, layer, &name("intermediate.dense"), (hidden, width))?;
            take.linear(Part::Down, layer, &name("output.dense"), (width, hidden))?;
            take.layer_norm(Part::MlpNorm, layer, &name("output.LayerNorm"), width)?;
        }
        take.linear(Part::Classifier, None, "classifier", (self.num_labels as usize, width))?;
        Ok(take.tensors)
    }
}
