//! Whether an image fits a board: its flash, its arena.

use std::fmt;

use attoformer::image::{Config, Image};
use attoformer::{Plan, arena_bytes};
use attoformer_protocol::boards::Board;
use serde::Serialize;

use super::error::FlashError;
use crate::report::table::thousands;

/// An image's needs and what a board has. The field names are an interface that scripts read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fit {
    /// Name of the board.
    pub board: &'static str,
    /// Whether both fit.
    pub fits: bool,
    /// Size of the image.
    pub image_bytes: u64,
    /// Size of a slot for models.
    pub slot_bytes: u64,
    /// Arena of the image's context.
    pub arena_bytes: u64,
    /// RAM of the board for an arena.
    pub board_arena_bytes: u64,
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [image, slot, arena, have] = [self.image_bytes, self.slot_bytes, self.arena_bytes, self.board_arena_bytes].map(thousands);
        let verb = if self.fits { "fits" } else { "does not fit" };
        writeln!(f, "{verb} {}: {image} of {slot} bytes of a model slot, arena {arena} of {have} bytes of RAM", self.board)
    }
}

impl Fit {
    /// Compares an image with a board.
    pub fn new(board: &'static Board, image: &Image<'_>) -> Self {
        let (image_bytes, slot_bytes) = (image.bytes().len() as u64, u64::from(board.models.slot_bytes));
        let (arena_bytes, board_arena_bytes) = (packed_arena(image.config()), u64::from(board.arena.bytes));
        let fits = image_bytes <= slot_bytes && arena_bytes <= board_arena_bytes;
        Fit { board: board.name, fits, image_bytes, slot_bytes, arena_bytes, board_arena_bytes }
    }
}

/// Refuses an image that does not fit a slot or whose arena does not fit the board.
///
/// # Errors
/// [`FlashError::Slot`], [`FlashError::Arena`].
pub fn check(board: &'static Board, image: &Image<'_>) -> Result<(), FlashError> {
    let fit = Fit::new(board, image);
    if fit.image_bytes > fit.slot_bytes {
        return Err(FlashError::Slot { board: board.name, bytes: fit.image_bytes, slot: fit.slot_bytes });
    }
    check_arena(board, image.config())
}

/// Refuses a model whose arena does not fit the board.
///
/// # Errors
/// [`FlashError::Arena`] with the largest context that fits.
pub fn check_arena(board: &'static Board, config: &Config) -> Result<(), FlashError> {
    let (need, have) = (packed_arena(config), u64::from(board.arena.bytes));
    if need <= have {
        return Ok(());
    }
    Err(FlashError::Arena { board: board.name, need, have, context: config.context, largest: largest_context(config, have) })
}

/// Bytes of the arena for the context that an image is packed with.
fn packed_arena(config: &Config) -> u64 {
    arena_bytes(config, Plan::packed(config)) as u64
}

/// The largest context below the model's whose arena takes at most `have` bytes. A longer context never takes less.
fn largest_context(config: &Config, have: u64) -> Option<u32> {
    let fits = |context: u32| packed_arena(&attoformer::config! { context, ..*config }) <= have;
    let (mut fitting, mut above) = (0, config.context);
    while above - fitting > 1 {
        let middle = fitting + (above - fitting) / 2;
        if fits(middle) { fitting = middle } else { above = middle }
    }
    (fitting > 0).then_some(fitting)
}
