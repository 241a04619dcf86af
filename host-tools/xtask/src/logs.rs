//! Decodes the firmware's defmt log with the strings in its ELF file.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use defmt_decoder::{StreamDecoder, Table};

/// Decoder of one program's log frames.
pub struct Logs {
    table: Table,
}

impl Logs {
    /// Reads the log strings of a program.
    ///
    /// # Errors
    /// The file cannot be read or contains no log strings.
    pub fn open(elf: &Path) -> Result<Self> {
        let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
        let table = Table::parse(&bytes)?.with_context(|| format!("{} has no log strings", elf.display()))?;
        Ok(Self { table })
    }

    /// Decodes one log frame as a line of text.
    pub fn line(&self, frame: &[u8]) -> String {
        let mut decoder = self.table.new_stream_decoder();
        decoder.received(frame);
        match StreamDecoder::decode(&mut *decoder) {
            Ok(frame) => frame.display(false).to_string(),
            Err(_) => "(a log frame that cannot be decoded)".to_owned(),
        }
    }
}
