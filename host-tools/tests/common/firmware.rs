//! ELF files of made-up firmwares.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

/// Machine numbers of ELF.
pub const ARM: u16 = 40;
pub const RISCV: u16 = 243;
/// Address after the RAM that the made-up firmwares use.
pub const STACK: u32 = 0x2000_4000;

/// A made-up firmware.
#[derive(Clone)]
pub struct Firmware {
    pub machine: u16,
    /// Physical addresses and bytes.
    pub segments: Vec<(u32, Vec<u8>)>,
    /// Content of the section of build attributes.
    pub attributes: Vec<u8>,
    /// Content of the section `.attoformer`.
    pub statement: String,
}

impl Firmware {
    /// Boot code, a vector table and code for an RP2040.
    pub fn pico() -> Self {
        let code: Vec<u8> = (0..1001_u32).map(|at| (at * 7 % 251) as u8).collect();
        let segments = vec![
            (0x1000_0000, rp2040_boot2::BOOT_LOADER_W25Q080.to_vec()),
            (0x1000_0100, vectors(0x1000_0200)),
            (0x1000_0200, code),
            // Initial values of statics, at an address that is no multiple of a page.
            (0x1000_1804, vec![1, 2, 3]),
        ];
        Firmware { machine: ARM, segments, attributes: arm_attributes(12), statement: "board=pico\n".to_owned() }
    }

    /// A vector table and code for a Cortex-M with flash from `start` on.
    pub fn cortex_m(start: u32, arch: u8) -> Self {
        let segments = vec![(start, [vectors(start + 8), vec![0xbe; 100]].concat())];
        Firmware { machine: ARM, segments, attributes: arm_attributes(arch), statement: String::new() }
    }

    /// An image definition of an RP2350 with these flags, and code.
    pub fn rp2350(flags: u16, arch: u8) -> Self {
        // Start, the item (kind, one word, flags), the last item (kind, words of the others), the link to the next block, the end.
        let block = [0xffff_ded3, u32::from(flags) << 16 | 0x0142, 0x0000_01ff, 0, 0xab12_3579_u32];
        let mut firmware = Self::cortex_m(0x1000_0000, arch);
        firmware.segments.push((0x1000_0200, block.iter().flat_map(|word| word.to_le_bytes()).collect()));
        firmware
    }

    pub fn stating(mut self, statement: &str) -> Self {
        self.statement = statement.to_owned();
        self
    }

    /// The file: header, program headers, section headers, contents.
    pub fn elf(&self) -> Vec<u8> {
        let names = b"\0.attributes\0.attoformer\0.shstrtab\0";
        let mut contents: Vec<&[u8]> = self.segments.iter().map(|(_, bytes)| &bytes[..]).collect();
        contents.extend([&self.attributes[..], self.statement.as_bytes(), names]);
        let (programs, sections) = (self.segments.len(), 4);
        let headers = 52 + 32 * programs + 40 * sections;
        let mut at = headers;
        let offsets: Vec<u32> = contents
            .iter()
            .map(|content| {
                at += content.len();
                (at - content.len()) as u32
            })
            .collect();
        let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
        let words = |file: &mut Vec<u8>, values: &[u32]| file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        [2, self.machine].into_iter().for_each(|value| half(&mut file, value));
        words(&mut file, &[1, 0, 52, 52 + 32 * programs as u32, 0]);
        for value in [52, 32, programs as u16, 40, sections as u16, sections as u16 - 1] {
            half(&mut file, value);
        }
        for ((address, bytes), offset) in self.segments.iter().zip(&offsets) {
            // Its virtual address is in RAM: only the physical one says where it is stored.
            words(&mut file, &[1, *offset, 0x2000_0000, *address, bytes.len() as u32, bytes.len() as u32, 5, 4]);
        }
        words(&mut file, &[0; 10]);
        for (index, (name, kind)) in [(1, 0x7000_0003), (13, 1), (25, 3)].into_iter().enumerate() {
            let index = programs + index;
            words(&mut file, &[name, kind, 0, 0, offsets[index], contents[index].len() as u32, 0, 0, 1, 0]);
        }
        assert_eq!(file.len(), headers);
        file.extend(contents.concat());
        file
    }
}

/// Initial stack pointer and reset vector of code at `code`.
pub fn vectors(code: u32) -> Vec<u8> {
    [STACK, code | 1].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Build attributes of Arm with a name, an architecture and a string after it.
pub fn arm_attributes(arch: u8) -> Vec<u8> {
    let tags = [&b"\x05cortex\0"[..], &[6, arch], b"\x43\x32.09\0"].concat();
    attributes("aeabi", &tags)
}

/// Build attributes of RISC-V with an ISA string, after a number.
pub fn riscv_attributes(isa: &str) -> Vec<u8> {
    attributes("riscv", &[&b"\x04\x10\x05"[..], isa.as_bytes(), &[0]].concat())
}

fn attributes(vendor: &str, tags: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| (bytes as u32).to_le_bytes();
    let file = [&[1][..], &length(5 + tags.len()), tags].concat();
    let vendor = [vendor.as_bytes(), &[0]].concat();
    [&b"A"[..], &length(4 + vendor.len() + file.len()), &vendor, &file].concat()
}
