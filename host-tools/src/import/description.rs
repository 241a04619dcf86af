//! What a reader makes of a model's description, before any tensor is read.

use attoformer::frontend::pictures::Pictures;
use attoformer::image::Config;

use super::checkpoint::GenerationConfig;
use super::preprocess::audio::AudioFrontend;
use super::tensor_mapper::TensorMapper;

/// Takes a model's tensors.
type Tensors = Box<dyn Fn(&Config, &mut TensorMapper<'_, '_>) -> Result<(), String>>;

/// A model's shape, and how its tensors are found.
pub struct Description {
    /// Its shape; begin and end are replaced by the tokenizer's where there is one.
    pub config: Config,
    /// Radians per token of each rotary pair.
    pub rotary: Vec<f64>,
    /// Names of a classifier's labels.
    pub labels: Vec<String>,
    /// How sound becomes rows of features.
    pub audio: Option<AudioFrontend>,
    /// How a picture becomes rows of features.
    pub pictures: Option<Pictures>,
    /// How a text is begun.
    pub generation_config: Option<GenerationConfig>,
    /// Takes all tensors under this config.
    pub tensors: Tensors,
}

impl Description {
    /// A model with neither rotary positions nor labels.
    pub fn new(config: Config, tensors: impl Fn(&Config, &mut TensorMapper<'_, '_>) -> Result<(), String> + 'static) -> Self {
        Description {
            config,
            rotary: Vec::new(),
            labels: Vec::new(),
            audio: None,
            pictures: None,
            generation_config: None,
            tensors: Box::new(tensors),
        }
    }
}
