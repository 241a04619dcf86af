//! Frames of a sound that arrives bit by bit.

use super::{Frontend, Samples, Scratch};
use crate::error::Error;

/// Turns samples into rows as soon as a frame is complete, for front ends whose frames begin with their samples. The rows are those of
/// [`Frontend::clip`], however the samples are cut.
pub struct Frames<'f, 's> {
    frontend: Frontend<'f>,
    scratch: Scratch<'s>,
    /// The samples of the frame to come, `(frame_len)`.
    held: &'s mut [f32],
    filled: usize,
    row: &'s mut [f32],
}

impl<'f, 's> Frames<'f, 's> {
    /// Values that the buffer needs.
    pub const fn buffer_len(frontend: &Frontend<'_>) -> usize {
        frontend.scratch_len() + frontend.frame_len + frontend.features()
    }

    /// A stream at its start.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] for less than [`Frames::buffer_len`] values; [`Error::Architecture`] for a front end that needs the
    /// whole clip first.
    pub fn new(frontend: Frontend<'f>, buffer: &'s mut [f32]) -> Result<Self, Error> {
        if frontend.centred || frontend.range != 0.0 {
            return Err(Error::Architecture { asked: "make features of a part of a clip" });
        }
        let small = Error::BufferTooSmall { need: Self::buffer_len(&frontend), have: buffer.len() };
        if buffer.len() < Self::buffer_len(&frontend) {
            return Err(small);
        }
        let (held, rest) = buffer.split_at_mut_checked(frontend.frame_len).ok_or(small)?;
        let (row, rest) = rest.split_at_mut_checked(frontend.features()).ok_or(small)?;
        Ok(Frames { frontend, scratch: frontend.prepare(rest)?, held, filled: 0, row })
    }

    /// Takes samples; each row `(features)` that they complete goes to `see`.
    pub fn push<S: Samples + ?Sized>(&mut self, samples: &S, mut see: impl FnMut(&[f32])) {
        let Frames { frontend, scratch, held, filled, row } = self;
        for place in 0..samples.count() {
            if let Some(slot) = held.get_mut(*filled) {
                *slot = samples.at(place);
            }
            *filled += 1;
            if *filled == held.len() {
                frontend.frame(|place| held.get(place).copied().unwrap_or(0.0), scratch, row);
                see(row);
                let kept = held.len().saturating_sub(frontend.hop);
                held.copy_within(held.len() - kept.., 0);
                *filled = kept;
            }
        }
    }
}
