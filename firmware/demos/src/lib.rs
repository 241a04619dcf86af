//! What the demos share: the image, and an arena of the size that it asks for, both known to the compiler.
#![no_std]

use attoformer::{Arena, Error, Plan, arena_bytes, image::header::Config};
use static_cell::ConstStaticCell;

/// Bytes at the alignment that an image wants.
#[repr(C, align(16))]
struct Aligned<T: ?Sized>(T);

const BYTES: &Aligned<[u8]> = &Aligned(*include_bytes!(env!("ATTO_IMAGE")));
const CONFIG: Config = match Config::read(&BYTES.0) {
    Ok(config) => config,
    Err(_) => panic!("ATTO_IMAGE does not hold an image that this engine reads"),
};
const ARENA_BYTES: usize = arena_bytes(&CONFIG, Plan::packed(&CONFIG));

static IMAGE: &Aligned<[u8]> = BYTES;
static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());

/// The image, in flash.
pub fn image() -> &'static [u8] {
    &IMAGE.0
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
