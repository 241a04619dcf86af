//! What a head looks at on an emulated machine, weight by weight.

use std::path::Path;

use anyhow::{Result, bail};
use attoformer_protocol::{Attention, Frame, Prompt, Task};
use serde::Serialize;

use crate::{emulator, firmware, machines::Machine};

/// The weights of one head on one machine. `atto inspect --board` reads its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// The machine's name.
    pub machine: String,
    /// The layer.
    pub layer: u32,
    /// The head.
    pub head: u32,
    /// For each position, a weight for each key from the first to the last that was seen, in units of the row's sum.
    pub rows: Vec<Vec<u32>>,
}

/// Reads a prompt on the machine and collects what the head looks at.
///
/// # Errors
/// When the program does not build, start or finish, or when there is no such head.
pub fn rows(machine: &Machine, image: &Path, prompt: Prompt<'_>, layer: u32, head: u32) -> Result<Rows> {
    let elf = firmware::build_looking(machine)?;
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
        bail!("{} has no head {head} with weights in layer {layer}", image.display());
    }
    Ok(Rows { machine: machine.name.to_owned(), layer, head, rows })
}
