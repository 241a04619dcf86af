//! What an image says about itself, for people and as JSON.

use std::fmt;

use attoformer::image::Metadata;

use attoformer::image::{Dtype, Entry};
use attoformer::image::{Image, section};
use attoformer::memory::layout::kv_bytes;
use attoformer::{Plan, arena_bytes};
use serde::Serialize;

use super::table::{Table, thousands};
use crate::pack::{Packed, tensor_name};

const NO_METADATA: Metadata = Metadata { name: "unnamed", source: "", source_sha256: [0; 32], packer: "", parameters: 0 };

/// Section of the signature; the engine skips it.
const SIGNATURE: u32 = 8;

/// ImageSummary about an image. The names are an interface: scripts read them.
#[derive(Clone, Debug, Serialize)]
pub struct ImageSummary {
    /// The model's name.
    pub name: String,
    /// How the stack is wired.
    pub architecture: &'static str,
    /// Number of trained values.
    pub parameters: u64,
    /// Longest sequence, tokens.
    pub context: u32,
    /// Size of the vocabulary.
    pub vocab: u32,
    /// The whole image.
    pub image_bytes: u64,
    /// Its weights, with scales and padding.
    pub weight_bytes: u64,
    /// Its tokenizer, 0 without one.
    pub tokenizer_bytes: u64,
    /// RAM that a session needs at the packed context.
    pub arena_bytes: u64,
    /// The part of it that holds keys and values.
    pub kv_bytes: u64,
    /// Element type of keys and values.
    pub kv: &'static str,
    /// What the values are laid out for.
    pub layout: &'static str,
    /// Whether the image carries a signature.
    pub signed: bool,
    /// Hash of the golden vector, in hex.
    pub golden: String,
    /// SHA-256 of the file that was packed, in hex.
    pub source_sha256: String,
    /// All tensors in the image's order.
    pub tensors: Vec<TensorSummary>,
}

/// ImageSummary about one tensor.
#[derive(Clone, Debug, Serialize)]
pub struct TensorSummary {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: &'static str,
    /// Columns that share an int4 scale, 0 for a whole row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// Outputs, inputs.
    pub shape: [u32; 2],
    /// Values and scales.
    pub bytes: u64,
    /// Error of rounding relative to the source's tensor; an image alone does not tell it.
    pub rel_error: Option<f64>,
}

impl ImageSummary {
    /// Reads an image's facts.
    ///
    /// # Errors
    /// What the engine says of an unreadable section.
    pub fn of_image(image: &Image) -> Result<ImageSummary, attoformer::Error> {
        let config = image.config();
        // Provenance is optional: an image without it runs all the same.
        let metadata = if image.section(section::METADATA).is_empty() { NO_METADATA } else { image.metadata()? };
        let size = |kind| image.section(kind).len() as u64;
        let arena = arena_bytes(config, Plan::packed(config)) as u64;
        Ok(ImageSummary {
            name: metadata.name.to_owned(),
            architecture: config.architecture.name(),
            parameters: metadata.parameters,
            context: config.context,
            vocab: config.vocab,
            image_bytes: image.bytes().len() as u64,
            weight_bytes: size(section::WEIGHTS),
            tokenizer_bytes: size(section::TOKENIZER),
            arena_bytes: arena,
            kv_bytes: kv_bytes(config, config.context),
            kv: config.kv.name(),
            layout: image.entries().map(|entry| entry.layout.name()).find(|&name| name != "portable").unwrap_or("portable"),
            signed: size(SIGNATURE) > 0,
            golden: format!("{:08x}", image.golden().hash),
            source_sha256: metadata.source_sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            tensors: image.entries().map(|entry| TensorSummary::of_entry(&entry)).collect(),
        })
    }

    /// The facts of an image just packed, with the errors of rounding.
    ///
    /// # Errors
    /// As [`ImageSummary::of_image`].
    pub fn of_packed(packed: &Packed) -> Result<ImageSummary, attoformer::Error> {
        let mut facts = ImageSummary::of_image(&Image::new(&packed.image)?)?;
        for (fact, stored) in facts.tensors.iter_mut().zip(&packed.tensors) {
            fact.rel_error = Some(stored.rel_error);
        }
        Ok(facts)
    }
}

impl TensorSummary {
    fn of_entry(entry: &Entry) -> Self {
        let row_scales = if entry.scales == 0 { 0 } else { entry.rows as u64 * 4 };
        let groups = attoformer::format::groups(entry.columns, entry.group) as u64;
        let group_scales = if entry.group_scales == 0 { 0 } else { entry.rows as u64 * groups };
        TensorSummary {
            name: tensor_name(entry.role, entry.layer),
            dtype: entry.dtype.name(),
            group: (entry.dtype == Dtype::Int4).then_some(entry.group),
            shape: [entry.rows, entry.columns],
            bytes: entry.value_bytes() + row_scales + group_scales,
            rel_error: None,
        }
    }
}

impl fmt::Display for ImageSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = thousands(self.parameters);
        writeln!(
            f,
            "{}: {} of {parameters} parameters, vocabulary {}, context {}",
            self.name, self.architecture, self.vocab, self.context
        )?;
        let mut tensors = Table::new(&["tensor", "format", "shape", "bytes", "error"]);
        for tensor in &self.tensors {
            let error = tensor.rel_error.map_or("".to_owned(), |error| format!("{:.3} %", 100.0 * error));
            let shape = format!("{} x {}", tensor.shape[0], tensor.shape[1]);
            tensors.row([tensor.name.clone(), tensor.format(), shape, thousands(tensor.bytes), error]);
        }
        writeln!(f, "\n{tensors}")?;

        let mut totals = Table::new(&["memory", "bytes"]);
        // A strange image may let its sections overlap.
        let other = self.image_bytes.saturating_sub(self.weight_bytes + self.tokenizer_bytes);
        for (what, bytes) in [
            ("flash: weights", self.weight_bytes),
            ("flash: tokenizer", self.tokenizer_bytes),
            ("flash: header, directory, other", other),
            ("flash in all", self.image_bytes),
            ("RAM: keys and values", self.kv_bytes),
            ("RAM: buffers", self.arena_bytes - self.kv_bytes),
            ("RAM in all (the arena)", self.arena_bytes),
        ] {
            totals.row([what.to_owned(), thousands(bytes)]);
        }
        writeln!(f, "{totals}")?;
        writeln!(f, "keys and values {}, layout {}, golden {}", self.kv, self.layout, self.golden)
    }
}

impl TensorSummary {
    /// Element type and group, as `--tensor` takes them.
    fn format(&self) -> String {
        match self.group {
            None => self.dtype.to_owned(),
            Some(0) => format!("{}:row", self.dtype),
            Some(group) => format!("{}:{group}", self.dtype),
        }
    }
}
