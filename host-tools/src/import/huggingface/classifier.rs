//! What stands behind an encoder: an embedding, or a classifier of texts, of tokens, or of where an answer begins and ends.

use attoformer::image::{Classifier, Config, Pooler, Pooling};

use super::directory::Directory;
use crate::import::checkpoint::SourceRole;
use crate::import::tensor_mapper::TensorMapper;

/// A family's names of the layers behind its encoder.
#[derive(Clone, Copy)]
pub struct Names {
    /// The dense layer before a classifier of texts, and its non-linearity.
    pub pooler: (&'static str, Pooler),
    /// The classifier of texts.
    pub sequence: &'static str,
}

/// The classifier of tokens, in every family.
const TOKENS: &str = "classifier";
/// Begin and end of an answer, in every family.
const ANSWER: &str = "qa_outputs";

/// What stands behind this encoder.
pub struct Head {
    kind: Classifier,
    names: Names,
    classifier: &'static str,
    /// Names of the labels; none for an embedding.
    pub labels: Vec<String>,
}

impl Head {
    /// What config.json says.
    ///
    /// # Errors
    /// A sentence's end: its labels are not to be used.
    pub fn read(directory: &Directory, names: Names) -> Result<Self, String> {
        let (kind, classifier) = if directory.is_for("ForSequenceClassification") {
            (Classifier::Sequence, names.sequence)
        } else if directory.is_for("ForTokenClassification") {
            (Classifier::Tokens, TOKENS)
        } else if directory.is_for("ForQuestionAnswering") {
            let labels = vec!["start".to_owned(), "end".to_owned()];
            return Ok(Head { kind: Classifier::Tokens, names, classifier: ANSWER, labels });
        } else {
            return Ok(Head { kind: Classifier::None, names, classifier: "", labels: Vec::new() });
        };
        Ok(Head { kind, names, classifier, labels: directory.labels()? })
    }

    /// The encoder's config with this behind it.
    pub fn config(&self, encoder: Config) -> Config {
        let labels = self.labels.len() as u32;
        let classified = attoformer::config! { classifier: self.kind, labels, l2_normalize: false, ..encoder };
        match self.kind {
            Classifier::Tokens => attoformer::config! { pooling: Pooling::None, ..classified },
            Classifier::Sequence => attoformer::config! { pooling: Pooling::First, pooler: self.names.pooler.1, ..classified },
            _ => encoder,
        }
    }

    /// Its tensors. Their names stand beside the encoder's, but for a pooler's, which may be the encoder's own: a full name is given then.
    ///
    /// # Errors
    /// A sentence's end that names the tensor.
    pub fn tensors(&self, config: &Config, mapper: &mut TensorMapper<'_, '_>) -> Result<(), String> {
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
