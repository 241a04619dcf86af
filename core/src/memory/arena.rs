//! A buffer of fixed size and alignment.

/// An arena of `N` bytes, aligned as a session needs it, for a `static`.
///
/// ```
/// use attoformer::Arena;
/// let mut arena = Arena::<1024>::new();
/// assert_eq!(arena.bytes().len(), 1024);
/// ```
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Arena<const N: usize>([u8; N]);

impl<const N: usize> Arena<N> {
    /// All zero, so that a static arena costs no flash.
    #[must_use]
    pub const fn new() -> Self {
        Arena([0; N])
    }

    /// The bytes to pass to a session.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl<const N: usize> Default for Arena<N> {
    fn default() -> Self {
        Self::new()
    }
}
