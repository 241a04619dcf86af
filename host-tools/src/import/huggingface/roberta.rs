//! RoBERTa and XLM-RoBERTa (Liu et al. 2019, Conneau et al. 2020): BERT's shape, with positions that start after the padding token's id.

use attoformer::image::Pooler;

use super::bert::{ConfigJson, ENCODER, UNUSED};
use super::classifier::{EncoderHead, HeadNames};
use super::directory::Directory;
use super::error::ConfigError;
use crate::import::description::Description;
use crate::import::encoder::TableSizes;

/// Describes the model.
///
/// # Errors
/// [`ConfigError`] with the field.
pub fn describe(directory: &Directory) -> Result<Description, ConfigError> {
    let json: ConfigJson = directory.fields()?;
    let names = HeadNames { pooler: ("classifier.dense", Pooler::Tanh), sequence: "classifier.out_proj" };
    let head = EncoderHead::read(directory, names)?;
    let first = json.pad_token_id.unwrap_or(1).saturating_add(1);
    let rows = json.max_position_embeddings;
    let positions = rows.checked_sub(first).filter(|&positions| positions > 0).ok_or(ConfigError::NoPositions { rows, first })?;
    let config = head.config(json.config(directory, positions)?);
    let tables = TableSizes { positions: rows, first_position: first, segments: Some(json.type_vocab_size) };
    let labels = head.labels.clone();
    let description = Description::new(config, move |config, mapper| {
        mapper.prefix_if("roberta.");
        ENCODER.map(config, tables, mapper)?;
        mapper.skip(&UNUSED);
        mapper.prefix = "";
        head.map(config, mapper)
    });
    Ok(Description { labels, ..description })
}
