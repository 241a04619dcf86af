//! One program for every board.
//!
//! A board's `main` says which clock its counter has and calls [`run`]; the rest is here. The program carries no
//! model: it opens whatever image lies at the address that the [`Job`](attoformer_protocol::Job) names, so trying another
//! model needs no other build. What it finds out leaves as [`Frame`](attoformer_protocol::Frame)s.
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

use attoformer_protocol::{Frame, Task};

/// What differs between boards beyond their memory map.
pub struct Board {
    /// The board's name, for the log.
    pub name: &'static str,
    /// How the instruction counter of this board runs.
    pub ticks: Ticks,
}

/// Does the job that lies in memory, reports and ends the program.
pub fn run(board: &Board) -> ! {
    memory::paint_stack();
    defmt::info!("{=str}: started", board.name);
    let mut counter = count::Counter::start(board.ticks);
    let (job, source) = match job::read() {
        Ok(found) => found,
        Err(reason) => fail::stop(reason),
    };
    match job.task {
        Task::Generate(task) => generate::generate(job.image_at, job.image_bytes, source, &task, &mut counter),
        Task::Calibrate { instructions } => {
            let (counted, overhead) = counter.calibrate(instructions);
            channel::send(&Frame::Calibrated { counted, overhead });
        }
        #[cfg(feature = "attention")]
        Task::Attention(task) => attention::attention(job.image_at, job.image_bytes, &task),
        #[cfg(not(feature = "attention"))]
        Task::Attention(_) => fail::stop("this program cannot look inside: build it with the feature attention"),
    }
    defmt::info!("done");
    semihosting::process::exit(0)
}
