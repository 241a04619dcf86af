//! The firmware's log, decoded with the strings that lie in its ELF file.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use defmt_decoder::{StreamDecoder, Table};

/// Decodes log frames of one program.
pub struct Logs {
    table: Table,
}

impl Logs {
    /// Reads the strings of a program.
    pub fn open(elf: &Path) -> Result<Self> {
        let bytes = fs::read(elf).with_context(|| format!("{} cannot be read", elf.display()))?;
        let table = Table::parse(&bytes)?.with_context(|| format!("{} has no log strings", elf.display()))?;
        Ok(Self { table })
    }

    /// One log frame as a line.
    pub fn line(&self, frame: &[u8]) -> String {
        let mut decoder = self.table.new_stream_decoder();
        decoder.received(frame);
        match StreamDecoder::decode(&mut *decoder) {
            Ok(frame) => frame.display(false).to_string(),
            Err(_) => "a log frame that cannot be decoded".to_owned(),
        }
    }
}
