//! Tells a few stories and counts their words on a heap: the engine needs none, but a program may have one.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::{cmp::Reverse, fmt::Write, mem::MaybeUninit};

use attoformer::{Error, Image, Limits, Sampler, Session};
use attoformer_demos::{exit, image, take_arena};
// The implementation of the heap's critical section: interrupts disabled on a single core.
use cortex_m as _;
use embedded_alloc::LlffHeap;
use semihosting::{eprintln, println};

const HEAP_BYTES: usize = 32 * 1024;
const STORIES: u64 = 3;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [MaybeUninit<u8>; HEAP_BYTES] = [MaybeUninit::uninit(); HEAP_BYTES];
    // SAFETY: `entry` runs once and turns MEMORY into a unique reference; nothing was allocated before.
    unsafe { HEAP.init((&raw mut *MEMORY).addr(), HEAP_BYTES) };
    if let Err(error) = count() {
        eprintln!("error: {error}");
        semihosting::process::exit(1)
    }
    exit()
}

fn count() -> Result<(), Error> {
    let image = Image::new(image())?;
    let mut session = Session::new(&image, take_arena())?;
    let mut counts = BTreeMap::<String, u32>::new();
    for seed in 1..=STORIES {
        let story = tell(&mut session, seed)?;
        println!("{story}\n");
        for word in story.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            *counts.entry(word.to_lowercase()).or_default() += 1;
        }
    }
    let mut ranked: Vec<_> = counts.iter().collect();
    ranked.sort_by_key(|&(_, count)| Reverse(*count));
    println!("{} different words; the most frequent:", ranked.len());
    for (word, count) in ranked.iter().take(5) {
        println!("{count:>4}  {word}");
    }
    println!("heap in use: {} of {HEAP_BYTES} bytes", HEAP.used());
    Ok(())
}

fn tell(session: &mut Session<'_>, seed: u64) -> Result<String, Error> {
    let mut story = String::from("Once upon a time");
    session.reset();
    let sampler = Sampler::new(seed).with_temperature(0.7)?;
    let mut generation = session.generate(&story, sampler, Limits::tokens(80))?;
    while let Some(piece) = generation.next_piece()? {
        // Writing to a String cannot fail.
        let _ = write!(story, "{piece}");
    }
    Ok(story)
}
