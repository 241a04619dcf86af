//! Calibration: records the activations that a text causes at the input of every matrix, for the smoothing factors. It serves the purpose of
//! an importance matrix in llama.cpp.
//!
//! The model runs in f32 and no row is clipped: the few rows of huge values at the first token of a text are attention sinks, which every
//! later token reads. The engine itself computes the activations, so every PC records the same values.

use std::collections::HashMap;

use attoformer::image::{Architecture, Role};
use attoformer::probe::{Part, Site};
use attoformer::{Error, Image, Probe, Session, arena_bytes};

use super::error::PackError;
use super::tensor_id::TensorId;
use crate::engine::Setup;
use crate::files::AlignedBytes;
use crate::quantize::Matrix;
use crate::run::embed::encode_truncated;
use crate::run::generate;

/// The built-in calibration text: samples of many kinds and languages, one per line. The kinds alternate, so every part of it is a
/// representative sample.
pub const TEXT: &str = include_str!("calibration.txt");

/// Recorded rows per matrix, the first of the text.
const ROWS: usize = 1024;

/// Recorded inputs of each matrix, `(samples, columns)` each.
#[derive(Clone, Debug)]
pub struct Calibration {
    inputs: Vec<(TensorId, Vec<f32>)>,
}

/// A probe that records the inputs of every matrix, by role and layer.
#[derive(Default)]
struct Recorder {
    inputs: HashMap<(Role, u32), Vec<f32>>,
    /// Whether a matrix has all its rows. Every matrix of a layer reads every token, so more text adds nothing.
    full: bool,
}

impl Probe for Recorder {
    fn input(&mut self, site: Site, width: usize, rows: &[f32]) {
        let Part::Input(role) = site.part else { return };
        let recorded = self.inputs.entry((role, site.layer)).or_default();
        let free = (ROWS * width).saturating_sub(recorded.len());
        recorded.extend(&rows[..rows.len().min(free)]);
        self.full |= rows.len() >= free;
    }
}

impl Calibration {
    /// Runs the unquantized model over the lines of `text` and records the inputs of its matrices.
    ///
    /// # Errors
    /// [`PackError::Memory`]; [`PackError::Calibration`] if the model has no tokenizer or cannot be run.
    pub fn record(image: &[u8], text: &str) -> Result<Self, PackError> {
        let image = Image::new(image).map_err(PackError::Rejected)?;
        let setup = Setup::default();
        let bytes = arena_bytes(image.config(), setup.plan(image.config()));
        let mut arena = AlignedBytes::try_zeroed(bytes).ok_or(PackError::Memory { bytes })?;
        let mut session = setup.session(&image, &mut arena).map_err(PackError::Rejected)?;
        let mut recorder = Recorder::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            feed(&mut session, line, &mut recorder).map_err(PackError::Calibration)?;
            if recorder.full {
                break;
            }
        }
        // Matrices outside the layers are recorded under layer 0.
        let mut recorded = |role, layer: Option<u32>| recorder.inputs.remove(&(role, layer.unwrap_or(0)));
        let inputs = image.entries().filter_map(|entry| Some(((entry.role, entry.layer), recorded(entry.role, entry.layer)?)));
        Ok(Calibration { inputs: inputs.collect() })
    }

    /// The recorded inputs of a matrix, `(samples, columns)`; `None` for a tensor that is no operand of a product, such as a lookup table.
    pub fn inputs(&self, id: TensorId, columns: usize) -> Option<Matrix<'_>> {
        let values = &self.inputs.iter().find(|(of, _)| *of == id)?.1;
        (!values.is_empty()).then_some(Matrix { columns, values })
    }
}

/// Feeds one line as the model reads a text.
fn feed(session: &mut Session, line: &str, recorder: &mut Recorder) -> Result<(), Error> {
    let image = *session.image();
    let config = image.config();
    if config.architecture == Architecture::Encoder {
        let mut tokens = vec![0; session.remaining()];
        let count = encode_truncated(&image.tokenizer()?, line, &mut tokens)?.tokens;
        return session.encode_probed(&tokens[..count], recorder).map(|_| ());
    }
    let tokens = generate::encode(&image, line)?;
    session.reset();
    if config.has_cross() {
        session.encode_probed(&tokens[..tokens.len().min(config.encoder_context as usize)], recorder)?;
    }
    session.prefill_probed(&tokens[..tokens.len().min(session.remaining())], recorder).map(|_| ())
}
