//! Streaming framing: audio arrives in chunks of any length.

use super::mel::{Samples, Scratch};
use super::section::Frontend;
use crate::error::Error;

/// Turns samples into feature rows as soon as a frame is complete, for front ends whose frames start at their samples. The rows equal those of
/// [`Frontend::clip`], however the samples are divided into chunks.
#[derive(Debug)]
pub struct Frames<'f, 's> {
    frontend: Frontend<'f>,
    scratch: Scratch<'s>,
    /// The samples of the next frame, `(frame_len)`.
    pending: &'s mut [f32],
    filled: usize,
    row: &'s mut [f32],
}

impl<'f, 's> Frames<'f, 's> {
    /// Length of the buffer.
    #[must_use]
    pub const fn buffer_len(frontend: &Frontend<'_>) -> usize {
        frontend.scratch_len() + frontend.frame_len + frontend.features()
    }

    /// A stream at its start.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] if the buffer is shorter than [`Frames::buffer_len`]; [`Error::Architecture`] if the front end needs the whole clip
    /// first.
    pub fn new(frontend: Frontend<'f>, buffer: &'s mut [f32]) -> Result<Self, Error> {
        if frontend.centred || frontend.range != 0.0 {
            return Err(Error::Architecture { asked: "features of a partial clip" });
        }
        let small = Error::BufferTooSmall { need: Self::buffer_len(&frontend), have: buffer.len() };
        if buffer.len() < Self::buffer_len(&frontend) {
            return Err(small);
        }
        let (pending, rest) = buffer.split_at_mut_checked(frontend.frame_len).ok_or(small)?;
        let (row, rest) = rest.split_at_mut_checked(frontend.features()).ok_or(small)?;
        Ok(Frames { frontend, scratch: frontend.prepare(rest)?, pending, filled: 0, row })
    }

    /// Reads samples, and passes each row `(features)` that they complete to `on_row`.
    pub fn push<S: Samples + ?Sized>(&mut self, samples: &S, mut on_row: impl FnMut(&[f32])) {
        let Frames { frontend, scratch, pending, filled, row } = self;
        for index in 0..samples.count() {
            if let Some(slot) = pending.get_mut(*filled) {
                *slot = samples.at(index);
            }
            *filled += 1;
            if *filled == pending.len() {
                frontend.frame(|index| pending.get(index).copied().unwrap_or(0.0), scratch, row);
                on_row(row);
                let kept = pending.len().saturating_sub(frontend.hop_length);
                pending.copy_within(pending.len() - kept.., 0);
                *filled = kept;
            }
        }
    }
}
