//! Continues token ids with the built-in image and prints token ids: the smallest program around the engine, without a tokenizer and without `core::fmt`.
#![no_std]
#![no_main]

use attoformer::{Error, Image, Sampler, Session};
use attoformer_demos::{
    console::{print, print_number},
    exit, fail, image, take_arena,
};

/// The first tokens: the image's own start token.
const PROMPT: [u32; 1] = [1];
/// Tokens to generate.
const COUNT: usize = 24;

#[cortex_m_rt::entry]
fn main() -> ! {
    match generate() {
        Ok(()) => exit(),
        Err(_) => fail("the image cannot be run"),
    }
}

fn generate() -> Result<(), Error> {
    let image = Image::new(image())?;
    let mut session = Session::new(&image, take_arena())?;
    session.self_test()?;

    let mut sampler = Sampler::greedy();
    session.prefill(&PROMPT)?;
    for _ in 0..COUNT {
        let token = session.sample(&mut sampler);
        print_number(token);
        print("\n");
        session.step(token)?;
    }
    Ok(())
}
