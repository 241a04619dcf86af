//! Decoders that are a token table, layers, a norm and a head, whatever a file calls them.

use attoformer::image::Config;

use super::checkpoint::SourceRole;
use super::tensor_mapper::{LayerSpec, TensorMapper};

/// What a family calls the parts of its decoder.
#[derive(Clone, Copy)]
pub struct Decoder {
    /// Token table.
    pub embedding: &'static str,
    /// What a layer's names begin with, before its number.
    pub front: &'static str,
    /// The layers.
    pub layers: LayerSpec,
    /// Norm before the head.
    pub final_norm: &'static str,
    /// Output head, where it is not the token table.
    pub head: &'static str,
}

impl Decoder {
    /// All tensors.
    ///
    /// # Errors
    /// A sentence's end that names the tensor.
    pub fn tensors(&self, config: &Config, mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
        mapper.matrix(SourceRole::Embedding, None, self.embedding, config.vocab, config.d_model)?;
        for layer in 0..config.layers {
            mapper.layer(config, &self.layers, layer, &format!("{}{layer}.", self.front))?;
        }
        mapper.norm(SourceRole::FinalNorm, None, self.final_norm, config.d_model, config.norm)?;
        // The head stands beside the model, not in it.
        mapper.prefix = "";
        if config.tied_head {
            // Some files hold the token table twice.
            mapper.skip(&[self.head]);
            return Ok(());
        }
        mapper.matrix(SourceRole::Head, None, self.head, config.vocab, config.d_model)
    }
}
