//! A training run from its configuration to its files.

use std::path::Path;
use std::time::Instant;

use attoformer_stories::Rng;

use crate::checkpoint::Checkpoint;
use crate::config::{Corpus, TrainConfig};
use crate::data::{Texts, pack};
use crate::error::{TrainError, write_whole};
use crate::judge::{Likelihood, grammar_shares};
use crate::model::{Model, Rows};
use crate::optimizer::AdamW;
use crate::progress::Progress;
use crate::report::Report;
use crate::shape::{Kind, Shape};
use crate::team::Team;
use crate::vocabulary::Vocabulary;

/// Trains a model and its tokenizer, and writes `model.bin`, `tokenizer.bin` and `train.toml`.
///
/// Creates the folder `out`. With `resume`, an interrupted run continues from its last checkpoint and produces the same model as an
/// uninterrupted one.
///
/// With `CANDLE_NUM_THREADS=1` and `RAYON_NUM_THREADS=1` in the environment a run takes about a quarter less CPU time: the tensor library then
/// starts no threads in addition to the configured ones.
///
/// # Errors
/// [`TrainError`].
pub fn train(config: &TrainConfig, out: &Path, resume: bool) -> Result<Report, TrainError> {
    let config = TrainConfig::parse(&toml_text(config)?)?; // validates a configuration from any source
    std::fs::create_dir_all(out).map_err(TrainError::io(out))?;
    let texts = Texts::open(&config.corpus, config.seed)?;
    let team = Team::new(config.training.threads)?;
    let sample = texts.sample(config.training.tokenizer_texts);
    let vocabulary = Vocabulary::train(sample.into_iter(), config.model.vocab)?;
    write_whole(&out.join("tokenizer.bin"), &vocabulary.to_bytes())?;

    let run = Run { config: &config, out, texts: &texts, vocabulary: &vocabulary, team: &team };
    let state = match Checkpoint::load(out, &config)? {
        Some(state) if resume => state,
        _ => Checkpoint::start(&config),
    };
    let (model, state) = run.steps(state)?;
    let report = run.judge(&model, &state)?;
    let record = TrainConfig { figures: Some(report.clone()), ..config.clone() };
    write_whole(&out.join("train.toml"), toml_text(&record)?.as_bytes())?;
    Checkpoint::remove(out)?;
    Ok(report)
}

/// The held-out texts of a run with this configuration.
///
/// # Errors
/// [`TrainError::Io`] or [`TrainError::Format`] if the corpus is a file that cannot be used.
pub fn held_out_texts(config: &TrainConfig) -> Result<Vec<String>, TrainError> {
    Ok(Texts::open(&config.corpus, config.seed)?.held_out(config.judging.held_out))
}

fn toml_text(config: &TrainConfig) -> Result<String, TrainError> {
    toml::to_string(config).map_err(|e| TrainError::Config(e.to_string()))
}

impl Checkpoint {
    /// The state before the first step.
    fn start(config: &TrainConfig) -> Self {
        let weights = first_weights(&config.model, config.seed);
        Self { optimizer: AdamW::new(weights.len()), weights, losses: Vec::new(), seconds: 0.0 }
    }
}

/// Initial weights: matrices preserve the magnitude of their input, those that write to the residual stream are scaled down by the number of layers,
/// norms start at 1.
fn first_weights(shape: &Shape, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let mut weights = Vec::with_capacity(shape.parameters());
    for place in shape.places() {
        let fan_in = place.columns as f32;
        let spread = match place.kind {
            kind if kind.is_norm() => 0.0,
            Kind::Embedding => 0.05,
            Kind::Output | Kind::Down => (fan_in * 2.0 * shape.layers as f32).sqrt().recip(),
            _ => fan_in.sqrt().recip(),
        };
        let centre = if place.kind.is_norm() { 1.0 } else { 0.0 };
        weights.extend(place.at.map(|_| centre + spread * normal(&mut rng)));
    }
    weights
}

/// Approximately normal: the sum of twelve uniform numbers has variance 1.
fn normal(rng: &mut Rng) -> f32 {
    (0..12).map(|_| rng.unit()).sum::<f32>() - 6.0
}

struct Run<'a> {
    config: &'a TrainConfig,
    out: &'a Path,
    texts: &'a Texts,
    vocabulary: &'a Vocabulary,
    team: &'a Team,
}

impl Run<'_> {
    /// Runs the remaining steps.
    fn steps(&self, mut state: Checkpoint) -> Result<(Model, Checkpoint), TrainError> {
        let t = &self.config.training;
        let before = state.seconds;
        let began = Instant::now();
        let mut progress = Progress::new(t.steps, state.losses.len(), t.rows * t.row_tokens);
        while state.losses.len() < t.steps {
            self.step(&mut state)?;
            state.seconds = before + began.elapsed().as_secs_f64();
            progress.step(state.losses.len(), state.losses[state.losses.len() - 1]);
            if state.losses.len().is_multiple_of(t.checkpoint_every) {
                state.save(self.out, self.config)?;
                self.model(&state)?.save(&self.out.join("model.bin"))?;
            }
        }
        let model = self.model(&state)?;
        model.save(&self.out.join("model.bin"))?;
        progress.say("training done, evaluating");
        Ok((model, state))
    }

    /// Runs one step.
    fn step(&self, state: &mut Checkpoint) -> Result<(), TrainError> {
        let (loss, grad) = self.gradient(&state.weights, state.losses.len())?;
        state.optimizer.step(&mut state.weights, &grad, &self.config.model, &self.config.training);
        state.losses.push(loss);
        Ok(())
    }

    fn model(&self, state: &Checkpoint) -> Result<Model, TrainError> {
        Model::new(self.config.model, &state.weights)
    }

    /// Mean loss and gradient of a step; the threads share its rows.
    fn gradient(&self, weights: &[f32], step: usize) -> Result<(f64, Vec<f32>), TrainError> {
        let t = &self.config.training;
        let shares = self.team.run(|thread| {
            let number = (step * t.threads + thread) as u64;
            let mut rng = Rng::new(Rng::new(self.config.seed).next_u64().wrapping_add(number << 32));
            let model = Model::new(self.config.model, weights)?;
            let mut sum = (0.0, vec![0.0; weights.len()]);
            // One row at a time stays in the cache and is too small for the tensor library to split among threads of its own, which would mostly wait
            // for each other.
            for _ in 0..t.rows / t.threads {
                let row = pack(self.texts, self.vocabulary, &mut rng, 1, t.row_tokens);
                let rows = Rows { tokens: &row.inputs, row_tokens: t.row_tokens };
                let (loss, grad) = model.gradient(&rows, &row.targets)?;
                sum.0 += loss;
                sum.1.iter_mut().zip(&grad).for_each(|(sum, g)| *sum += g);
            }
            Ok(sum)
        })?;
        let tokens = (t.rows * t.row_tokens) as f64;
        let loss = shares.iter().map(|(loss, _)| loss).sum::<f64>() / tokens;
        let mut grad = vec![0.0; weights.len()];
        for (_, share) in &shares {
            grad.iter_mut().zip(share).for_each(|(sum, g)| *sum += g / tokens as f32);
        }
        Ok((loss, grad))
    }

    fn judge(&self, model: &Model, state: &Checkpoint) -> Result<Report, TrainError> {
        let t = &self.config.training;
        let held_out = self.texts.held_out(self.config.judging.held_out);
        let lengths: Vec<usize> = held_out.iter().map(|text| 1 + self.vocabulary.encode(text).len()).collect();
        let shares = match self.config.corpus {
            Corpus::Tales => Some(grammar_shares(&self.samples(state)?)),
            Corpus::File(_) => None,
        };
        let last = &state.losses[state.losses.len() - state.losses.len().div_ceil(10)..];
        Ok(Report {
            parameters: state.weights.len(),
            model_bytes: model.to_bytes()?.len(),
            steps: state.losses.len(),
            tokens: state.losses.len() * t.rows * t.row_tokens,
            seconds: state.seconds.round(),
            train_loss: last.iter().sum::<f64>() / last.len().max(1) as f64,
            held_out_perplexity: self.score(state, &held_out)?.perplexity(),
            text_tokens: lengths.iter().sum::<usize>() as f64 / lengths.len().max(1) as f64,
            longest_text_tokens: lengths.iter().copied().max().unwrap_or(0),
            sentences_parsed: shares.map(|(sentences, _)| sentences),
            stories_parsed: shares.map(|(_, stories)| stories),
        })
    }

    fn score(&self, state: &Checkpoint, texts: &[String]) -> Result<Likelihood, TrainError> {
        let parts = self.team.run(|thread| {
            let model = self.model(state)?;
            let own = texts.iter().skip(thread).step_by(self.team.len());
            own.map(|text| model.score(self.vocabulary, text)).sum::<Result<Likelihood, _>>()
        })?;
        Ok(parts.into_iter().sum())
    }

    fn samples(&self, state: &Checkpoint) -> Result<Vec<String>, TrainError> {
        let judging = &self.config.judging;
        let seeds: Vec<u64> = (0..judging.samples as u64).collect();
        let chunk = seeds.len().div_ceil(self.team.len()).max(1);
        let texts = self.team.run(|thread| {
            let own = seeds.chunks(chunk).nth(thread).unwrap_or(&[]);
            let longest = self.config.model.context;
            self.model(state)?.sample(self.vocabulary, judging.temperature, own, longest)
        })?;
        Ok(texts.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_run_equals_an_unbroken_one() {
        let config = TrainConfig::preset("smoke").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let texts = Texts::open(&config.corpus, config.seed).unwrap();
        let sample = texts.sample(config.training.tokenizer_texts);
        let vocabulary = Vocabulary::train(sample.into_iter(), config.model.vocab).unwrap();
        let team = Team::new(config.training.threads).unwrap();
        let run = Run { config: &config, out: dir.path(), texts: &texts, vocabulary: &vocabulary, team: &team };

        let mut unbroken = Checkpoint::start(&config);
        (0..6).for_each(|_| run.step(&mut unbroken).unwrap());
        let mut broken = Checkpoint::start(&config);
        (0..3).for_each(|_| run.step(&mut broken).unwrap());
        broken.save(dir.path(), &config).unwrap();
        let mut resumed = Checkpoint::load(dir.path(), &config).unwrap().unwrap();
        (0..3).for_each(|_| run.step(&mut resumed).unwrap());
        assert_ne!(broken.weights, unbroken.weights);
        assert_eq!(resumed.weights, unbroken.weights);
        assert_eq!(resumed.losses, unbroken.losses);
        assert_eq!(resumed.optimizer, unbroken.optimizer);

        let other = TrainConfig { seed: 8, ..config };
        let error = Checkpoint::load(dir.path(), &other).err().unwrap();
        assert!(error.to_string().contains("configured otherwise"), "{error}");
    }
}
