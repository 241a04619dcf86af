//! Encoder that begins with tables of tokens, positions and segments and a norm (BERT's), under the tensor names of its family.

use attoformer::image::Config;

use super::checkpoint::SourceRole;
use super::tensor_mapper::{LayerSpec, TensorMapper};
use super::weights::WeightsError;

/// Tensor names of a family's encoders.
#[derive(Clone, Copy)]
pub struct EncoderNames {
    /// Token embedding table.
    pub embedding: &'static str,
    /// Position table.
    pub positions: &'static str,
    /// Segment table (token types), where the family has one.
    pub segments: Option<&'static str>,
    /// Norm after the tables.
    pub norm: &'static str,
    /// Prefix of a layer's names, before its number.
    pub layer_prefix: &'static str,
    /// The layers.
    pub layers: LayerSpec,
}

/// Sizes of the position and segment tables.
#[derive(Clone, Copy)]
pub struct TableSizes {
    /// Rows of the position table.
    pub positions: u32,
    /// Row of the first token's position.
    pub first_position: u32,
    /// Rows of the segment table, where there is one.
    pub segments: Option<u32>,
}

impl EncoderNames {
    /// Maps all tensors up to the last layer's.
    ///
    /// # Errors
    /// Those of [`Weights::take`](super::weights::Weights::take).
    pub fn map(&self, config: &Config, tables: TableSizes, mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
        mapper.matrix(SourceRole::Embedding, None, self.embedding, config.vocab, config.d_model)?;
        self.map_positions(config, tables, mapper)?;
        mapper.norm(SourceRole::EmbeddingNorm, None, self.norm, config.d_model, config.norm)?;
        for layer in 0..config.layers {
            mapper.layer(config, &self.layers, layer, &format!("{}{layer}.", self.layer_prefix))?;
        }
        Ok(())
    }

    /// Maps the position table from the first token's row on. The engine has no segments: all tokens are of the first segment, whose row is added
    /// to each position.
    fn map_positions(&self, config: &Config, tables: TableSizes, mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
        let width = config.d_model as usize;
        let table = mapper.data(self.positions, &[tables.positions as usize, width])?;
        let skipped = (tables.first_position as usize * width).min(table.len());
        let len = table.len() - skipped;
        let mut positions = table.map(len, move |table| table[skipped..].to_vec());
        if let (Some(name), Some(rows)) = (self.segments, tables.segments) {
            let segment = mapper.data(name, &[rows as usize, width])?.read_range(0..width).into_owned();
            positions = positions.map(len, move |positions| {
                positions.chunks_exact(width).flat_map(|row| row.iter().zip(&segment).map(|(x, segment)| x + segment)).collect()
            });
        }
        mapper.put(SourceRole::Positions, None, width, positions, None);
        Ok(())
    }
}
