//! What a reader makes of a model's description, before any tensor is read.

use attoformer::frontend::pictures::Pictures;
use attoformer::image::header::Config;

use super::checkpoint::Decoding;
use super::preprocess::audio::Frontend;
use super::tensor_mapper::Taker;

/// Takes a model's tensors.
type Tensors = Box<dyn Fn(&Config, &mut Taker<'_, '_>) -> Result<(), String>>;

/// A model's shape, and how its tensors are found.
pub struct Model {
    /// Its shape; begin and end are replaced by the tokenizer's where there is one.
    pub config: Config,
    /// Radians per token of each rotary pair.
    pub rotary: Vec<f64>,
    /// Names of a classifier's labels.
    pub labels: Vec<String>,
    /// How sound becomes rows of features.
    pub frontend: Option<Frontend>,
    /// How a picture becomes rows of features.
    pub pictures: Option<Pictures>,
    /// How a text is begun.
    pub decoding: Option<Decoding>,
    /// Takes all tensors under this config.
    pub tensors: Tensors,
}

impl Model {
    /// A model with neither rotary positions nor labels.
    pub fn new(config: Config, tensors: impl Fn(&Config, &mut Taker<'_, '_>) -> Result<(), String> + 'static) -> Self {
        Model { config, rotary: Vec::new(), labels: Vec::new(), frontend: None, pictures: None, decoding: None, tensors: Box::new(tensors) }
    }
}
