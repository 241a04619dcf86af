//! Attention weights of one head on an emulated machine.

use std::path::Path;

use anyhow::{Result, bail};
use attoformer_protocol::job::{Attention, Frame, Prompt, Task};
use serde::Serialize;

use crate::{emulator, firmware, machines::Machine};

/// Attention weights of one head on one machine. `atto inspect --board` reads its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// The machine's name.
    pub machine: String,
    /// The layer.
    pub layer: u32,
    /// The head.
    pub head: u32,
    /// For each query position, a weight for each key up to the last visible one, in units of the row's sum.
    pub rows: Vec<Vec<u32>>,
}

/// Prefills a prompt on the machine and collects the attention weights of one head.
///
/// # Errors
/// The program does not build, start or finish, or the model has no such head.
pub fn rows(machine: &Machine, image: &Path, prompt: Prompt<'_>, layer: u32, head: u32) -> Result<Rows> {
    let elf = firmware::build_with_attention(machine)?;
    let mut rows: Vec<Vec<u32>> = Vec::new();
    let task = Task::Attention(Attention { prompt, layer, head });
    emulator::run(machine, &elf, Some(image), &[], task, |frame| {
        if let Frame::Attention { position, key, weights } = *frame {
            let (position, key) = (position as usize, key as usize);
            rows.resize(rows.len().max(position + 1), Vec::new());
            rows[position].resize(key, 0);
            rows[position].extend(weights.as_chunks::<4>().0.iter().map(|weight| u32::from_le_bytes(*weight)));
        }
        Ok(())
    })?;
    if rows.is_empty() {
        bail!("{} has no softmax attention head {head} in layer {layer}", image.display());
    }
    Ok(Rows { machine: machine.name.to_owned(), layer, head, rows })
}
