//! The smallest image that reaches a loss.

use super::{Choice, Chooser, FormatsError};
use crate::error::Error;
use crate::pack::activations::Activations;
use crate::pack::assemble::Packed;
use crate::pack::options::Options;
use crate::report::progress::Progress;

/// Images that are packed between the smallest and the largest one, at most.
const STEPS: usize = 6;
/// Share of the range between two images that the next one is away from both, at least.
const MARGIN: f64 = 0.1;

/// An image that reaches a loss.
pub struct Reached {
    /// The formats.
    pub choice: Choice,
    /// The image.
    pub packed: Packed,
    /// Its measured loss.
    pub loss: f64,
    /// Whether 12-bit inputs of every int8 matrix were needed.
    pub wide_activations: bool,
}

impl Chooser<'_> {
    /// Packs the smallest image whose loss on held-out calibration samples is at most `target`, by bisection over its size.
    ///
    /// # Errors
    /// [`FormatsError::Loss`] if even int8 with 12-bit inputs loses more, and those of [`Chooser::for_budget`] and [`Chooser::pack`].
    pub fn for_loss(&mut self, target: f64) -> Result<Reached, Error> {
        self.losses()?;
        let widest = self.for_budget(u64::MAX)?;
        let mut best = self.reach(widest, self.options)?;
        if best.loss > target {
            return self.with_wide_activations(best, target);
        }
        let smallest = self.for_budget(self.smallest_bytes())?;
        let mut worst = self.reach(smallest, self.options)?;
        if worst.loss <= target {
            return Ok(worst);
        }
        // Budgets below `low` choose no larger image than `worst`.
        let mut low = worst.choice.bytes;
        for _ in 0..STEPS {
            let mut budget = budget_between(low, best.choice.bytes, share(target, worst.loss, best.loss));
            let mut choice = self.for_budget(budget)?;
            while choice.bytes <= worst.choice.bytes && budget + 1 < best.choice.bytes {
                low = budget;
                budget = budget_between(low, best.choice.bytes, 0.5);
                choice = self.for_budget(budget)?;
            }
            if choice.bytes <= worst.choice.bytes {
                break;
            }
            let next = self.reach(choice, self.options)?;
            if next.loss <= target {
                best = next;
            } else {
                (low, worst) = (next.choice.bytes, next);
            }
        }
        Ok(best)
    }

    /// Packs a choice and measures its loss.
    fn reach(&self, choice: Choice, options: &Options) -> Result<Reached, Error> {
        let progress = Progress::new("tensors", self.request.formats.len() as u64);
        let packed = self.pack_as(&choice, options, &progress)?;
        let measured = packed.measured_loss.ok_or_else(|| Error::file(&self.checkpoint.path)(FormatsError::NoSamples))?;
        progress.note(&format!("{} bytes: {measured}", choice.bytes));
        Ok(Reached { choice, packed, loss: measured.mean, wide_activations: false })
    }

    /// The last resort: int8 with 12-bit inputs everywhere.
    fn with_wide_activations(&self, narrow: Reached, target: f64) -> Result<Reached, Error> {
        let options = Options { activations: Activations::Twelve, ..self.options.clone() };
        let wide = self.reach(narrow.choice.clone(), &options)?;
        if wide.loss > target {
            let best = wide.loss.min(narrow.loss);
            return Err(Error::file(&self.checkpoint.path)(FormatsError::Loss { target, best }));
        }
        Ok(Reached { wide_activations: true, ..wide })
    }
}

/// The share of the way from the bytes of an image with the loss `from` to those of one with `to` at which `target` is expected: the logarithm of
/// the loss is roughly linear in the bytes.
fn share(target: f64, from: f64, to: f64) -> f64 {
    let [at, from, to] = [target, from, to].map(|loss| libm::log(loss.max(f64::MIN_POSITIVE)));
    if from > to { ((from - at) / (from - to)).clamp(MARGIN, 1.0 - MARGIN) } else { 0.5 }
}

/// A budget above `low` and below `high`, at this share of the way if there is one.
fn budget_between(low: u64, high: u64, share: f64) -> u64 {
    let budget = (low as f64 + share * high.saturating_sub(low) as f64) as u64;
    budget.min(high.saturating_sub(1)).max(low + 1)
}
