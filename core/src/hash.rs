//! `output_hash`: a 32-bit hash of a generation's logits and tokens. Equal hashes mean that two machines computed the same bits.

/// A word-wise hash over, for each sampled position, the raw bits of its logits and then the chosen token (rule 10 of `docs/numerics.md`).
///
/// `h = (rotate_left(h, 5) ^ word) * 0x9e3779b1` from `h = 0`. Each step is a bijection of `h` and of `word`, so a single changed bit
/// always changes the result; a step takes three instructions per word on a Cortex-M0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputHash(u32);

impl OutputHash {
    /// A hash of no positions.
    #[must_use]
    pub const fn new() -> Self {
        OutputHash(0)
    }

    /// Adds the logits of one sampled position, `(vocab)`.
    pub fn logits(&mut self, logits: &[f32]) {
        for x in logits {
            self.word(x.to_bits());
        }
    }

    /// Adds the token that was chosen at that position.
    pub fn token(&mut self, token: u32) {
        self.word(token);
    }

    /// The hash so far.
    #[must_use]
    pub const fn value(&self) -> u32 {
        self.0
    }

    fn word(&mut self, word: u32) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b1);
    }
}
