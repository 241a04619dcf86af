//! Encoders that begin with tables of words, positions and segments and a norm, whatever a file calls them.

use attoformer::image::Config;

use super::checkpoint::SourceRole;
use super::tensor_mapper::{LayerSpec, TensorMapper};

/// What a family calls the parts of its encoder.
#[derive(Clone, Copy)]
pub struct Encoder {
    /// Token table.
    pub words: &'static str,
    /// Table of positions.
    pub positions: &'static str,
    /// Table of segments, where the family has one.
    pub segments: Option<&'static str>,
    /// Norm behind the tables.
    pub norm: &'static str,
    /// What a layer's names begin with, before its number.
    pub front: &'static str,
    /// The layers.
    pub layers: LayerSpec,
}

/// Sizes of the tables.
#[derive(Clone, Copy)]
pub struct Tables {
    /// Rows of the table of positions.
    pub places: u32,
    /// The row that the first token gets.
    pub first: u32,
    /// Rows of the table of segments, where there is one.
    pub segments: Option<u32>,
}

impl Encoder {
    /// All tensors up to the last layer's.
    ///
    /// # Errors
    /// A sentence's end that names the tensor.
    pub fn tensors(&self, config: &Config, tables: Tables, mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
        mapper.matrix(SourceRole::Embedding, None, self.words, config.vocab, config.d_model)?;
        self.positions(config, tables, mapper)?;
        mapper.norm(SourceRole::EmbeddingNorm, None, self.norm, config.d_model, config.norm)?;
        for layer in 0..config.layers {
            mapper.layer(config, &self.layers, layer, &format!("{}{layer}.", self.front))?;
        }
        Ok(())
    }

    /// The rows that tokens get, from the first token's on. Every token is of the first segment, so that segment's row is added once and
    /// for all.
    fn positions(&self, config: &Config, tables: Tables, mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
        let width = config.d_model as usize;
        let places = mapper.values(self.positions, &[tables.places as usize, width])?;
        let mut places = places.get(tables.first as usize * width..).unwrap_or_default().to_vec();
        if let (Some(name), Some(rows)) = (self.segments, tables.segments) {
            let segments = mapper.values(name, &[rows as usize, width])?;
            for row in places.chunks_exact_mut(width) {
                row.iter_mut().zip(&segments).for_each(|(x, &segment)| *x += segment);
            }
        }
        mapper.put(SourceRole::Positions, None, width, places, None);
        Ok(())
    }
}
