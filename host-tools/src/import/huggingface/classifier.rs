//! Head of an encoder: an embedding, or a classifier of texts, of tokens, or of the start and end of an answer.

use attoformer::image::{Classifier, Config, Pooler, Pooling};

use super::directory::Directory;
use super::error::ConfigError;
use crate::import::checkpoint::SourceRole;
use crate::import::tensor_mapper::TensorMapper;
use crate::import::weights::WeightsError;

/// A family's tensor names of the layers after its encoder.
#[derive(Clone, Copy)]
pub struct HeadNames {
    /// Dense layer before a classifier of texts, and its activation function.
    pub pooler: (&'static str, Pooler),
    /// Classifier of texts.
    pub sequence: &'static str,
}

/// Classifier of tokens, in every family.
const TOKENS: &str = "classifier";
/// Classifier of the start and end of an answer, in every family.
const ANSWER: &str = "qa_outputs";

/// Head of an encoder.
pub struct EncoderHead {
    kind: Classifier,
    names: HeadNames,
    classifier: &'static str,
    /// Labels; none for an embedding.
    pub labels: Vec<String>,
}

impl EncoderHead {
    /// The head that the model's class implies.
    ///
    /// # Errors
    /// Those of [`Directory::labels`].
    pub fn read(directory: &Directory, names: HeadNames) -> Result<Self, ConfigError> {
        let (kind, classifier) = if directory.class_ends_with("ForSequenceClassification") {
            (Classifier::Sequence, names.sequence)
        } else if directory.class_ends_with("ForTokenClassification") {
            (Classifier::Tokens, TOKENS)
        } else if directory.class_ends_with("ForQuestionAnswering") {
            let labels = vec!["start".to_owned(), "end".to_owned()];
            return Ok(EncoderHead { kind: Classifier::Tokens, names, classifier: ANSWER, labels });
        } else {
            return Ok(EncoderHead { kind: Classifier::None, names, classifier: "", labels: Vec::new() });
        };
        Ok(EncoderHead { kind, names, classifier, labels: directory.labels()? })
    }

    /// The encoder's config with this head.
    pub fn config(&self, encoder: Config) -> Config {
        let labels = self.labels.len() as u32;
        let classified = attoformer::config! { classifier: self.kind, labels, l2_normalize: false, ..encoder };
        match self.kind {
            Classifier::Tokens => attoformer::config! { pooling: Pooling::None, ..classified },
            Classifier::Sequence => attoformer::config! { pooling: Pooling::First, pooler: self.names.pooler.1, ..classified },
            _ => encoder,
        }
    }

    /// Maps its tensors. The classifier's name does not have the encoder's prefix; the pooler's has the present one.
    ///
    /// # Errors
    /// Those of [`Weights::take`](crate::import::weights::Weights::take).
    pub fn map(&self, config: &Config, mapper: &mut TensorMapper<'_>) -> Result<(), WeightsError> {
        let width = config.d_model;
        if self.kind == Classifier::Sequence && config.pooler != Pooler::None {
            mapper.linear(SourceRole::Pooler, None, self.names.pooler.0, (width, width), true)?;
        }
        if self.kind != Classifier::None {
            mapper.prefix = "";
            mapper.linear(SourceRole::Classifier, None, self.classifier, (config.labels, width), true)?;
        }
        Ok(())
    }
}
