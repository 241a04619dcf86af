//! Errors of a model directory's configuration.

use crate::error::Error;
use crate::import::json_file::JsonError;
use crate::import::limits::LimitError;
use crate::import::preprocess::audio::AudioError;
use crate::import::rope::RopeError;

/// Reason why a configuration is not supported. It is about config.json, except [`ConfigError::OtherFile`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A field that is missing or of another type.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A size.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// RoPE.
    #[error(transparent)]
    Rope(#[from] RopeError),
    /// The audio front end.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// Another file of the directory, which the error names.
    #[error(transparent)]
    OtherFile(#[from] Box<Error>),
    /// A file that the family needs.
    #[error("the folder has no {0}, which this family needs; download it with the model")]
    FileMissing(&'static str),
    /// A field with a value that is not supported.
    #[error("{field} is {value}, which is not supported; supported: {supported}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The supported values.
        supported: &'static str,
    },
    /// A field that the family needs.
    #[error("{0} is missing")]
    FieldMissing(&'static str),
    /// A RoPE scaling without one of its parameters.
    #[error("rope_scaling of type {kind} lacks {parameter}")]
    RopeParameter {
        /// Type of the scaling.
        kind: String,
        /// The missing parameter.
        parameter: &'static str,
    },
    /// A number of rotated dimensions that is 0 or larger than the head.
    #[error("{field} {value} rotates {rotary_dim} of the {head_dim} dimensions of a head; supported: 1 to {head_dim}")]
    RotaryDim {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// Rotated dimensions.
        rotary_dim: u32,
        /// Width of a head.
        head_dim: u32,
    },
    /// A label without a name.
    #[error("id2label has {count} labels, but none with the number {number}")]
    LabelMissing {
        /// Labels.
        count: usize,
        /// The missing number.
        number: usize,
    },
    /// A label with a line break.
    #[error("label {0} of id2label has a line break, which is not supported")]
    LabelLines(usize),
    /// No labels.
    #[error("id2label is empty; a classifier needs at least one label")]
    NoLabels,
    /// Labels and their number contradict each other.
    #[error("num_labels is {num_labels}, but there are {labels} labels")]
    LabelCount {
        /// The stated number.
        num_labels: u32,
        /// Names of labels.
        labels: usize,
    },
    /// No position after the padding token's.
    #[error("max_position_embeddings is {rows}, but the first position is {first} (pad_token_id + 1)")]
    NoPositions {
        /// Rows of the position table.
        rows: u32,
        /// Row of the first token.
        first: u32,
    },
    /// Patches that do not fill an image.
    #[error("image_size {image_size} does not divide into patches of {patch_size} pixels with {channels} channels")]
    Patches {
        /// Side of the image, pixels.
        image_size: u32,
        /// Side of a patch, pixels.
        patch_size: u32,
        /// Channels.
        channels: u32,
    },
    /// Patches with too many values.
    #[error("a patch has {values} values; at most {max} are supported")]
    PatchValues {
        /// Values of a patch.
        values: u32,
        /// The largest supported number.
        max: u32,
    },
    /// Stacks of different shapes.
    #[error("encoder and decoder have different numbers of attention heads or MLP widths, which is not supported")]
    StacksDiffer,
    /// Embeddings that the stacks do not share.
    #[error("encoder, decoder and head do not share one embedding table (tied embeddings), which is not supported")]
    EmbeddingsDiffer,
    /// Audio features of another size than the model reads.
    #[error(
        "preprocessor_config.json yields {positions} positions of {bands} mel bands, but config.json states {expected_positions} of {expected_bands}"
    )]
    AudioSize {
        /// Positions of a clip.
        positions: u32,
        /// Mel bands of the front end.
        bands: u32,
        /// Positions of the encoder.
        expected_positions: u32,
        /// Mel bands that the model reads.
        expected_bands: u32,
    },
    /// A token of the generation config beyond the vocabulary.
    #[error("token {token} is outside the vocabulary of {vocab} tokens")]
    TokenRange {
        /// The token id.
        token: u32,
        /// Tokens in the vocabulary.
        vocab: u32,
    },
    /// Two files with different start tokens.
    #[error("decoder_start_token_id is {generation}, but config.json states {config}")]
    StartToken {
        /// The token of generation_config.json.
        generation: u32,
        /// The token of config.json.
        config: u32,
    },
}

impl ConfigError {
    /// A field with a value that is not supported.
    pub fn unsupported(field: &'static str, value: impl ToString, supported: &'static str) -> Self {
        ConfigError::Unsupported { field, value: value.to_string(), supported }
    }

    /// Adds the file: config.json, unless the error names another one.
    pub fn in_file(self, config_json: &std::path::Path) -> Error {
        match self {
            ConfigError::OtherFile(error) => *error,
            own => Error::file(config_json)(own),
        }
    }
}

impl From<Error> for ConfigError {
    fn from(error: Error) -> Self {
        ConfigError::OtherFile(Box::new(error))
    }
}
