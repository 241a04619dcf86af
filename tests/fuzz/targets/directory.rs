//! A Hugging Face directory as one fuzz input, shared with the tests that generate the seeds.
//!
//! The input: a byte of flags, two lengths of two bytes, the files as a JSON object (a name, then its JSON, or its text as a string), the
//! header of the weights as JSON, their data. A value that is not an object is config.json. Flags: 1 corrects the header's offsets and repeats
//! the data to their end, so that a damaged shape passes the offset checks; 2 names the weights `part.safetensors`, as in an index.

use std::path::Path;

use serde_json::{Map, Value, json};

/// Files that an importer reads.
const NAMES: [&str; 12] = [
    "config.json",
    "generation_config.json",
    "merges.txt",
    "model.safetensors.index.json",
    "modules.json",
    "1_Pooling/config.json",
    "preprocessor_config.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];
/// Larger tensors are valid but slow.
const BYTES_MAX: u64 = 1 << 20;

/// Writes the files of an input; `None` if it is too short.
pub fn write(input: &[u8], folder: &Path) -> Option<()> {
    let (&[flags, a, b, c, d], rest) = input.split_first_chunk()?;
    let [files, header] = [[a, b], [c, d]].map(|length| usize::from(u16::from_le_bytes(length)));
    let (files, rest) = rest.split_at(files.min(rest.len()));
    let (header, data) = rest.split_at(header.min(rest.len()));
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        path.parent().map(std::fs::create_dir_all).transpose().and_then(|_| std::fs::write(path, bytes)).expect("a temporary file")
    };
    match serde_json::from_slice(files) {
        Ok(Value::Object(files)) => {
            for (name, file) in files.iter().filter(|(name, _)| NAMES.contains(&&***name)) {
                let text = file.as_str().map_or_else(|| file.to_string(), str::to_owned);
                put(name, text.as_bytes());
            }
        }
        _ => put("config.json", files),
    }
    let laid_out = if flags & 1 != 0 { laid_out(header, data) } else { None };
    let (header, data) = laid_out.unwrap_or_else(|| (header.to_vec(), data.to_vec()));
    let weights = [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat();
    put(if flags & 2 != 0 { "part.safetensors" } else { "model.safetensors" }, &weights);
    Some(())
}

/// Builds an input with correct offsets from files and from tensors by name, type and shape.
#[allow(dead_code, reason = "the target only reads")]
pub fn input(flags: u8, files: &Map<String, Value>, tensors: &[(&str, &str, &[usize])], data: &[u8]) -> Vec<u8> {
    let tensor = |(name, dtype, shape): &(&str, &str, &[usize])| ((*name).to_owned(), json!({"dtype": dtype, "shape": shape}));
    let header: Map<String, Value> = tensors.iter().map(tensor).collect();
    let [files, header] = [files, &header].map(|object| serde_json::to_vec(object).expect("JSON can be written"));
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).expect("a seed is short").to_le_bytes();
    [&[flags | 1][..], &length(&files), &length(&header), &files, &header, data].concat()
}

/// A header with consecutive tensors, and data of their length.
fn laid_out(header: &[u8], data: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let Ok(Value::Object(mut header)) = serde_json::from_slice(header) else { return None };
    let mut end = 0;
    for tensor in header.values_mut() {
        let width = match tensor["dtype"].as_str()? {
            "F32" | "I32" => 4,
            "F16" | "BF16" => 2,
            _ => 1,
        };
        let sizes = tensor["shape"].as_array()?.iter().map(Value::as_u64);
        let bytes = sizes.chain([Some(width)]).try_fold(1u64, |product, size| product.checked_mul(size?))?;
        let start = end;
        end = bytes.checked_add(start).filter(|&end| end <= BYTES_MAX)?;
        tensor.as_object_mut()?.insert("data_offsets".to_owned(), json!([start, end]));
    }
    let data = if data.is_empty() { &[0] } else { data };
    Some((serde_json::to_vec(&header).ok()?, data.iter().copied().cycle().take(end as usize).collect()))
}
