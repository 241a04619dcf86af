//! The surroundings of a text's tokens: special tokens on input, spaces on output.

/// The prefix of pieces that continue a word.
pub const CONTINUATION: &[u8] = b"##";

/// The differences between kinds of tokenizer apart from how they split text.
#[derive(Clone, Copy, Debug)]
pub struct TextRules {
    /// Inputs start with BOS.
    pub add_bos: bool,
    /// Inputs end with EOS.
    pub add_eos: bool,
    pub spacing: Spacing,
    /// Upper bound on the tokens per byte of text.
    pub growth: usize,
}

/// How pieces are joined to a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// As they are.
    Verbatim,
    /// A space at the start of the text is removed: encoding put it there (the dummy prefix).
    DummyPrefix,
    /// WordPiece: a space comes before each piece that does not continue a word.
    Words,
}
