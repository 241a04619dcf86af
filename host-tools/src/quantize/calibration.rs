//! Calibration: a scale per input column that shares the difficulty of rounding between activations and weights (SmoothQuant, Xiao et al.
//! 2022, section 4, with a strength of one half).
//!
//! The model runs in f32 over a text; the largest magnitude of every matrix's every input column is noted. Where a column's activations
//! are large and its weights are not, it is divided by `s = sqrt(max |x| / max |w|)` in the activations and multiplied by it in the
//! weights, which changes no product. Runs are the engine's own, so that every PC finds the same scales.

use std::cell::RefCell;
use std::sync::LazyLock;

use attoformer::Image;
use attoformer::image::directory::Role;
use attoformer::image::header::Architecture;
use attoformer::kernels::{self, Kernels};

use super::Matrix;
use crate::embed::embed;
use crate::engine::Setup;
use crate::error::Error;
use crate::import::Checkpoint;
use crate::pack::{self, Options};
use crate::report::progress::Progress;
use crate::run;

/// Sentences of many kinds, a line each: what is used when no other text is given.
pub const TEXT: &str = include_str!("calibration.txt");

/// The largest magnitude that each input column of each matrix saw.
#[derive(Clone, Debug)]
pub struct Calibration {
    inputs: Vec<(Role, Option<u32>, Vec<f32>)>,
}

/// The best kernels of this CPU, whose product notes what it is given.
static NOTING: LazyLock<Kernels> = LazyLock::new(|| Kernels { name: "noting", matmul_f32: noting_matmul, ..*kernels::best() });

thread_local! {
    /// By the address of a matrix's values: the largest magnitude of each column.
    static SEEN: RefCell<Vec<(usize, Vec<f32>)>> = const { RefCell::new(Vec::new()) };
}

fn noting_matmul(matrix: &kernels::Matrix<'_>, x: &[f32], out: &mut [f32]) {
    SEEN.with_borrow_mut(|seen| {
        let address = matrix.values.as_ptr() as usize;
        let at = seen.iter().position(|(of, _)| *of == address).unwrap_or_else(|| {
            seen.push((address, vec![0.0; matrix.columns]));
            seen.len() - 1
        });
        for row in x.chunks_exact(matrix.columns) {
            seen[at].1.iter_mut().zip(row).for_each(|(max, x)| *max = x.abs().max(*max));
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
            Architecture::Decoder | Architecture::EncoderDecoder => run::encode(&image, line).and_then(|tokens| {
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
    let seen = SEEN.take();
    let of = |values: u32| seen.iter().find(|(address, _)| *address == start + values as usize).map(|(_, max)| max.clone());
    Ok(Calibration { inputs: image.entries().filter_map(|entry| Some((entry.role, entry.layer, of(entry.values)?))).collect() })
}

impl Calibration {
    /// What the columns of this matrix are multiplied with; `None` for a matrix that saw nothing, or whose rows are looked up one by one.
    pub fn column_factors(&self, role: Role, layer: Option<u32>, weights: Matrix) -> Option<Vec<f32>> {
        if role == Role::Embedding {
            return None;
        }
        let (_, _, inputs) = self.inputs.iter().find(|(of, at, _)| (*of, *at) == (role, layer))?;
        let mut largest = vec![0.0f32; weights.columns];
        for row in weights.rows() {
            largest.iter_mut().zip(row).for_each(|(max, w)| *max = w.abs().max(*max));
        }
        Some(inputs.iter().zip(&largest).map(|(&x, &w)| factor(x, w)).collect())
    }
}

/// `sqrt(x / w)` within reason; 1 where either is next to nothing.
fn factor(x: f32, w: f32) -> f32 {
    const SMALLEST: f32 = 1e-20;
    const RANGE: f32 = 1e4;
    if x < SMALLEST || w < SMALLEST { 1.0 } else { (x / w).sqrt().clamp(1.0 / RANGE, RANGE) }
}

#[cfg(test)]
mod tests {
    use super::factor;

    #[test]
    fn factors_balance_both_sides() {
        assert_eq!(factor(16.0, 4.0), 2.0);
        assert_eq!([factor(0.0, 3.0), factor(3.0, 0.0)], [1.0, 1.0]);
        assert_eq!([factor(1e30, 1e-10), factor(1e-15, 1e15)], [1e4, 1e-4]);
    }
}
