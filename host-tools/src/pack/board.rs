//! Packing for a board: whether arena and flash suffice.

use attoformer::image::Image;
use attoformer_protocol::boards::Board;

use super::assemble::{Packed, request};
use super::error::OutputError;
use super::formats::Chooser;
use super::options::Options;
use crate::error::Error;
use crate::flash::fit;
use crate::import::Checkpoint;

/// Refuses a model whose arena does not fit the board, before anything is packed.
///
/// # Errors
/// [`FlashError::Arena`](crate::flash::FlashError::Arena) with the largest context that fits; those of [`pack`](super::pack()).
pub fn check_board_arena(checkpoint: &Checkpoint, options: &Options, board: &'static Board) -> Result<(), Error> {
    let request = request(checkpoint, options).map_err(Error::file(&checkpoint.path))?;
    fit::check_arena(board, &request.config).map_err(Error::file(&checkpoint.path))
}

/// Whether an image with every matrix in int8 takes at most `budget` bytes.
///
/// # Errors
/// Those of [`Chooser::new`].
pub fn int8_fits(checkpoint: &Checkpoint, options: &Options, budget: u64) -> Result<bool, Error> {
    Ok(Chooser::new(checkpoint, options)?.largest_bytes() <= budget)
}

/// Refuses a packed image that does not fit the board.
///
/// # Errors
/// `OutputError::Board`; [`FlashError::Arena`](crate::flash::FlashError::Arena).
pub fn check_board(checkpoint: &Checkpoint, packed: &Packed, board: &'static Board) -> Result<(), Error> {
    let (bytes, slot) = (packed.image.len() as u64, u64::from(board.models.slot_bytes));
    if bytes > slot {
        return Err(Error::file(&checkpoint.path)(OutputError::Board { bytes, slot, board: board.name }));
    }
    let image = Image::new(&packed.image).map_err(Error::engine(&checkpoint.path))?;
    fit::check_arena(board, image.config()).map_err(Error::file(&checkpoint.path))
}
