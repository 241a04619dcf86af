//! Summary of an image, as text and as JSON.

use std::fmt;

use attoformer::image::Metadata;

use attoformer::image::{Dtype, Entry};
use attoformer::image::{Image, section};
use attoformer::internals::memory::layout::kv_bytes;
use attoformer::{Plan, arena_bytes};
use serde::Serialize;

use super::table::{Table, thousands};
use crate::pack::{Packed, tensor_name};

const NO_METADATA: Metadata = Metadata { name: "unnamed", source: "", source_sha256: [0; 32], packer: "", parameters: 0 };

/// Summary of an image. The field names are an interface that scripts read.
#[derive(Clone, Debug, Serialize)]
pub struct ImageSummary {
    /// The model's name.
    pub name: String,
    /// Architecture: decoder, encoder or encoder-decoder.
    pub architecture: &'static str,
    /// Number of trained parameters.
    pub parameters: u64,
    /// Context length in tokens.
    pub context: u32,
    /// Vocabulary size.
    pub vocab: u32,
    /// Size of the image.
    pub image_bytes: u64,
    /// Size of its weights, scales and padding included.
    pub weight_bytes: u64,
    /// Size of its tokenizer; 0 without one.
    pub tokenizer_bytes: u64,
    /// Size of the arena: RAM of a session with the full context.
    pub arena_bytes: u64,
    /// KV cache in the arena.
    pub kv_bytes: u64,
    /// Element type of the KV cache.
    pub kv: &'static str,
    /// Memory layout of the weights.
    pub layout: &'static str,
    /// Version of the numeric specification.
    pub numerics: u32,
    /// Version of the model.
    pub model_version: u32,
    /// Cargo features of the engine crate that the image needs.
    pub features: Vec<&'static str>,
    /// Whether the image is signed. `atto verify` verifies the signature.
    pub signed: bool,
    /// Output hash of the golden vector in hex.
    pub golden: String,
    /// SHA-256 of the source file in hex.
    pub source_sha256: String,
    /// Source of the calibration samples, as in `--calibrate`; known only after packing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<String>,
    /// Loss on calibration samples that were not used: mean KL divergence in nats, or one minus the mean cosine similarity. Unknown without
    /// such samples; stated only after packing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_loss: Option<Option<f64>>,
    /// All tensors in directory order.
    pub tensors: Vec<TensorSummary>,
}

/// Summary of a tensor.
#[derive(Clone, Debug, Serialize)]
pub struct TensorSummary {
    /// Name of the tensor.
    pub name: String,
    /// Element type.
    pub dtype: &'static str,
    /// Group size of int4; 0 for the whole row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// Outputs, inputs.
    pub shape: [u32; 2],
    /// Bits of the tensor's inputs: 8 or 12 for an integer matrix, 32 for floats.
    pub activations: u32,
    /// Size of values and scales.
    pub bytes: u64,
    /// Quantization error relative to the source tensor; known only after packing.
    pub rel_error: Option<f64>,
}

impl ImageSummary {
    /// Summarizes an image.
    ///
    /// # Errors
    /// Those of the engine for an unreadable section.
    pub fn of_image(image: &Image) -> Result<ImageSummary, attoformer::Error> {
        let config = image.config();
        // Metadata is optional.
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
            // The engine opens images of its own specification only.
            numerics: attoformer::NUMERICS,
            model_version: image.model_version(),
            features: image.features().map(attoformer::Feature::name).collect(),
            signed: image.is_signed(),
            golden: format!("{:08x}", image.golden().hash),
            source_sha256: metadata.source_sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            calibration: None,
            measured_loss: None,
            tensors: image.entries().map(|entry| TensorSummary::of_entry(&entry)).collect(),
        })
    }

    /// Summarizes an image that was just packed, with its quantization errors.
    ///
    /// # Errors
    /// Those of [`ImageSummary::of_image`].
    pub fn of_packed(packed: &Packed) -> Result<ImageSummary, attoformer::Error> {
        let mut summary = ImageSummary::of_image(&Image::new(&packed.image)?)?;
        summary.calibration = Some(packed.calibration.clone());
        summary.measured_loss = Some(packed.measured_loss.map(|loss| loss.mean));
        for (tensor, stored) in summary.tensors.iter_mut().zip(&packed.tensors) {
            tensor.rel_error = Some(stored.rel_error);
        }
        Ok(summary)
    }
}

impl TensorSummary {
    fn of_entry(entry: &Entry) -> Self {
        let row_scales = if entry.scales == 0 { 0 } else { entry.rows as u64 * 4 };
        let groups = attoformer::internals::format::groups(entry.columns, entry.group) as u64;
        let group_scales = if entry.group_scales == 0 { 0 } else { entry.rows as u64 * groups };
        TensorSummary {
            name: tensor_name(entry.role, entry.layer),
            dtype: entry.dtype.name(),
            group: (entry.dtype == Dtype::Int4).then_some(entry.group),
            shape: [entry.rows, entry.columns],
            activations: entry.input_bits(),
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
            "{}: {} with {parameters} parameters, vocabulary {}, context {}",
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
        // The sections of an unusual image may overlap.
        let other = self.image_bytes.saturating_sub(self.weight_bytes + self.tokenizer_bytes);
        for (what, bytes) in [
            ("flash: weights", self.weight_bytes),
            ("flash: tokenizer", self.tokenizer_bytes),
            ("flash: header, directory, other", other),
            ("flash: total", self.image_bytes),
            ("RAM: KV cache", self.kv_bytes),
            ("RAM: buffers", self.arena_bytes - self.kv_bytes),
            ("RAM: total (arena)", self.arena_bytes),
        ] {
            totals.row([what.to_owned(), thousands(bytes)]);
        }
        writeln!(f, "{totals}")?;
        if self.model_version != 0 {
            writeln!(f, "model version {}", self.model_version)?;
        }
        if self.signed {
            writeln!(f, "signed; the signature was not verified, see `atto verify`")?;
        }
        let integers = self.tensors.iter().filter(|tensor| tensor.activations <= 12).count();
        let wide = self.tensors.iter().filter(|tensor| tensor.activations == 12).count();
        if wide > 0 {
            writeln!(f, "activations of 12 bits in {wide} of {integers} integer tensors, of 8 bits in the others")?;
        }
        writeln!(f, "KV cache {}, layout {}, golden hash {}", self.kv, self.layout, self.golden)
    }
}

impl TensorSummary {
    /// Format as in `--tensor`.
    pub fn format(&self) -> String {
        match self.group {
            None => self.dtype.to_owned(),
            Some(0) => format!("{}:row", self.dtype),
            Some(group) => format!("{}:{group}", self.dtype),
        }
    }
}
