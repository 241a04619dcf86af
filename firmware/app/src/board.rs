//! Traits that a board implements: byte lines to hosts, time, an LED.

pub use attoformer_protocol::link::message::Counts;

/// A byte line to a host, such as a UART or USB CDC.
pub trait Line {
    /// Takes bytes that have arrived and returns their number, without waiting. Interrupts collect them, so that none is lost during a computation.
    fn read(&mut self, bytes: &mut [u8]) -> usize;

    /// Sends bytes and waits until they are queued. A line that nobody reads drops them after a short time instead of waiting forever.
    fn write(&mut self, bytes: &[u8]);
}

/// Time and the LED of a board.
pub trait Board {
    /// Milliseconds since the start; wraps.
    fn millis(&mut self) -> u32;

    /// A counter for measurements; wraps at 2^64.
    fn ticks(&mut self) -> u64;

    /// Ticks per second of [`Board::ticks`].
    fn ticks_per_second(&self) -> u32;

    /// The meaning of a tick.
    fn counts(&self) -> Counts;

    /// Switches the LED, which is lit while the model computes a token.
    fn led(&mut self, on: bool);

    /// Called while there is nothing to do; may wait for an interrupt.
    fn idle(&mut self) {}
}
