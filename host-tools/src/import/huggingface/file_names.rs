//! Names of the files of a model directory.

/// The configuration of the model; it makes a folder a model directory.
pub const CONFIG: &str = "config.json";
/// The weights, in one file.
pub const WEIGHTS: &str = "model.safetensors";
/// The index of the weights, in several files.
pub const INDEX: &str = "model.safetensors.index.json";
/// The audio or picture front end.
pub const PREPROCESSOR: &str = "preprocessor_config.json";
/// Prompt tokens and suppressed tokens of the generation.
pub const GENERATION: &str = "generation_config.json";
