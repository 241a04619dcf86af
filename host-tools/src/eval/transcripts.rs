//! Word error rate of transcripts, and KL divergence along the reference model's transcripts.
//!
//! The data are WAV files in a folder, each with its reference text: a text file of the same name (`one.wav`, `one.txt`), or an entry of `expected.json`, an
//! object from file names to texts or to objects with a `text`. A clip is transcribed greedily and without timestamps, window by window, as `atto transcribe`
//! does. Words are compared as [`words`] normalizes them.
//!
//! With a reference model, the reference transcribes each window first. Both models are then fed the decoder prompt and the reference's tokens, and the
//! divergence is taken after the prompt and after each token, from the unchanged logits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attoformer::Session;
use attoformer::frontend::Frontend;

use super::perplexity::score_all;
use super::scoring::{Data, Scorer, check};
use super::tally::{Score, Tally};
use super::words::{word_edits, words};
use crate::engine::{OpenImage, Setup};
use crate::error::Error;
use crate::files;
use crate::report::progress::Progress;
use crate::run::audio;
use crate::run::transcribe::{TranscribeOptions, Transcript, transcribe};

/// File of a folder that holds reference texts.
const EXPECTED: &str = "expected.json";

/// A clip and its reference text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    /// WAV file.
    pub path: PathBuf,
    /// The spoken words.
    pub text: String,
}

/// The clips of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clips {
    /// Clips with a reference text, sorted by name.
    pub list: Vec<Clip>,
    /// WAV files without a reference text.
    pub skipped: usize,
}

/// Data or a reference model that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranscriptsError {
    /// The folder has no usable clip.
    #[error("no .wav file has a reference text; add NAME.txt beside each NAME.wav, or an {EXPECTED}")]
    NoClips,
    /// The reference texts have no word.
    #[error("the reference texts have no words")]
    NoWords,
    /// `expected.json` has another form.
    #[error("not an object from file names to texts: {0}")]
    Expected(serde_json::Error),
    /// Image and reference have different audio windows.
    #[error("its windows have {found} samples at {rate} Hz, those of {image} have {expected} at {expected_rate} Hz")]
    Windows {
        /// Samples of the reference.
        found: usize,
        /// Its sample rate.
        rate: u32,
        /// File of the image.
        image: String,
        /// Samples of the image.
        expected: usize,
        /// Its sample rate.
        expected_rate: u32,
    },
}

/// Text of a clip in `expected.json`.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Expected {
    Text(String),
    Object { text: String },
}

impl Clips {
    /// Reads a folder.
    ///
    /// # Errors
    /// [`TranscriptsError`] with the folder or its `expected.json`, or an error of the operating system.
    pub fn of_folder(folder: &Path) -> Result<Self, Error> {
        let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(Error::io(folder))?;
        let is_wav = |path: &PathBuf| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav"));
        let mut paths: Vec<PathBuf> = paths.into_iter().filter(is_wav).collect();
        paths.sort();
        let mut expected = expected(&folder.join(EXPECTED))?;
        let mut clips = Clips::default();
        for path in paths {
            let beside = path.with_extension("txt");
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = if beside.is_file() { Some(files::text(&beside)?) } else { expected.remove(&name) };
            match text {
                Some(text) => clips.list.push(Clip { path, text }),
                None => clips.skipped += 1,
            }
        }
        match &clips.list[..] {
            [] => Err(Error::file(folder)(TranscriptsError::NoClips)),
            list if list.iter().all(|clip| words(&clip.text).is_empty()) => Err(Error::file(folder)(TranscriptsError::NoWords)),
            _ => Ok(clips),
        }
    }
}

/// Reads `expected.json`; empty if there is none.
fn expected(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    if !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let parsed: Result<BTreeMap<String, Expected>, _> = serde_json::from_str(&files::text(path)?);
    let parsed = parsed.map_err(|error| Error::file(path)(TranscriptsError::Expected(error)))?;
    let text = |expected| match expected {
        Expected::Text(text) | Expected::Object { text } => text,
    };
    Ok(parsed.into_iter().map(|(name, expected)| (name, text(expected))).collect())
}

/// Results. All fields but the first four are `None` without a reference model.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Metrics {
    /// Words to insert, delete or replace, divided by the words of the reference texts.
    pub word_error_rate: f64,
    /// Clips with a reference text.
    pub clips: usize,
    /// Words of the reference texts.
    pub words: usize,
    /// WAV files without a reference text.
    pub skipped: usize,
    /// The reference model's word error rate.
    pub reference_word_error_rate: Option<f64>,
    /// Clips of which both models write the same words.
    pub same_words: Option<usize>,
    /// Positions at which the models are compared.
    pub positions: Option<u64>,
    /// Mean KL divergence at all positions, in nats.
    pub kl_mean: Option<f64>,
    /// Its standard error; see [`super::tally::Metrics`].
    pub kl_stderr: Option<f64>,
    /// Median of the divergences.
    pub kl_median: Option<f64>,
    /// 99th percentile of the divergences.
    pub kl_p99: Option<f64>,
    /// Fraction of positions where both predict the same most likely token.
    pub top1_agreement: Option<f64>,
}

/// Transcribes all clips with an image, and with a reference if given. No result depends on the number of threads.
///
/// # Errors
/// Those of the clips, [`TranscriptsError::Windows`], those of the engine with the image or the reference.
pub fn measure(
    open: OpenImage<'_>,
    reference: Option<OpenImage<'_>>,
    setup: &Setup,
    threads: usize,
    clips: &Clips,
    progress: &Progress,
) -> Result<Metrics, Error> {
    check(open, reference, Data::Audio)?;
    let fronts = Frontends::new(open, reference)?;
    // Models without a generation config are refused before any audio is read.
    for model in [Some(open), reference].into_iter().flatten() {
        TranscribeOptions::new(model.image, None, false, false).map_err(Error::file(model.path))?;
    }
    // The reference's tokens must fit both models.
    let contexts = [Some(open), reference].into_iter().flatten().map(|model| model.image.config().context);
    let setup = Setup { context: setup.context.or(contexts.min()), ..*setup };
    let mut sums = Sums::default();
    let transcribe = |scorer: &mut Scorer, clip: &Clip| fronts.transcribe(scorer, clip);
    score_all(open, reference, &setup, threads, &clips.list, transcribe, |clip: Transcribed| {
        sums.add(&clip);
        progress.advance(1);
    })?;
    Ok(sums.metrics(clips))
}

/// The front ends of the image and the reference.
struct Frontends<'a> {
    image: Frontend<'a>,
    reference: Option<Frontend<'a>>,
}

/// Result of a clip.
struct Transcribed {
    expected: Vec<String>,
    found: Vec<String>,
    reference: Option<Vec<String>>,
    scores: Vec<Vec<Score>>,
}

impl<'a> Frontends<'a> {
    fn new(open: OpenImage<'a>, reference: Option<OpenImage<'a>>) -> Result<Self, Error> {
        let image = audio::frontend(open.image, open.path)?;
        let Some(other) = reference else { return Ok(Frontends { image, reference: None }) };
        let reference = audio::frontend(other.image, other.path)?;
        if (reference.samples(), reference.sample_rate) != (image.samples(), image.sample_rate) {
            return Err(Error::file(other.path)(TranscriptsError::Windows {
                found: reference.samples(),
                rate: reference.sample_rate,
                image: open.path.display().to_string(),
                expected: image.samples(),
                expected_rate: image.sample_rate,
            }));
        }
        Ok(Frontends { image, reference: Some(reference) })
    }

    /// Transcribes a clip with all models and scores the image along the reference's tokens.
    fn transcribe(&self, scorer: &mut Scorer, clip: &Clip) -> Result<Transcribed, Error> {
        let samples = audio::read_wav(&clip.path, self.image.sample_rate)?;
        let (mut found, mut reference, mut scores) = (Written::default(), Written::default(), Vec::new());
        for window in samples.chunks(self.image.samples()) {
            let write = |session: &mut Session, path: &Path| found.window(session, &self.image, window).map_err(Error::engine(path));
            scorer.with_model(write)?;
            let Some(frontend) = &self.reference else { continue };
            let sequence = scorer.with_reference(|session, path| {
                let tokens = reference.window(session, frontend, window).map_err(Error::engine(path))?;
                Ok::<_, Error>(forced(session, &reference, &tokens))
            });
            let Some((sequence, prompt)) = sequence.transpose()? else { continue };
            scores.push(scorer.score(&sequence, prompt)?);
        }
        let reference = self.reference.as_ref().map(|_| words(&reference.text));
        Ok(Transcribed { expected: words(&clip.text), found: words(&found.text), reference, scores })
    }
}

/// What a model has written of a clip so far. The first window determines the language of a multilingual model.
#[derive(Default)]
struct Written {
    text: String,
    options: TranscribeOptions,
}

impl Written {
    /// Transcribes a window and returns its tokens.
    fn window(&mut self, session: &mut Session, frontend: &Frontend, samples: &[f32]) -> Result<Vec<u32>, attoformer::Error> {
        let Transcript { tokens, text, language, .. } = transcribe(session, frontend, samples, self.options, |_| {})?;
        self.text.push_str(&text);
        self.options.language = language;
        Ok(tokens)
    }
}

/// The decoder prompt, the tokens of a window and, where the context has room, EOS; and the length of the prompt.
fn forced(session: &Session, written: &Written, tokens: &[u32]) -> (Vec<u32>, usize) {
    let generation = session.image().generation_config();
    let prompt = generation.iter().flat_map(|generation| generation.prompt_for(written.options.language, false, false));
    let mut all: Vec<u32> = prompt.collect();
    let prompt = all.len();
    all.extend(tokens);
    all.push(session.config().eos);
    // The last token is scored but not fed.
    all.truncate(session.position() + session.remaining() + 1);
    (all, prompt)
}

/// Sums over all clips.
#[derive(Default)]
struct Sums {
    words: usize,
    edits: usize,
    reference_edits: Option<usize>,
    same_words: usize,
    tally: Tally,
}

impl Sums {
    fn add(&mut self, clip: &Transcribed) {
        self.words += clip.expected.len();
        self.edits += word_edits(&clip.expected, &clip.found);
        if let Some(reference) = &clip.reference {
            *self.reference_edits.get_or_insert(0) += word_edits(&clip.expected, reference);
            self.same_words += usize::from(*reference == clip.found);
        }
        clip.scores.iter().for_each(|scores| self.tally.add(scores));
    }

    fn metrics(self, clips: &Clips) -> Metrics {
        let rate = |edits: usize| edits as f64 / self.words as f64;
        let compared = self.reference_edits.map(|_| self.tally.metrics());
        Metrics {
            word_error_rate: rate(self.edits),
            clips: clips.list.len(),
            words: self.words,
            skipped: clips.skipped,
            reference_word_error_rate: self.reference_edits.map(rate),
            same_words: self.reference_edits.map(|_| self.same_words),
            positions: compared.map(|metrics| metrics.tokens),
            kl_mean: compared.and_then(|metrics| metrics.kl_mean),
            kl_stderr: compared.and_then(|metrics| metrics.kl_stderr),
            kl_median: compared.and_then(|metrics| metrics.kl_median),
            kl_p99: compared.and_then(|metrics| metrics.kl_p99),
            top1_agreement: compared.and_then(|metrics| metrics.top1_agreement),
        }
    }
}
