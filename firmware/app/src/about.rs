//! The description of a program in its ELF file: the board and the built-in features of the engine.

use attoformer::Feature;

/// Bytes of the description, padded with zeros.
pub const ABOUT_BYTES: usize = 256;

/// The description of this program for a board: `board=NAME`, `features=LIST`, a line each. A board's `main` keeps it in the section `.attoformer`, from
/// which `atto flash` reads it before it writes anything.
#[must_use]
pub const fn about(board: &str) -> [u8; ABOUT_BYTES] {
    let mut text = Text { bytes: [0; ABOUT_BYTES], len: 0 };
    text.push("board=");
    text.push(board);
    text.push("\nfeatures=");
    let mut index = 0;
    let mut is_first = true;
    while index < Feature::ALL.len() {
        let feature = Feature::ALL[index];
        if feature.is_built_in() {
            if !is_first {
                text.push(",");
            }
            text.push(feature.name());
            is_first = false;
        }
        index += 1;
    }
    text.push("\n");
    text.bytes
}

/// Text that is written at compile time; what does not fit is a compile error.
struct Text {
    bytes: [u8; ABOUT_BYTES],
    len: usize,
}

impl Text {
    const fn push(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() {
            self.bytes[self.len] = text[at];
            self.len += 1;
            at += 1;
        }
    }
}
