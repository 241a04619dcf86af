//! A byte queue between an interrupt handler and the program.

use core::cell::RefCell;

use critical_section::Mutex;
use heapless::Deque;

/// A queue of up to `N` bytes. Each call is one critical section.
pub struct Ring<const N: usize>(Mutex<RefCell<Deque<u8, N>>>);

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Ring<N> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self(Mutex::new(RefCell::new(Deque::new())))
    }

    /// Takes the oldest bytes and returns their number.
    pub fn read(&self, bytes: &mut [u8]) -> usize {
        self.with(|queue| {
            let mut count = 0;
            for (byte, taken) in bytes.iter_mut().zip(core::iter::from_fn(|| queue.pop_front())) {
                *byte = taken;
                count += 1;
            }
            count
        })
    }

    /// Appends as many bytes as fit and returns their number.
    pub fn write(&self, bytes: &[u8]) -> usize {
        self.with(|queue| bytes.iter().take_while(|&&byte| queue.push_back(byte).is_ok()).count())
    }

    /// Bytes that fit.
    pub fn free(&self) -> usize {
        self.with(|queue| N - queue.len())
    }

    /// Whether it contains no byte.
    pub fn is_empty(&self) -> bool {
        self.free() == N
    }

    /// Passes the front half of the queue to `take`, which returns the number of bytes that it took.
    pub fn drain(&self, take: impl FnOnce(&[u8]) -> usize) -> usize {
        self.with(|queue| {
            let taken = take(queue.as_slices().0);
            for _ in 0..taken {
                queue.pop_front();
            }
            taken
        })
    }

    fn with<T: Default>(&self, run: impl FnOnce(&mut Deque<u8, N>) -> T) -> T {
        // A closure that used the queue again would find it borrowed; none does.
        critical_section::with(|section| self.0.borrow(section).try_borrow_mut().map_or_else(|_| T::default(), |mut queue| run(&mut queue)))
    }
}
