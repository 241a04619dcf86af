//! Classification accuracy, overall and per label.

use std::path::PathBuf;

use attoformer::Session;

use crate::engine::{OpenImage, Setup};
use crate::error::Error;
use crate::report::progress::Progress;
use crate::run::classify::{labels, logits_of_file, logits_of_text};
use crate::threads::map_in_order;

pub use super::examples::{Example, Examples, Input};

/// Results.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Metrics {
    /// Fraction of inputs that are classified correctly.
    pub accuracy: f64,
    /// Classified inputs.
    pub samples: usize,
    /// Inputs that are classified correctly.
    #[serde(rename = "right")]
    pub correct: usize,
    /// Inputs of a folder that are skipped because the model does not have their label.
    #[serde(rename = "left_out")]
    pub skipped: usize,
    /// Labels that an input has or is predicted to have, in the model's order.
    pub labels: Vec<LabelMetrics>,
    /// The reference's accuracy on the same inputs.
    pub reference_accuracy: Option<f64>,
    /// Fraction of inputs for which the reference predicts the same label.
    pub agreement: Option<f64>,
    /// Largest absolute difference of a logit from the reference's.
    pub largest_difference: Option<f64>,
}

/// Results of one label.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LabelMetrics {
    /// Name of the label.
    pub label: String,
    /// Inputs that have it.
    pub inputs: usize,
    /// Inputs that have it and are predicted to have it.
    #[serde(rename = "right")]
    pub correct: usize,
    /// Inputs that are predicted to have it.
    #[serde(rename = "taken")]
    pub predicted: usize,
}

/// An example or a reference that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccuracyError {
    /// Image and reference have different numbers of labels.
    #[error("it has {labels} labels, {} has {expected}", image.display())]
    Labels {
        /// Labels of the reference.
        labels: u32,
        /// The image.
        image: PathBuf,
        /// Labels of the image.
        expected: usize,
    },
    /// A text that the model cannot read.
    #[error("{place}: {source}")]
    Text {
        /// Line and file of the text.
        place: String,
        /// Error of the engine.
        source: attoformer::Error,
    },
}

/// Classifies all examples with an image, and with a reference if given. No result depends on the number of threads.
///
/// # Errors
/// Those of [`logits_of_file`], [`AccuracyError`], or those of the engine with the image.
pub fn measure(
    open: OpenImage<'_>,
    reference: Option<OpenImage<'_>>,
    setup: &Setup,
    threads: usize,
    Examples { list, skipped }: &Examples,
    progress: &Progress,
) -> Result<Metrics, Error> {
    let names = labels(open.image).map_err(Error::engine(open.path))?;
    if let Some(reference) = reference.filter(|reference| reference.image.config().labels as usize != names.len()) {
        let (labels, image) = (reference.image.config().labels, open.path.to_owned());
        return Err(Error::file(reference.path)(AccuracyError::Labels { labels, image, expected: names.len() }));
    }
    let mut answers = Vec::new();
    let worker = |examples: &mut dyn Iterator<Item = &Example>, give: &mut dyn FnMut(Result<Classified, Error>) -> bool| {
        let worked = setup.with_session(open, |session| match reference {
            None => work(examples, |example| logits(session, open, example).map(|logits| Classified::new(&logits, None)), give),
            Some(other) => setup.with_session(other, |second| {
                let both = |example: &Example| {
                    let found = logits(session, open, example)?;
                    Ok(Classified::new(&found, Some(&logits(second, other, example)?)))
                };
                work(examples, both, give)
            }),
        });
        if let Err(error) = worked {
            give(Err(error));
        }
    };
    map_in_order(threads, list.iter(), worker, |answer: Result<Classified, Error>| {
        answers.push(answer?);
        progress.advance(1);
        Ok::<(), Error>(())
    })?;
    Ok(count(names, list, *skipped, &answers))
}

/// Result of an input.
struct Classified {
    label: usize,
    /// The reference's label, and the largest absolute difference of a logit.
    reference: Option<(usize, f64)>,
}

impl Classified {
    fn new(logits: &[f32], reference: Option<&[f32]>) -> Self {
        let difference =
            |other: &[f32]| logits.iter().zip(other).fold(0.0, |most: f64, (&a, &b)| most.max((f64::from(a) - f64::from(b)).abs()));
        Classified { label: likeliest(logits), reference: reference.map(|other| (likeliest(other), difference(other))) }
    }
}

/// Index of the largest logit, the first of equal ones (argmax).
fn likeliest(logits: &[f32]) -> usize {
    (0..logits.len()).reduce(|best, label| if logits[label] > logits[best] { label } else { best }).unwrap_or(0)
}

fn logits(session: &mut Session, open: OpenImage<'_>, example: &Example) -> Result<Vec<f32>, Error> {
    match &example.input {
        Input::File(path) => logits_of_file(session, open, path).map(|(logits, _)| logits.to_vec()),
        Input::Text(text, place) => logits_of_text(session, text).map(|(logits, _)| logits.to_vec()).map_err(|error| match error {
            attoformer::Error::Architecture { .. } | attoformer::Error::NoTokenizer => Error::engine(open.path)(error),
            source => Error::request(AccuracyError::Text { place: place.clone(), source }),
        }),
    }
}

fn work(
    examples: &mut dyn Iterator<Item = &Example>,
    mut answer: impl FnMut(&Example) -> Result<Classified, Error>,
    give: &mut dyn FnMut(Result<Classified, Error>) -> bool,
) -> Result<(), Error> {
    for example in examples {
        if !give(answer(example)) {
            break;
        }
    }
    Ok(())
}

/// Counts all results.
fn count(names: Vec<String>, examples: &[Example], skipped: usize, answers: &[Classified]) -> Metrics {
    let fraction = |count: usize| count as f64 / examples.len() as f64;
    let matching = |which: &dyn Fn(&Example, &Classified) -> bool| {
        examples.iter().zip(answers).filter(|(example, answer)| which(example, answer)).count()
    };
    let correct = matching(&|example, answer| answer.label == example.label);
    let labels = names.into_iter().enumerate().map(|(index, label)| LabelMetrics {
        label,
        inputs: matching(&|example, _| example.label == index),
        correct: matching(&|example, answer| example.label == index && answer.label == index),
        predicted: matching(&|_, answer| answer.label == index),
    });
    let reference = |which: &dyn Fn(&Example, &Classified, usize) -> bool| {
        let compared = answers.iter().all(|answer| answer.reference.is_some());
        compared.then(|| fraction(matching(&|example, answer| answer.reference.is_some_and(|(label, _)| which(example, answer, label)))))
    };
    Metrics {
        accuracy: fraction(correct),
        samples: examples.len(),
        correct,
        skipped,
        labels: labels.filter(|label| label.inputs + label.predicted > 0).collect(),
        reference_accuracy: reference(&|example, _, label| label == example.label),
        agreement: reference(&|_, answer, label| label == answer.label),
        largest_difference: answers.iter().filter_map(|answer| answer.reference).map(|(_, difference)| difference).reduce(f64::max),
    }
}
