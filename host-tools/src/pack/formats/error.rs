//! Errors of the choice of formats.

use crate::quantize::Format;

/// A choice that cannot be made. The file is added by [`crate::Error::File`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatsError {
    /// The model has nothing to read, so no loss can be measured.
    #[error(
        "the loss of a format cannot be measured without calibration samples; give --calibrate a text, or a folder for a model of sounds or pictures"
    )]
    NoSamples,
    /// Even the smallest image exceeds the budget.
    #[error(
        "the smallest image of this model, with {format} wherever possible, takes {smallest} bytes of flash, {} more than the budget of {budget}{}",
        smallest - budget,
        if least < smallest { format!("; with --group row it takes {least}") } else { String::new() }
    )]
    Budget {
        /// Format of four bits that is asked for.
        format: Format,
        /// Size of the smallest image.
        smallest: u64,
        /// Size of the smallest image if each row of a matrix has a single scale.
        least: u64,
        /// The budget.
        budget: u64,
    },
    /// No image reaches a loss.
    #[error(
        "no int8 image reaches a loss of {target}; the best, with 12-bit activations, has {best:.6}: use a larger --target-kld, or --weights f16"
    )]
    Loss {
        /// The loss that is asked for.
        target: f64,
        /// The least loss.
        best: f64,
    },
    /// A file of formats does not parse as TOML.
    #[error("line {line}: {cause}; expected lines like layers.0.qkv = \"int8\"")]
    Syntax {
        /// Line, from 1 on.
        line: usize,
        /// The parser's message.
        cause: String,
    },
    /// A value is not the name of a format.
    #[error(
        "line {line}: {name} has no format; use \"f32\", \"f16\", \"int8\", \"int4\", \"int4:32\", \"int4:64\", \"int4:128\" or \"int4:row\""
    )]
    Format {
        /// Line, from 1 on.
        line: usize,
        /// Name of the tensor.
        name: String,
    },
    /// The model has no tensor of this name.
    #[error("line {line}: the model has no tensor {name}; `atto info` lists the tensors of an image, and * stands for every layer")]
    Tensor {
        /// Line, from 1 on.
        line: usize,
        /// The name.
        name: String,
    },
    /// A tensor that is never quantized has another format.
    #[error("line {line}: {name} is always f32; remove the line")]
    AlwaysF32 {
        /// Line, from 1 on.
        line: usize,
        /// Name of the tensor.
        name: String,
    },
    /// The file exists, so no formats are chosen.
    #[error("the file exists, so its formats are used; remove it, or --target-kld")]
    Exists,
    /// The file does not exist, and there is nothing to write to it.
    #[error("no such file; with --budget-flash, --target-kld or --sensitivity it is written")]
    Missing,
}
