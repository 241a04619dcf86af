//! defmt over the same channel as everything else: one log frame is one [`Frame::Log`].

use attoformer_protocol::{Frame, MAX_PAYLOAD};
use core::cell::RefCell;
use critical_section::Mutex;
use heapless::Vec;

use crate::channel;

/// The log frame being built.
static PENDING: Mutex<RefCell<Vec<u8, MAX_PAYLOAD>>> = Mutex::new(RefCell::new(Vec::new()));

#[defmt::global_logger]
struct Logger;

// SAFETY: only the main thread logs, handlers never do, so acquire and release cannot interleave; the buffer between
// them is behind a critical section.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        critical_section::with(|section| PENDING.borrow_ref_mut(section).clear());
    }

    unsafe fn write(bytes: &[u8]) {
        critical_section::with(|section| {
            // A log frame that is too long is cut, and the host says that it cannot be decoded.
            let _ = PENDING.borrow_ref_mut(section).extend_from_slice(bytes);
        });
    }

    unsafe fn flush() {}

    unsafe fn release() {
        critical_section::with(|section| channel::send(&Frame::Log(&PENDING.borrow_ref(section))));
    }
}
