//! Decoders that are a token table, layers, a norm and a head, whatever a file calls them.

use attoformer::image::header::Config;

use super::checkpoint::Part;
use super::tensor_mapper::{Layers, Taker};

/// What a family calls the parts of its decoder.
#[derive(Clone, Copy)]
pub struct Decoder {
    /// Token table.
    pub embedding: &'static str,
    /// What a layer's names begin with, before its number.
    pub front: &'static str,
    /// The layers.
    pub layers: Layers,
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
    pub fn tensors(&self, config: &Config, take: &mut Taker<'_, '_>) -> Result<(), String> {
        take.matrix(Part::Embedding, None, self.embedding, config.vocab, config.d_model)?;
        for layer in 0..config.layers {
            take.layer(config, &self.layers, layer, &format!("{}{layer}.", self.front))?;
        }
        take.norm(Part::FinalNorm, None, self.final_norm, config.d_model, config.norm)?;
        // The head stands beside the model, not in it.
        take.prefix = "";
        if config.tied_head {
            // Some files hold the token table twice.
            take.skip(&[self.head]);
            return Ok(());
        }
        take.matrix(Part::Head, None, self.head, config.vocab, config.d_model)
    }
}
