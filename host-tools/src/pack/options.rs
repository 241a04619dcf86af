//! Packing options.

use attoformer::image::KvType;

use super::calibrate::Calibration;
use super::layout::Target;
use crate::quantize::Format;

/// Packing options.
#[derive(Clone, Debug)]
pub struct Options {
    /// Format of the matrices; norms are always f32.
    pub weights: Format,
    /// Formats by tensor name; `*` matches any layer. The last match applies.
    pub overrides: Vec<(String, Format)>,
    /// Element type of keys and values.
    pub kv: KvType,
    /// Context length in tokens; the trained one unless given.
    pub context: Option<u32>,
    /// Target whose layout the weights get.
    pub target: Target,
    /// Version of the model, a number of the user's choice.
    pub model_version: u32,
    /// Source of the samples that int8 and int4 matrices are quantized for.
    pub calibration: Calibration,
    /// Bits of the quantized inputs of int8 matrices.
    pub activations: Activations,
}

impl Options {
    /// The unquantized reference that other options are compared with.
    pub fn reference() -> Self {
        Options {
            weights: Format::F32,
            overrides: Vec::new(),
            kv: KvType::F32,
            context: None,
            target: Target::Portable,
            model_version: 0,
            calibration: Calibration::None,
            activations: Activations::Eight,
        }
    }
}

/// Choice of the bits of quantized activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activations {
    /// Twelve bits where eight lose most.
    #[default]
    Auto,
    /// Eight bits.
    Eight,
    /// Twelve bits for every int8 matrix.
    Twelve,
}
