//! What the demos share: the image, and an arena of the size that it asks for, both known to the compiler.
#![no_std]

use attoformer::{Arena, Error, Image, include_image};
use static_cell::ConstStaticCell;

const IMAGE: &[u8] = include_image!(env!("ATTO_IMAGE"));

static ARENA: ConstStaticCell<Arena<{ Image::arena_bytes(IMAGE) }>> = ConstStaticCell::new(Arena::new());

/// The image, in flash.
pub fn image() -> &'static [u8] {
    IMAGE
}

/// The arena. It can be taken once.
///
/// # Panics
/// The second time.
pub fn take_arena() -> &'static mut [u8] {
    ARENA.take().bytes()
}

/// Ends the program; an error is shown and makes it a failure.
pub fn finish(result: Result<(), Error>) -> ! {
    match result {
        Ok(()) => semihosting::process::exit(0),
        Err(error) => {
            semihosting::eprintln!("error: {error}");
            semihosting::process::exit(1)
        }
    }
}
