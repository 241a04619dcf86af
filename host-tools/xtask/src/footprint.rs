//! Memory that a board's program takes, read from its ELF file.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use object::{
    Endianness, File, Object, ObjectSymbol,
    elf::{FileHeader32, SHF_ALLOC, SHF_WRITE, SHT_NOBITS},
    read::elf::{FileHeader, SectionHeader},
};

/// Sections that reserve RAM which is no static.
const RESERVED: [&str; 3] = [".stack", ".arena", ".heap"];

/// Bytes that a program takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes in flash: vector table, code, constants and initial values of statics.
    pub flash: u64,
    /// Bytes of statics in RAM.
    pub statics: u64,
    /// Bytes of RAM that are left for the stack.
    pub stack: u64,
}

impl Footprint {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// The file cannot be read or is not an ELF file.
    pub fn read(elf: &Path) -> Result<Self> {
        let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is not an ELF file", elf.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let header = FileHeader32::<Endianness>::parse(bytes)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, bytes)?;
        let mut found = Self::default();
        for section in sections.iter() {
            let (flags, size) = (section.sh_flags(endian), u64::from(section.sh_size(endian)));
            let name = String::from_utf8_lossy(sections.section_name(endian, section)?).into_owned();
            // Esp-hal skips addresses with sections of this name.
            if flags & SHF_ALLOC == 0 || name.ends_with("_dummy") {
                continue;
            }
            if section.sh_type(endian) != SHT_NOBITS {
                found.flash += size;
            }
            if flags & SHF_WRITE != 0 && !RESERVED.contains(&name.as_str()) {
                found.statics += size;
            }
            if name == ".stack" {
                found.stack = size;
            }
        }
        if let (Some(start), Some(end)) = (symbol(bytes, "_stack_start")?, symbol(bytes, "_stack_end")?) {
            // The stack grows down.
            found.stack = start.saturating_sub(end);
        }
        Ok(found)
    }
}

fn symbol(bytes: &[u8], name: &str) -> Result<Option<u64>> {
    Ok(File::parse(bytes)?.symbols().find(|symbol| symbol.name() == Ok(name)).map(|symbol| symbol.address()))
}
