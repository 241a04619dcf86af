//! Tells a story with the built-in image.
#![no_std]
#![no_main]

use attoformer::{Error, Image, Limits, Sampler, Session};
use attoformer_demos::{exit, image, take_arena};
use semihosting::{eprintln, print, println};

#[cortex_m_rt::entry]
fn main() -> ! {
    if let Err(error) = tell() {
        eprintln!("error: {error}");
        semihosting::process::exit(1)
    }
    exit()
}

fn tell() -> Result<(), Error> {
    let image = Image::new(image())?;
    let mut session = Session::new(&image, take_arena())?;
    session.self_test()?;

    let prompt = "Once upon a time";
    print!("{prompt}");
    let mut story = session.generate(prompt, Sampler::greedy(), Limits::tokens(150))?;
    while let Some(piece) = story.next_piece()? {
        print!("{piece}");
    }
    println!();
    Ok(())
}
