//! Reads the ELF file of a firmware: what is loaded into flash, for which processor, and what the firmware states about itself.

use object::LittleEndian;
use object::elf::{EM_ARM, EM_RISCV, FileHeader32, PT_LOAD, SHT_ARM_ATTRIBUTES, SHT_RISCV_ATTRIBUTES};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable};

use super::error::FlashError;
use super::segment::{Segment, overlap};
use super::statement::Statement;

/// Section of the [`Statement`].
const STATEMENT: &[u8] = b".attoformer";
/// Largest statement that is read.
const STATEMENT_MAX: usize = 4096;
/// `Tag_CPU_arch` of the Arm attributes.
const TAG_CPU_ARCH: u64 = 6;
/// `Tag_RISCV_arch` of the RISC-V attributes.
const TAG_RISCV_ARCH: u64 = 5;

/// Processor that a firmware is compiled for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Processor {
    /// Arm, with the value of `Tag_CPU_arch` if it is stated.
    Arm(Option<u64>),
    /// RISC-V, with its ISA string, such as `rv32i2p1_m2p0_c2p0`, if it is stated.
    RiscV(Option<String>),
    /// Another machine, by its ELF number.
    Other(u16),
}

/// Content of an ELF file.
#[derive(Clone, Debug)]
pub struct Elf<'a> {
    /// Bytes to load, by physical address.
    pub segments: Vec<Segment<'a>>,
    /// Its processor.
    pub processor: Processor,
    /// The statement of board and features in the firmware.
    pub statement: Statement,
}

type Header = FileHeader32<LittleEndian>;

/// Reads an ELF file.
///
/// # Errors
/// [`FlashError::NotFirmware`], [`FlashError::Overlap`], [`FlashError::AddressSpace`], [`FlashError::Empty`].
pub fn read(bytes: &[u8]) -> Result<Elf<'_>, FlashError> {
    let refuse = |error: object::read::Error| FlashError::NotFirmware(error.to_string());
    let header = Header::parse(bytes).map_err(refuse)?;
    let endian = header.endian().map_err(refuse)?;
    let mut segments = Vec::new();
    for program in header.program_headers(endian, bytes).map_err(refuse)? {
        let is_loaded = program.p_type(endian) == PT_LOAD && program.p_filesz(endian) > 0;
        if is_loaded {
            let content = program.data(endian, bytes).map_err(|()| FlashError::NotFirmware("a segment is outside the file".to_owned()))?;
            let address = program.p_paddr(endian);
            segments.push(Segment::new(address, content).ok_or(FlashError::AddressSpace(address))?);
        }
    }
    segments.sort_by_key(|segment| segment.address);
    if segments.is_empty() {
        return Err(FlashError::Empty);
    }
    if let Some((first, second)) = overlap(&segments) {
        return Err(FlashError::Overlap(first, second));
    }
    let sections = header.sections(endian, bytes).map_err(refuse)?;
    let processor = match header.e_machine(endian) {
        EM_ARM => Processor::Arm(attribute(&sections, bytes, SHT_ARM_ATTRIBUTES, TAG_CPU_ARCH, arm_value)),
        EM_RISCV => Processor::RiscV(attribute(&sections, bytes, SHT_RISCV_ATTRIBUTES, TAG_RISCV_ARCH, riscv_value)),
        other => Processor::Other(other),
    };
    let stated = sections.section_by_name(endian, STATEMENT).and_then(|(_, section)| section.data(endian, bytes).ok());
    let statement = Statement::parse(stated.map_or(&[], |text| &text[..text.len().min(STATEMENT_MAX)]));
    Ok(Elf { segments, processor, statement })
}

type Attributes<'a> = object::read::elf::AttributeReader<'a>;

/// The value of a build attribute; `None` if it is missing or unreadable. `value` reads one attribute, and returns its value if it is the wanted one.
fn attribute<'a, T>(
    sections: &SectionTable<'a, Header>,
    bytes: &'a [u8],
    kind: u32,
    wanted: u64,
    value: impl Fn(&mut Attributes<'a>, u64, bool) -> object::read::Result<Option<T>>,
) -> Option<T> {
    let section = sections.iter().find(|section| section.sh_type(LittleEndian) == kind)?;
    let mut subsections = section.attributes(LittleEndian, bytes).ok()?.subsections().ok()?;
    while let Some(subsection) = subsections.next().ok()? {
        let mut parts = subsection.subsubsections();
        while let Some(part) = parts.next().ok()? {
            let mut attributes = part.attributes();
            while let Some(tag) = attributes.read_tag().ok()? {
                if let Some(found) = value(&mut attributes, tag, tag == wanted).ok()? {
                    return Some(found);
                }
            }
        }
    }
    None
}

/// Arm: tags 4, 5 and odd ones from 33 on are strings, 32 is a number and a string, all others are numbers.
fn arm_value(attributes: &mut Attributes<'_>, tag: u64, is_wanted: bool) -> object::read::Result<Option<u64>> {
    match tag {
        4 | 5 => attributes.read_string().map(|_| None),
        32 => attributes.read_integer().and_then(|_| attributes.read_string()).map(|_| None),
        33.. if tag % 2 == 1 => attributes.read_string().map(|_| None),
        _ => attributes.read_integer().map(|number| is_wanted.then_some(number)),
    }
}

/// RISC-V: odd tags are strings, even ones are numbers.
fn riscv_value(attributes: &mut Attributes<'_>, tag: u64, is_wanted: bool) -> object::read::Result<Option<String>> {
    if tag.is_multiple_of(2) {
        return attributes.read_integer().map(|_| None);
    }
    let text = attributes.read_string()?;
    Ok(is_wanted.then(|| String::from_utf8_lossy(text).into_owned()))
}
