//! Loss of a finished image, measured on samples that nothing was tuned on, against the f32 model's results from the calibration.

use std::fmt;

use attoformer::image::{Architecture, Classifier, Config, Role};
use attoformer::{Error, Image, Session};
use rayon::prelude::*;

use super::super::error::PackError;
use super::super::fuse::{FusedTensor, fuse, source};
use super::samples::{Input, Sample, Samples};
use super::statistics::Streams;
use super::{normed, stream::Rows};
use crate::engine::{Setup, shared_pool};
use crate::eval::softmax;
use crate::eval::sts::cosine;
use crate::files::AlignedBytes;
use crate::import::Checkpoint;

/// Positions of a decoder that are measured at most.
const POSITIONS_MAX: usize = 192;
/// Inputs of an encoder that are measured at most.
const INPUTS_MAX: usize = 64;
/// Products that are added independently: the order of a sum is the same on every PC.
const LANES: usize = 16;

/// Loss of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredLoss {
    /// What is measured.
    pub measure: Measure,
    /// Mean of [`MeasuredLoss::measure`].
    pub mean: f64,
    /// Number of positions, inputs or rows of labels.
    pub count: usize,
}

/// A measure of loss; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// KL divergence of the next token's distribution from that of the f32 model, in nats.
    Tokens,
    /// KL divergence of the labels' distribution.
    Labels,
    /// One minus the cosine similarity of an embedding to that of the f32 model.
    Cosine,
}

impl fmt::Display for MeasuredLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MeasuredLoss { mean, count, .. } = *self;
        match self.measure {
            Measure::Tokens => write!(f, "mean KL divergence {mean:.4} nats a token over {count} tokens"),
            Measure::Labels => write!(f, "mean KL divergence {mean:.5} nats of the labels over {count} inputs"),
            Measure::Cosine => write!(f, "mean cosine similarity {:.5} over {count} embeddings", 1.0 - mean),
        }
    }
}

/// Measures the loss of an image on the held-out samples, of which `streams` has the f32 model's results; `None` without held-out samples that fit
/// the image's context.
///
/// # Errors
/// [`PackError::Rejected`] if the engine refuses the image, [`PackError::Memory`].
pub fn measure(image: &[u8], checkpoint: &Checkpoint, samples: &Samples, streams: &Streams) -> Result<Option<MeasuredLoss>, PackError> {
    rayon::scope(|_| {
        let image = Image::new(image).map_err(PackError::Rejected)?;
        let first = samples.tuned();
        match image.config().architecture {
            Architecture::Encoder => of_encoder(&image, &samples.samples[first..], &streams.outputs[first..]),
            _ => of_decoder(&image, checkpoint, &samples.samples[first..], &streams.exact[first..]),
        }
    })
}

/// Runs `work` with a session.
fn with_session<T>(image: &Image<'_>, work: impl FnOnce(&mut Session<'_>) -> Result<T, Error>) -> Result<T, PackError> {
    let setup = Setup { parallel: shared_pool(), ..Setup::default() };
    let bytes = attoformer::arena_bytes(image.config(), setup.plan(image.config()));
    let mut arena = AlignedBytes::try_zeroed(bytes).ok_or(PackError::Memory { bytes })?;
    work(&mut setup.session(image, &mut arena).map_err(PackError::Rejected)?).map_err(PackError::Rejected)
}

/// Encodes the input of a sample; `None` for an input that exceeds the image's context.
fn encode<'s>(session: &'s mut Session<'_>, input: &Input) -> Result<Option<&'s [f32]>, Error> {
    let config = session.config();
    let limit = if config.has_cross() { config.encoder_context } else { config.context } as usize;
    match input {
        Input::Tokens(tokens) if tokens.len() <= limit => session.encode(tokens).map(Some),
        Input::Features(features) => match session.encode_features(features) {
            Err(Error::ContextFull { .. }) => Ok(None),
            encoded => encoded.map(Some),
        },
        _ => Ok(None),
    }
}

fn of_encoder(image: &Image<'_>, samples: &[Sample], outputs: &[Vec<f32>]) -> Result<Option<MeasuredLoss>, PackError> {
    let config = image.config();
    let (width, measure) = match config.classifier {
        Classifier::None => (config.d_model as usize, Measure::Cosine),
        _ => (config.labels as usize, Measure::Labels),
    };
    let losses = with_session(image, |session| {
        let mut losses = Vec::new();
        for (sample, exact) in samples.iter().zip(outputs).take(INPUTS_MAX) {
            let Some(found) = encode(session, &sample.input)? else { continue };
            let rows = exact.chunks_exact(width).zip(found.chunks_exact(width));
            losses.extend(rows.map(|(exact, found)| match measure {
                Measure::Cosine => 1.0 - cosine(found, exact),
                _ => divergence(found, exact),
            }));
        }
        Ok(losses)
    })?;
    Ok(mean(measure, &losses))
}

fn of_decoder(image: &Image<'_>, checkpoint: &Checkpoint, samples: &[Sample], rows: &[Rows]) -> Result<Option<MeasuredLoss>, PackError> {
    let config = image.config();
    let (mut found, mut exact) = (Vec::new(), Vec::new());
    with_session(image, |session| {
        for (sample, rows) in samples.iter().zip(rows) {
            if config.has_cross() && encode(session, &sample.input)?.is_none() {
                continue;
            }
            session.reset();
            // A prefix of a sequence has the same rows as the whole.
            let count = sample.target.len().min(config.context as usize).min(POSITIONS_MAX - found.len());
            if count > 0 {
                session.prefill_each(&sample.target[..count], |_, logits| found.push(logits.to_vec()))?;
                exact.extend_from_slice(&rows[..count * config.d_model as usize]);
            }
        }
        Ok(())
    })?;
    let exact = logits(checkpoint, &exact)?;
    let losses: Vec<f64> = found.par_iter().zip(exact).map(|(found, exact)| divergence(found, &exact)).collect();
    Ok(mean(Measure::Tokens, &losses))
}

fn mean(measure: Measure, losses: &[f64]) -> Option<MeasuredLoss> {
    let count = losses.len();
    (count > 0).then(|| MeasuredLoss { measure, mean: losses.iter().sum::<f64>() / count as f64, count })
}

/// The f32 model's logits of rows of the residual stream after the last layer, by row.
fn logits(checkpoint: &Checkpoint, rows: &[f32]) -> Result<Vec<Vec<f32>>, PackError> {
    let config: &Config = &checkpoint.config;
    let norm = config.final_norm.then(|| fuse(checkpoint, config, (Role::FinalNorm, None))).transpose()?;
    let columns = config.d_model as usize;
    let inputs: Vec<Vec<f32>> = rows.chunks_exact(columns).map(|row| normed(config, norm.as_ref(), row)).collect();
    let head = source(checkpoint, config, (if config.tied_head { Role::Embedding } else { Role::Head }, None))?;
    let mut logits = vec![Vec::with_capacity(config.vocab as usize); inputs.len()];
    for FusedTensor { values, bias, .. } in head.blocks() {
        logits.par_iter_mut().zip(&inputs).for_each(|(logits, input)| {
            let first = logits.len();
            logits.extend(values.chunks_exact(columns).map(|row| dot(row, input)));
            logits[first..].iter_mut().zip(bias.iter().flatten()).for_each(|(logit, bias)| *logit += bias);
        });
    }
    Ok(logits)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.into_iter().chain(a_rest.iter().zip(b_rest).map(|(a, b)| a * b)).sum()
}

/// KL divergence of the distribution of logits from that of reference logits, in nats. A single logit is that of a yes-no choice.
pub(super) fn divergence(logits: &[f32], reference: &[f32]) -> f64 {
    f64::from(match (logits, reference) {
        (&[logit], &[reference]) => softmax::divergence(&[logit, 0.0], &[reference, 0.0]).0,
        _ => softmax::divergence(logits, reference).0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_one_line() {
        let loss = |measure, mean| MeasuredLoss { measure, mean, count: 12 }.to_string();
        assert_eq!(loss(Measure::Tokens, 0.00214), "mean KL divergence 0.0021 nats a token over 12 tokens");
        assert_eq!(loss(Measure::Cosine, 0.0009), "mean cosine similarity 0.99910 over 12 embeddings");
        assert_eq!(loss(Measure::Labels, 0.00031), "mean KL divergence 0.00031 nats of the labels over 12 inputs");
    }
}
