//! The file of `--formats`: TOML with one line per tensor, such as `layers.0.qkv = "int8"`.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::tensor_id::{tensor_ids, tensor_name};
use super::super::weights::matches;
use super::FormatsError;
use crate::error::Error;
use crate::files;
use crate::import::Checkpoint;
use crate::quantize::Format;

/// Reads the formats of a model's tensors; names may have `*` for every layer, and a line for one layer goes before one for all.
///
/// # Errors
/// [`Error::Io`]; [`FormatsError`] with the file for lines that do not fit the model.
pub fn read(path: &Path, checkpoint: &Checkpoint) -> Result<Vec<(String, Format)>, Error> {
    let text = files::text(path)?;
    parse(&text, checkpoint).map_err(Error::file(path))
}

fn parse(text: &str, checkpoint: &Checkpoint) -> Result<Vec<(String, Format)>, FormatsError> {
    let line = |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| FormatsError::Syntax {
        line: line(error.span().map_or(0, |span| span.start)),
        cause: error.message().to_owned(),
    })?;
    let mut found = Vec::new();
    flatten("", table.get_ref(), &mut found);
    let names = names(checkpoint);
    let mut formats = Vec::new();
    for (name, value) in found {
        let line = line(value.span().start);
        let format = match value.get_ref() {
            DeValue::String(format) => format.parse::<Format>().ok(),
            _ => None,
        };
        let Some(format) = format else { return Err(FormatsError::Format { line, name }) };
        let mut matching = names.iter().filter(|(tensor, _)| matches(&name, tensor)).peekable();
        if matching.peek().is_none() {
            return Err(FormatsError::Tensor { line, name });
        }
        if format != Format::F32 && matching.any(|(_, is_always_f32)| *is_always_f32) {
            return Err(FormatsError::AlwaysF32 { line, name });
        }
        formats.push((name, format));
    }
    // The last match applies.
    formats.sort_by_key(|(name, _)| !name.contains('*'));
    Ok(formats)
}

/// Values of nested tables by their dotted names.
fn flatten<'t, 'v>(prefix: &str, table: &'t DeTable<'v>, out: &mut Vec<(String, &'t Spanned<DeValue<'v>>)>) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        match value.get_ref() {
            DeValue::Table(table) => flatten(&name, table, out),
            _ => out.push((name, value)),
        }
    }
}

/// Names of the model's tensors, and whether each is always f32.
fn names(checkpoint: &Checkpoint) -> Vec<(String, bool)> {
    tensor_ids(&checkpoint.config).into_iter().map(|(role, layer)| (tensor_name(role, layer), role.is_always_f32())).collect()
}

/// The text of a file of formats.
pub fn text(tensors: impl Iterator<Item = (String, Format)>) -> String {
    let line = |(name, format): (String, Format)| format!("{name} = \"{format}\"\n");
    std::iter::once("# Formats of the tensors of an image, for `atto pack --formats`.\n".to_owned()).chain(tensors.map(line)).collect()
}
