//! Calibration: records the activations that a text causes at the input of every matrix, for the smoothing factors. It serves the purpose of
//! an importance matrix in llama.cpp.
//!
//! The model runs in f32 and no row is clipped: the few rows of huge values at the first token of a text are attention sinks, which every
//! later token reads. The engine itself computes the activations, so every PC records the same values.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;

use attoformer::image::Architecture;
use attoformer::kernels::{self, Kernels};
use attoformer::{Error, Image, Session, arena_bytes};

use super::error::PackError;
use super::tensor_id::TensorId;
use crate::engine::Setup;
use crate::files::AlignedBytes;
use crate::quantize::Matrix;
use crate::run::embed::embed;
use crate::run::generate;

/// The built-in calibration text: sentences of many kinds, one per line.
pub const TEXT: &str = include_str!("calibration.txt");

/// Recorded rows per matrix, the first of the text.
const ROWS: usize = 1024;

/// Recorded inputs of each matrix, `(samples, columns)` each.
#[derive(Clone, Debug)]
pub struct Calibration {
    inputs: Vec<(TensorId, Vec<f32>)>,
}

/// The fastest kernels of this CPU; their f32 product records its inputs.
static NOTING: LazyLock<Kernels> =
    LazyLock::new(|| Kernels::new(kernels::Functions { name: "noting", matmul_f32: noting_matmul, ..*kernels::best().functions() }));

thread_local! {
    /// Inputs by the address of a matrix's values.
    static SEEN: RefCell<HashMap<usize, Vec<f32>>> = RefCell::default();
}

fn noting_matmul(matrix: &kernels::Matrix<'_>, x: &[f32], out: &mut [f32]) {
    SEEN.with_borrow_mut(|seen| {
        let kept = seen.entry(matrix.values.as_ptr() as usize).or_default();
        for row in x.chunks_exact(matrix.columns) {
            if kept.len() < ROWS * matrix.columns {
                kept.extend(row);
            }
        }
    });
    (kernels::best().functions().matmul_f32)(matrix, x, out);
}

impl Calibration {
    /// Runs the unquantized model over the lines of `text` and records the inputs of its matrices.
    ///
    /// # Errors
    /// [`PackError::Memory`]; [`PackError::Calibration`] if the model has no tokenizer or cannot be run.
    pub fn record(image: &[u8], text: &str) -> Result<Self, PackError> {
        let image_bytes = image;
        let image = Image::new(image).map_err(PackError::Rejected)?;
        let setup = Setup { kernels: &NOTING, ..Setup::default() };
        let bytes = arena_bytes(image.config(), setup.plan(image.config()));
        let mut arena = AlignedBytes::try_zeroed(bytes).ok_or(PackError::Memory { bytes })?;
        let mut session = setup.session(&image, &mut arena).map_err(PackError::Rejected)?;
        SEEN.take();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            feed(&mut session, line).map_err(PackError::Calibration)?;
        }
        let start = image_bytes.as_ptr() as usize;
        let of = |values: u32| SEEN.with_borrow_mut(|seen| seen.remove(&(start + values as usize)));
        Ok(Calibration { inputs: image.entries().filter_map(|entry| Some(((entry.role, entry.layer), of(entry.values)?))).collect() })
    }

    /// The recorded inputs of a matrix, `(samples, columns)`; `None` for a tensor that is no operand of a product, such as a lookup table.
    pub fn inputs(&self, id: TensorId, columns: usize) -> Option<Matrix<'_>> {
        let values = &self.inputs.iter().find(|(of, _)| *of == id)?.1;
        (!values.is_empty()).then_some(Matrix { columns, values })
    }
}

/// Feeds one line as the model reads a text.
fn feed(session: &mut Session, line: &str) -> Result<(), Error> {
    let image = *session.image();
    let config = image.config();
    if config.architecture == Architecture::Encoder {
        return embed(session, line, false).map(|_| ());
    }
    let tokens = generate::encode(&image, line)?;
    session.reset();
    if config.has_cross() {
        session.encode(&tokens[..tokens.len().min(config.encoder_context as usize)])?;
    }
    session.prefill(&tokens[..tokens.len().min(session.remaining())]).map(|_| ())
}
