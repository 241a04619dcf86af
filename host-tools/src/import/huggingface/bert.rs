//! BERT (Devlin et al. 2018) and encoders of the same shape: MiniLM, E5, BGE and other sentence encoders, and classifiers.

use attoformer::image::{Architecture, Config, MaskKind, NormKind, NormPlacement, Pooler, PositionKind};
use serde::Deserialize;

use super::activation::activation;
use super::classifier::{EncoderHead, HeadNames};
use super::directory::Directory;
use super::error::ConfigError;
use crate::import::description::Description;
use crate::import::encoder::{EncoderNames, TableSizes};
use crate::import::limits::head_dim;
use crate::import::tensor_mapper::{LayerNames, LayerSpec, RotaryPairs};

/// Fields of config.json.
#[derive(Deserialize)]
pub struct ConfigJson {
    hidden_size: u32,
    intermediate_size: u32,
    num_hidden_layers: u32,
    num_attention_heads: u32,
    vocab_size: u32,
    /// Rows of the position table.
    pub max_position_embeddings: u32,
    /// Rows of the segment table.
    pub type_vocab_size: u32,
    layer_norm_eps: f32,
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    /// The padding token; RoBERTa's positions start after its id.
    pub pad_token_id: Option<u32>,
    #[serde(default)]
    is_decoder: bool,
}

fn absolute() -> String {
    "absolute".to_owned()
}

/// Tensor names of the encoder, which RoBERTa shares.
pub const ENCODER: EncoderNames = EncoderNames {
    embedding: "embeddings.word_embeddings.weight",
    positions: "embeddings.position_embeddings.weight",
    segments: Some("embeddings.token_type_embeddings.weight"),
    norm: "embeddings.LayerNorm",
    layer_prefix: "encoder.layer.",
    layers: LayerSpec {
        names: &LayerNames {
            attn_norm: "attention.output.LayerNorm",
            query: "attention.self.query",
            key: "attention.self.key",
            value: "attention.self.value",
            attn_out: "attention.output.dense",
            mlp_norm: "output.LayerNorm",
            up: "intermediate.dense",
            down: "output.dense",
            ..LayerNames::NONE
        },
        qkv_bias: [true; 3],
        out_bias: true,
        mlp_bias: true,
        pairs: RotaryPairs::Interleaved,
    },
};
/// Constants, and a dense layer that only the pre-training task reads.
pub const UNUSED: [&str; 4] = ["embeddings.position_ids", "embeddings.token_type_ids", "pooler.dense.weight", "pooler.dense.bias"];

/// Describes the model.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn describe(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let head = EncoderHead::read(directory, HeadNames { pooler: ("pooler.dense", Pooler::Tanh), sequence: "classifier" })?;
    let config = head.config(json.config(directory, json.max_position_embeddings)?);
    let tables = TableSizes { positions: json.max_position_embeddings, first_position: 0, segments: Some(json.type_vocab_size) };
    let labels = head.labels.clone();
    let description = Description::new(config, move |config, mapper| {
        mapper.prefix_if("bert.");
        ENCODER.map(config, tables, mapper)?;
        mapper.skip(&UNUSED[..2]);
        if config.pooler == Pooler::None {
            mapper.skip(&UNUSED);
        }
        head.map(config, mapper)
    });
    Ok(Description { labels, ..description })
}

impl ConfigJson {
    /// The config of the encoder with `positions` positions. BOS and EOS are those of the tokenizer.
    ///
    /// # Errors
    /// [`ConfigError`] with the field.
    pub fn config(&self, directory: &Directory, positions: u32) -> Result<Config, ConfigError> {
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if self.position_embedding_type != absolute() {
            return Err(ConfigError::unsupported("position_embedding_type", &self.position_embedding_type, "absolute"));
        }
        if self.type_vocab_size == 0 {
            return Err(ConfigError::unsupported("type_vocab_size", 0, "1 and more"));
        }
        if self.is_decoder {
            return Err(ConfigError::unsupported("is_decoder", true, "false in this family"));
        }
        let pooling = &directory.pooling;
        Ok(attoformer::config! {
            activation: activation(&self.hidden_act)?,
            d_model: width,
            d_hidden: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads,
            kv_heads: heads,
            head_dim: head_dim(width, heads, "hidden_size")?,
            vocab: self.vocab_size,
            context: pooling.context.unwrap_or(u32::MAX).min(positions),
            norm_eps: self.layer_norm_eps,
            pooling: pooling.kind,
            l2_normalize: pooling.l2_normalize,
            ..POST_NORM_ENCODER
        })
    }
}

/// Config that all encoders of this kind share: post-norm layers (Vaswani et al. 2017), a learned position table and a norm before the first layer.
pub const POST_NORM_ENCODER: Config = attoformer::config! {
    architecture: Architecture::Encoder,
    norm: NormKind::Layer,
    placement: NormPlacement::Post,
    gated: false,
    positions: PositionKind::LearnedAbsolute,
    mask: MaskKind::Bidirectional,
    final_norm: false,
    embedding_norm: true,
    ..Config::DECODER
};
