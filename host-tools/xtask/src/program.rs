//! Sections and symbols of a firmware's ELF file.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use object::{
    Endianness, File, Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind,
    elf::{SHF_ALLOC, SHF_WRITE, SHT_NOBITS},
    read::elf::{FileHeader, SectionHeader},
};

/// Bytes that a program takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Bytes in flash: vector table, code, constants and initial values of statics.
    pub flash: u64,
    /// Bytes of statics in RAM.
    pub statics: u64,
    /// Symbols in flash, largest first: demangled name and bytes.
    pub symbols: Vec<(String, u64)>,
}

impl Program {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// The file cannot be read or is not an ELF file.
    pub fn read(elf: &Path) -> Result<Self> {
        let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is not an ELF file", elf.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let header = object::elf::FileHeader32::<Endianness>::parse(bytes)?;
        let endian = header.endian()?;
        let (mut flash, mut statics) = (0, 0);
        for section in header.sections(endian, bytes)?.iter() {
            let (flags, size) = (section.sh_flags(endian), u64::from(section.sh_size(endian)));
            if flags & SHF_ALLOC == 0 {
                continue;
            }
            let has_bytes = section.sh_type(endian) != SHT_NOBITS;
            flash += if has_bytes { size } else { 0 };
            statics += if flags & SHF_WRITE != 0 { size } else { 0 };
        }
        Ok(Self { flash, statics, symbols: symbols(bytes)? })
    }
}

fn symbols(bytes: &[u8]) -> Result<Vec<(String, u64)>> {
    let file = File::parse(bytes)?;
    let in_flash = |symbol: &object::Symbol<'_, '_>| {
        let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
        section.is_some_and(|section| matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & u64::from(SHF_WRITE) == 0))
    };
    let mut symbols: Vec<(String, u64)> = file
        .symbols()
        .filter(|symbol| symbol.size() > 0 && matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown))
        .filter(in_flash)
        .map(|symbol| (format!("{:#}", rustc_demangle::demangle(symbol.name().unwrap_or("?"))), symbol.size()))
        .collect();
    symbols.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(symbols)
}
