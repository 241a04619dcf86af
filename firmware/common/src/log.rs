//! defmt over the channel of all other messages: one log frame is one [`Frame::Log`].

use core::cell::UnsafeCell;

use attoformer_protocol::job::{Frame, MAX_PAYLOAD};
use critical_section::RestoreState;
use heapless::Vec;

use crate::{channel, fail};

/// State of the logger between `acquire` and `release`.
struct State {
    frame: Vec<u8, MAX_PAYLOAD>,
    restore: RestoreState,
    is_acquired: bool,
}

struct Shared(UnsafeCell<State>);

// SAFETY: `State` is only accessed between `acquire` and `release`, inside the critical section that they hold.
unsafe impl Sync for Shared {}

static STATE: Shared = Shared(UnsafeCell::new(State { frame: Vec::new(), restore: RestoreState::invalid(), is_acquired: false }));

#[defmt::global_logger]
struct Logger;

// SAFETY: the critical section from `acquire` to `release` keeps interrupts out, and a second `acquire` in it ends the program, so a log frame is
// written by one context at a time.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        // SAFETY: `release` restores the state that this returns; defmt calls it exactly once for each `acquire`.
        let restore = unsafe { critical_section::acquire() };
        // SAFETY: the critical section is held.
        let state = unsafe { &mut *STATE.0.get() };
        if state.is_acquired {
            fail::stop("the logger was entered while it was writing a log frame");
        }
        state.is_acquired = true;
        state.restore = restore;
        state.frame.clear();
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: defmt calls `write` between `acquire` and `release`, which hold the critical section.
        let state = unsafe { &mut *STATE.0.get() };
        // A log frame that exceeds the payload is truncated, and the host reports that it cannot be decoded.
        let _ = state.frame.extend_from_slice(bytes);
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: the critical section that `acquire` entered is still held.
        let state = unsafe { &mut *STATE.0.get() };
        channel::send(&Frame::Log(&state.frame));
        state.is_acquired = false;
        // SAFETY: this is the state that the matching `acquire` returned.
        unsafe { critical_section::release(state.restore) };
    }
}
