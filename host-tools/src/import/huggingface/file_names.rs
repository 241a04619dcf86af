//! Names of the files of a model directory.

/// The model's configuration, which makes a folder a model directory.
pub const CONFIG: &str = "config.json";
/// The weights, where they are in one file.
pub const WEIGHTS: &str = "model.safetensors";
/// The index that names each tensor's file, where the weights are in several.
pub const INDEX: &str = "model.safetensors.index.json";
/// How audio or pictures become rows of features.
pub const PREPROCESSOR: &str = "preprocessor_config.json";
/// How texts are generated: prompt tokens and suppressed tokens.
pub const GENERATION: &str = "generation_config.json";
