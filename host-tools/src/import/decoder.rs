//! Decoder with an embedding table, layers, a norm and a head, under the tensor names of its family.

use attoformer::image::Config;

use super::checkpoint::SourceRole;
use super::tensor_mapper::{LayerSpec, TensorMapper};
use super::weights::WeightsError;

/// Tensor names of a family's decoders.
#[derive(Clone, Copy)]
pub struct DecoderNames {
    /// Token embedding table.
    pub embedding: &'static str,
    /// Prefix of a layer's names, before its number.
    pub layer_prefix: &'static str,
    /// The layers.
    pub layers: LayerSpec,
    /// Norm before the head.
    pub final_norm: &'static str,
    /// Output head; with tied embeddings it is the embedding table, which some files store twice.
    pub head: &'static str,
}

impl DecoderNames {
    /// Maps all tensors.
    ///
    /// # Errors
    /// Those of [`Weights::take`](super::weights::Weights::take).
    pub fn map(&self, config: &Config, mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
        mapper.matrix(SourceRole::Embedding, None, self.embedding, config.vocab, config.d_model)?;
        for layer in 0..config.layers {
            mapper.layer(config, &self.layers, layer, &format!("{}{layer}.", self.layer_prefix))?;
        }
        mapper.norm(SourceRole::FinalNorm, None, self.final_norm, config.d_model, config.norm)?;
        // The name of the head does not have the prefix of the model's other tensors.
        mapper.prefix = "";
        if config.tied_head {
            mapper.skip(&[self.head]);
            return Ok(());
        }
        mapper.matrix(SourceRole::Head, None, self.head, config.vocab, config.d_model)
    }
}
