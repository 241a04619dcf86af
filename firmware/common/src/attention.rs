//! Attention weights of one head on the board. They are sent as they are computed, so no buffer holds them all.

use attoformer::probe::HeadSite;
use attoformer::{Error, Image, Plan, Probe, Session, arena_bytes};
use attoformer_protocol::job::{Answer, Attention, Frame, MAX_PAYLOAD};
use heapless::Vec;

use crate::{channel, fail, generate::prompt_tokens, memory};

/// Prefills the prompt and sends the attention weights of the head.
pub fn attention(image: &'static [u8], task: &Attention<'_>) {
    let Some(arena) = memory::take_arena() else { fail::stop("the arena was taken twice") };
    match run_task(image, arena, task) {
        Ok(answer) => channel::send(&Frame::Done(answer)),
        Err(error) => fail::stop_with(format_args!("{error}")),
    }
}

fn run_task(bytes: &'static [u8], arena: &mut [u8], task: &Attention<'_>) -> Result<Answer, Error> {
    let image = Image::new(bytes)?;
    let plan = Plan::packed(image.config());
    let need = arena_bytes(image.config(), plan);
    let mut session = Session::with_plan(&image, arena, plan)?;
    let tokens = prompt_tokens(&image, &task.prompt)?;
    session.prefill_probed(&tokens, &mut HeadProbe { layer: task.layer, head: task.head as usize })?;
    Ok(Answer { ram_bytes_arena: need as u32, flash_bytes_model: image.bytes().len() as u32, ..Answer::default() })
}

/// A probe that sends the weights of one head.
struct HeadProbe {
    layer: u32,
    head: usize,
}

impl Probe for HeadProbe {
    fn wants_attention(&self) -> bool {
        true
    }

    fn attention(&mut self, site: HeadSite, weights: impl Iterator<Item = (usize, u32)>) {
        if site.layer != self.layer || site.head != self.head {
            return;
        }
        let (mut bytes, mut next) = (Vec::<u8, MAX_PAYLOAD>::new(), 0);
        for (key, weight) in weights {
            // A mask may hide keys between two visible ones.
            if bytes.is_full() || key != next {
                flush(site.position, next, &mut bytes);
            }
            // Fits: a full buffer was sent above.
            let _ = bytes.extend_from_slice(&weight.to_le_bytes());
            next = key + 1;
        }
        flush(site.position, next, &mut bytes);
    }
}

/// Sends the weights of the keys before `next`.
fn flush(position: usize, next: usize, bytes: &mut Vec<u8, MAX_PAYLOAD>) {
    if !bytes.is_empty() {
        let key = (next - bytes.len() / 4) as u32;
        channel::send(&Frame::Attention { position: position as u32, key, weights: bytes });
    }
    bytes.clear();
}
