//! Errors of the packer.

use std::path::PathBuf;

use attoformer::internals::format::limits::INT4_COLUMNS_MAX;

use crate::import::SourceRole;

/// A model or a request that cannot be packed. The file is added by [`crate::Error::File`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The requested context is zero or beyond the trained one.
    #[error("a context of {requested} tokens is out of range; the model was trained for 1 to {trained}")]
    Context {
        /// Requested tokens.
        requested: u32,
        /// Tokens of the trained context.
        trained: u32,
    },
    /// A `--tensor` pattern matches nothing.
    #[error("no tensor {pattern} in this model; names are like embedding, layers.0.qkv or layers.*.mlp_down")]
    UnknownTensor {
        /// The pattern.
        pattern: String,
    },
    /// A `--tensor` option names a tensor that is never quantized.
    #[error("{tensor} is always f32; remove its --tensor option")]
    AlwaysF32 {
        /// Name of the tensor.
        tensor: String,
    },
    /// A row of an int4 matrix is longer than the engine's exact sums allow.
    #[error("{tensor} has {columns} inputs, and int4 matrices have at most {INT4_COLUMNS_MAX}; use --tensor {tensor}=int8")]
    Int4Columns {
        /// Name of the tensor, with `*` for its layer.
        tensor: String,
        /// Its inputs.
        columns: u32,
    },
    /// Inputs of 12 bits are asked for, and no matrix takes them.
    #[error("only int8 matrices take inputs of 12 bits, and none would be int8; remove --activations 12, or use --weights int8")]
    NoInt8,
    /// The checkpoint lacks a weight.
    #[error("the weight {part:?} of {tensor} is missing")]
    MissingPart {
        /// Name of the fused tensor.
        tensor: String,
        /// The missing weight.
        part: SourceRole,
    },
    /// A weight does not have the shape that the configuration implies.
    #[error("the shape of {tensor} is not ({rows}, {columns}), which the model's configuration implies")]
    Shape {
        /// Name of the fused tensor.
        tensor: String,
        /// Expected outputs.
        rows: u32,
        /// Expected inputs.
        columns: u32,
    },
    /// A bias does not have one value per output.
    #[error("the bias of {tensor} does not have {rows} values")]
    Bias {
        /// Name of the fused tensor.
        tensor: String,
        /// Expected values.
        rows: u32,
    },
    /// The engine cannot run a model of this shape.
    #[error("the engine does not support this model's shape: {0}")]
    Unsupported(attoformer::Error),
    /// The image or its arena exceeds the 32-bit offsets of the format.
    #[error("{what} would take {bytes} bytes, beyond the image format's limit of 4 GiB")]
    TooLarge {
        /// The image or the arena.
        what: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// The arena that computes the golden vector cannot be allocated.
    #[error("cannot allocate {bytes} bytes for the arena; a smaller --context needs less")]
    Memory {
        /// Bytes of the arena.
        bytes: usize,
    },
    /// The engine rejects the finished image.
    #[error("the engine rejects the packed image: {0}")]
    Rejected(attoformer::Error),
    /// A folder has nothing to calibrate with.
    #[error("the folder {} has no readable {kind} file to calibrate with; name another one with --calibrate", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Kind of the files.
        kind: &'static str,
    },
    /// The calibration data is of another kind than the model's input.
    #[error("this model reads {reads}; name {wants} with --calibrate")]
    CalibrationKind {
        /// What the model reads.
        reads: String,
        /// What calibrates it.
        wants: &'static str,
    },
    /// A calibration text cannot be read by the model.
    #[error("the model cannot read the calibration text: {0}; use --calibrate none")]
    Calibration(attoformer::Error),
}

/// An output that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// A file other than an image would be overwritten.
    #[error("refusing to overwrite: the file exists and is not an Attoformer image; name another output")]
    NotAnImage,
    /// The image is larger than `--budget-flash` allows.
    #[error(
        "the image takes {bytes} bytes of flash, {} more than the budget of {budget}; without --weights and --formats, int4 is used where it is needed",
        bytes - budget
    )]
    Budget {
        /// Size of the image.
        bytes: u64,
        /// The budget.
        budget: u64,
    },
    /// The image is larger than a slot of the board.
    #[error(
        "the image takes {bytes} bytes of flash, {} more than the {slot} bytes of a model slot of {board}; without --weights and --formats, int4 is \
         used where it is needed",
        bytes - slot
    )]
    Board {
        /// Size of the image.
        bytes: u64,
        /// Size of a slot.
        slot: u64,
        /// Name of the board.
        board: &'static str,
    },
}
