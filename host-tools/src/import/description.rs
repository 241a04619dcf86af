//! Description of a model, from its configuration: its shape, and how its tensors are mapped.

use attoformer::frontend::pictures::Pictures;
use attoformer::image::Config;

use super::checkpoint::GenerationConfig;
use super::preprocess::audio::AudioFrontend;
use super::tensor_mapper::TensorMapper;
use super::weights::WeightsError;

/// Maps the tensors of a model with this config.
type MapTensors = Box<dyn Fn(&Config, &mut TensorMapper<'_>) -> Result<(), WeightsError>>;

/// A model's description, known before any tensor is read.
pub struct Description {
    /// Shape; BOS and EOS are replaced by those of the tokenizer, where there is one.
    pub config: Config,
    /// RoPE: radians per token of each rotary pair.
    pub rotary: Vec<f64>,
    /// Labels of a classifier.
    pub labels: Vec<String>,
    /// Audio front end.
    pub audio: Option<AudioFrontend>,
    /// Picture front end.
    pub pictures: Option<Pictures>,
    /// Start of a transcript or translation.
    pub generation_config: Option<GenerationConfig>,
    /// Maps all tensors.
    pub map_tensors: MapTensors,
}

impl Description {
    /// A model without rotary positions, labels, front ends and generation config.
    pub fn new(config: Config, map_tensors: impl Fn(&Config, &mut TensorMapper<'_>) -> Result<(), WeightsError> + 'static) -> Self {
        Description {
            config,
            rotary: Vec::new(),
            labels: Vec::new(),
            audio: None,
            pictures: None,
            generation_config: None,
            map_tensors: Box::new(map_tensors),
        }
    }
}
