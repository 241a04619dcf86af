//! The program of every board.
//!
//! A board's `main` states the rate of its counter and calls [`run`]; everything else is shared. The program contains no model: it opens the image at the
//! address in the [`Job`](attoformer_protocol::job::Job), so another model needs no other build. Results are sent as [`Frame`](attoformer_protocol::job::Frame)s.
#![no_std]

#[cfg(feature = "attention")]
mod attention;
mod channel;
mod count;
mod fail;
mod generate;
mod job;
mod log;
mod memory;

pub use count::{Counter, Ticks};

use attoformer_protocol::job::{Frame, Task};

/// Differences between boards other than the memory map in their linker script.
pub struct Board {
    /// The board's name, for the log.
    pub name: &'static str,
    /// Rate of this board's instruction counter.
    pub ticks: Ticks,
}

/// Runs the job in memory, reports the result and ends the program.
pub fn run(board: &Board) -> ! {
    memory::paint_stack();
    defmt::info!("{=str}: started", board.name);
    let mut counter = count::Counter::start(board.ticks);
    let (job, source) = match job::read() {
        Ok(found) => found,
        Err(reason) => fail::stop(reason),
    };
    // SAFETY: the host loaded the image at this address before the program started, outside the program, its RAM and the arena.
    let image = unsafe { memory::image(job.image_at, job.image_bytes) };
    match job.task {
        Task::Generate(task) => generate::generate(image, source, &task, &mut counter),
        Task::Calibrate { instructions } => {
            let (counted, overhead) = counter.calibrate(instructions);
            channel::send(&Frame::Calibrated { counted, overhead });
        }
        #[cfg(feature = "attention")]
        Task::Attention(task) => attention::attention(image, &task),
        #[cfg(not(feature = "attention"))]
        Task::Attention(_) => fail::stop("this program cannot send attention weights: build it with the feature attention"),
    }
    defmt::info!("done");
    semihosting::process::exit(0)
}
