//! RoBERTa and XLM-RoBERTa (Liu et al. 2019, Conneau et al. 2020): BERT's shape, whose positions begin behind the padding token's number.

use attoformer::image::Pooler;

use super::bert::{ENCODER, Shape, UNUSED};
use super::classifier::{Head, Names};
use super::directory::Directory;
use crate::import::description::Description;
use crate::import::encoder::Tables;

/// Reads the shape.
///
/// # Errors
/// A sentence's end: what contradicts itself, or is not known.
pub fn read(directory: &Directory) -> Result<Description, String> {
    let shape: Shape = directory.fields()?;
    let head = Head::read(directory, Names { pooler: ("classifier.dense", Pooler::Tanh), sequence: "classifier.out_proj" })?;
    let first = shape.pad_token_id.unwrap_or(1).saturating_add(1);
    let places = shape.max_position_embeddings;
    let rows = places.checked_sub(first).filter(|&rows| rows > 0);
    let rows = rows.ok_or_else(|| format!("its {places} positions begin at {first}, which leaves none"))?;
    let config = head.config(shape.config(directory, rows)?);
    let tables = Tables { places, first, segments: Some(shape.type_vocab_size) };
    let labels = head.labels.clone();
    let model = Description::new(config, move |config, mapper| {
        mapper.prefix_if("roberta.");
        ENCODER.tensors(config, tables, mapper)?;
        mapper.skip(&UNUSED);
        mapper.prefix = "";
        head.tensors(config, mapper)
    });
    Ok(Description { labels, ..model })
}
