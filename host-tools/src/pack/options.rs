//! Packing options.

use std::fmt;
use std::path::PathBuf;

use attoformer::image::KvType;

use super::activations::Activations;
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

    /// Group of int4 matrices: the one that is asked for, or 32.
    pub fn int4_group(&self) -> u32 {
        if let Format::Int4 { group } = self.weights { group } else { 32 }
    }
}

/// Source of the calibration samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Calibration {
    /// The best source for the model: its own text for decoders, built-in text or sounds for the others, nothing for pictures.
    #[default]
    Best,
    /// Text that the model writes itself.
    OwnText,
    /// The built-in text; for models that read sound, generated sounds.
    BuiltIn,
    /// A text of the user's, from this file.
    Text(PathBuf, String),
    /// A folder of sounds or pictures.
    Folder(PathBuf),
    /// No calibration.
    None,
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Calibration::Best | Calibration::None => f.write_str("none"),
            Calibration::OwnText => f.write_str("self"),
            Calibration::BuiltIn => f.write_str("built-in"),
            Calibration::Text(path, _) | Calibration::Folder(path) => write!(f, "{}", path.display()),
        }
    }
}
