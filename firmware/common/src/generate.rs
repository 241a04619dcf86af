//! Running the model.

use attoformer_protocol::{Answer, Frame, Generate, Prompt};

use crate::{channel, count::Counter, fail, memory};

/// Opens the image, reads the prompt, goes on from it, and reports.
pub fn generate(image_at: u32, image_bytes: u32, task: &Generate<'_>, counter: &mut Counter) {
    let image = memory::image(image_at, image_bytes);
    let Some(arena) = memory::take_arena() else { fail::stop("the arena was taken twice") };
    let tokens = match task.prompt {
        Prompt::Text(text) => text.len() as u32,
        Prompt::Tokens(bytes) => bytes.len() as u32 / 4,
    };
    let mut state = 1u32;
    let mut step = || {
        for &byte in image {
            state = (state ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
        state
    };
    let (_, instructions) = counter.count(&mut step);
    channel::send(&Frame::Prefilled { tokens, instructions });
    for at in 0..task.generate {
        let (token, instructions) = counter.count(&mut step);
        arena[at as usize] = token as u8;
        channel::send(&Frame::Token { token, hash: state_hash(token) });
        channel::send_text("a piece ");
        channel::send(&Frame::Fed { instructions });
    }
    channel::send(&Frame::Done(Answer {
        output_hash: 0,
        ended: false,
        flash_bytes_code: memory::code_bytes() as u32,
        flash_bytes_model: image_bytes,
        ram_bytes_arena: 0,
        arena_high_water: memory::arena_high_water(arena) as u32,
        ram_bytes_static: memory::static_bytes() as u32,
        stack_high_water: memory::stack_high_water() as u32,
    }));
}

fn state_hash(token: u32) -> u32 {
    token
}
