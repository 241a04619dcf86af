//! Calibration: what the matrices of a model are multiplied with on a text, so that they are rounded for it.
//!
//! The model runs in f32 over a text, and the inputs of every matrix are kept, as large as they are: the few rows of huge values, at a text's
//! first token, are those that every later token attends to. Runs are the engine's own, so that every PC keeps the same. `smoothing` makes
//! factors of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;

use attoformer::Image;
use attoformer::image::directory::Role;
use attoformer::image::header::Architecture;
use attoformer::kernels::{self, Kernels};

use crate::engine::Setup;
use crate::error::Error;
use crate::import::Checkpoint;
use crate::pack::{self, Options};
use crate::quantize::Matrix;
use crate::report::progress::Progress;
use crate::run::embed::embed;
use crate::run::generate;

/// Sentences of many kinds, a line each: what is used when no other text is given.
pub const TEXT: &str = include_str!("calibration.txt");

/// Inputs kept of a matrix, the first of the text.
const ROWS: usize = 1024;

/// Inputs that each matrix saw, `(samples, columns)` each.
#[derive(Clone, Debug)]
pub struct Calibration {
    inputs: Vec<(Role, Option<u32>, Vec<f32>)>,
}

/// The best kernels of this CPU, whose product notes what it is given.
static NOTING: LazyLock<Kernels> = LazyLock::new(|| Kernels { name: "noting", matmul_f32: noting_matmul, ..*kernels::best() });

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
    (kernels::best().matmul_f32)(matrix, x, out);
}

/// Runs a model over the lines of `text`.
///
/// # Errors
/// One sentence that names the model's file: it has no tokenizer, or cannot be packed or run.
pub fn measure(checkpoint: &Checkpoint, text: &str) -> Result<Calibration, Error> {
    let refuse = |error| Error::engine(&checkpoint.path)(error);
    let packed = pack::pack(checkpoint, &Options::reference(), &Progress::silent())?;
    let image = Image::new(&packed.image).map_err(refuse)?;
    let setup = Setup { kernels: &NOTING, ..Setup::default() };
    let mut arena = setup.arena(image.config(), &checkpoint.path)?;
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    SEEN.take();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match image.config().architecture {
            Architecture::Encoder => embed(&mut session, line, false).map(|_| ()),
            Architecture::Decoder | Architecture::EncoderDecoder => generate::encode(&image, line).and_then(|tokens| {
                session.reset();
                if image.config().has_cross() {
                    session.encode(&tokens[..tokens.len().min(image.config().encoder_context as usize)])?;
                }
                session.prefill(&tokens[..tokens.len().min(session.room())]).map(|_| ())
            }),
        }
        .map_err(refuse)?;
    }
    let start = packed.image.as_ptr() as usize;
    let of = |values: u32| SEEN.with_borrow_mut(|seen| seen.remove(&(start + values as usize)));
    Ok(Calibration { inputs: image.entries().filter_map(|entry| Some((entry.role, entry.layer, of(entry.values)?))).collect() })
}

impl Calibration {
    /// The inputs of this matrix, `(samples, columns)`; `None` for one that saw nothing, as a table of which only rows are looked up.
    pub fn inputs(&self, role: Role, layer: Option<u32>, columns: usize) -> Option<Matrix<'_>> {
        let (_, _, values) = self.inputs.iter().find(|(of, at, _)| (*of, *at) == (role, layer))?;
        (!values.is_empty()).then_some(Matrix { columns, values })
    }
}
