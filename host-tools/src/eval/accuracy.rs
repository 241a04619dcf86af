//! Accuracy of classifiers: how often the likeliest label is the one that an input was given, label by label.

use attoformer::Session;

use crate::engine::{OpenImage, Setup};
use crate::error::Error;
use crate::report::progress::Progress;
use crate::run::classify::{labels, logits_of_file, logits_of_text};
use crate::threads::map_in_order;

pub use super::examples::{Example, Examples, Input};

/// What was measured.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Metrics {
    /// Share of inputs whose likeliest label is their own.
    pub accuracy: f64,
    /// Inputs.
    pub inputs: usize,
    /// Inputs whose likeliest label is their own.
    pub right: usize,
    /// Inputs of a folder that were left out, because the model does not have their label.
    pub left_out: usize,
    /// Labels that an input has or was taken for, in the model's order.
    pub labels: Vec<LabelMetrics>,
    /// The reference's accuracy on the same inputs.
    pub reference_accuracy: Option<f64>,
    /// Share of inputs for which the reference's likeliest label is the image's.
    pub agreement: Option<f64>,
    /// The largest difference of a logit from the reference's.
    pub largest_difference: Option<f64>,
}

/// How one label fared.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LabelMetrics {
    /// Its name.
    pub label: String,
    /// Inputs that have it.
    pub inputs: usize,
    /// Inputs that have it and were taken for it.
    pub right: usize,
    /// Inputs that were taken for it.
    pub taken: usize,
}

/// Classifies all examples with an image, and with another where one is given, on some threads; no figure depends on how many.
///
/// # Errors
/// One sentence that names the image, or the input that is to blame.
pub fn measure(
    subject: OpenImage<'_>,
    reference: Option<OpenImage<'_>>,
    setup: &Setup,
    threads: usize,
    Examples { list, left_out }: &Examples,
    progress: &Progress,
) -> Result<Metrics, Error> {
    let names = labels(subject.image).map_err(Error::engine(subject.path))?;
    if let Some(reference) = reference.filter(|reference| reference.image.config().labels as usize != names.len()) {
        let what = format!("it has {} labels, {} has {}", reference.image.config().labels, subject.path.display(), names.len());
        return Err(Error::file(reference.path)(what));
    }
    let mut answers = Vec::new();
    let worker = |examples: &mut dyn Iterator<Item = &Example>, give: &mut dyn FnMut(Result<Classified, Error>) -> bool| {
        let worked = setup.with_session(subject, |session| match reference {
            None => work(examples, |example| logits(session, subject, example).map(|logits| Classified::new(&logits, None)), give),
            Some(other) => setup.with_session(other, |second| {
                let both = |example: &Example| {
                    let found = logits(session, subject, example)?;
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
    Ok(summed(names, list, *left_out, &answers))
}

/// What an input came to.
struct Classified {
    label: usize,
    /// The reference's label, and the largest difference of a logit.
    reference: Option<(usize, f64)>,
}

impl Classified {
    fn new(logits: &[f32], reference: Option<&[f32]>) -> Self {
        let apart = |other: &[f32]| logits.iter().zip(other).fold(0.0, |most: f64, (&a, &b)| most.max((f64::from(a) - f64::from(b)).abs()));
        Classified { label: likeliest(logits), reference: reference.map(|other| (likeliest(other), apart(other))) }
    }
}

/// The label of the largest logit, the first of equal ones.
fn likeliest(logits: &[f32]) -> usize {
    (0..logits.len()).reduce(|best, label| if logits[label] > logits[best] { label } else { best }).unwrap_or(0)
}

fn logits(session: &mut Session, subject: OpenImage<'_>, example: &Example) -> Result<Vec<f32>, Error> {
    match &example.input {
        Input::File(path) => logits_of_file(session, subject, path).map(|(logits, _)| logits.to_vec()),
        Input::Text(text, place) => logits_of_text(session, text).map(|(logits, _)| logits.to_vec()).map_err(|error| match error {
            attoformer::Error::Architecture { .. } | attoformer::Error::NoTokenizer => Error::engine(subject.path)(error),
            error => Error::request(format!("{place}: {error}")),
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

/// All answers counted.
fn summed(names: Vec<String>, examples: &[Example], left_out: usize, answers: &[Classified]) -> Metrics {
    let share = |count: usize| count as f64 / examples.len() as f64;
    let count = |which: &dyn Fn(&Example, &Classified) -> bool| {
        examples.iter().zip(answers).filter(|(example, answer)| which(example, answer)).count()
    };
    let right = count(&|example, answer| answer.label == example.label);
    let labels = names.into_iter().enumerate().map(|(index, label)| LabelMetrics {
        label,
        inputs: count(&|example, _| example.label == index),
        right: count(&|example, answer| example.label == index && answer.label == index),
        taken: count(&|_, answer| answer.label == index),
    });
    let reference = |which: &dyn Fn(&Example, &Classified, usize) -> bool| {
        let compared = answers.iter().all(|answer| answer.reference.is_some());
        compared.then(|| share(count(&|example, answer| answer.reference.is_some_and(|(label, _)| which(example, answer, label)))))
    };
    Metrics {
        accuracy: share(right),
        inputs: examples.len(),
        right,
        left_out,
        labels: labels.filter(|label| label.inputs + label.taken > 0).collect(),
        reference_accuracy: reference(&|example, _, label| label == example.label),
        agreement: reference(&|_, answer, label| label == answer.label),
        largest_difference: answers.iter().filter_map(|answer| answer.reference).map(|(_, apart)| apart).reduce(f64::max),
    }
}
