//! The program of the Raspberry Pi Pico.
#![no_std]
#![no_main]

mod clock;
mod fault;
mod flash;
mod link;
mod memory;
mod pico;
mod ring;
mod uart;
mod usb;

use core::fmt::Write as _;

use attoformer::{Image, Limits, Sampler, Session};
use attoformer_app::{Board, Line};
use link::Link;
use pico::Pico;

/// The second-stage boot loader, which the boot ROM starts: it sets up reading from flash.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

#[rp2040_hal::entry]
fn main() -> ! {
    if let Some((mut board, mut link)) = pico::start() {
        let _ = tell(&mut board, &mut link);
    }
    loop {
        cortex_m::asm::wfi();
    }
}

/// Answers prompts, one a line, until something fails.
fn tell(board: &mut Pico, link: &mut Link) -> Result<(), attoformer::Error> {
    // SAFETY: the slot is readable flash that this program does not change.
    let slot = unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(0x1008_0000), 768 << 10) };
    let image = Image::new(slot)?;
    // SAFETY: `main` calls this function once.
    let mut session = Session::new(&image, unsafe { memory::arena() })?;
    let start = board.ticks();
    session.self_test()?;
    let _ = writeln!(Text(link), "self-test passed in {} cycles", board.ticks().wrapping_sub(start));
    let (mut line, mut length) = ([0; 256], 0);
    loop {
        let mut byte = [0];
        if link.read(&mut byte) == 0 {
            board.idle();
        } else if byte[0] != b'\n' {
            if let Some(place) = line.get_mut(length) {
                (*place, length) = (byte[0], length + 1);
            }
        } else {
            let prompt = core::str::from_utf8(line.get(..length).unwrap_or_default()).unwrap_or_default();
            session.reset();
            board.led(true);
            let mut story = session.generate(prompt, Sampler::greedy(), Limits::tokens(40))?;
            while let Some(piece) = story.next_piece()? {
                board.led(false);
                board.led(true);
                let _ = write!(Text(link), "{piece}");
            }
            board.led(false);
            let _ = writeln!(Text(link), "\noutput hash {:08x}", story.output_hash());
            length = 0;
        }
    }
}

struct Text<'l>(&'l mut Link);

impl core::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
