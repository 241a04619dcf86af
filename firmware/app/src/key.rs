//! The public key that is part of the program, with the feature `built-in-key`.
//!
//! `ATTO_PUBLIC_KEY=/path/to/KEY.pub cargo build --release --features built-in-key` in a board's folder; the file is what `atto keygen` writes.

/// The key of the file that `ATTO_PUBLIC_KEY` names; a file that is not such a key is a compile error.
#[cfg(feature = "built-in-key")]
pub const BUILT_IN_KEY: Option<[u8; 32]> = Some(pem::parse(include_str!(env!("ATTO_PUBLIC_KEY"))));
/// This program has no key of its own.
#[cfg(not(feature = "built-in-key"))]
pub const BUILT_IN_KEY: Option<[u8; 32]> = None;

#[cfg(feature = "built-in-key")]
mod pem {
    /// First line of a public key in PEM (RFC 7468).
    const FIRST_LINE: &[u8] = b"-----BEGIN PUBLIC KEY-----\n";
    /// Bytes before the key's 32 bytes in a SubjectPublicKeyInfo of ed25519 (RFC 8410).
    const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

    /// The key in a PEM file, read at compile time.
    pub const fn parse(pem: &str) -> [u8; 32] {
        let text = pem.as_bytes();
        let mut at = 0;
        while at < FIRST_LINE.len() {
            assert!(text[at] == FIRST_LINE[at], "ATTO_PUBLIC_KEY does not name a public key in PEM");
            at += 1;
        }
        // 44 bytes are 60 characters of Base64, the last one `=`.
        let mut bytes = [0; 45];
        let mut group = 0;
        while group < 15 {
            let digits = at + 4 * group;
            let word = digit(text[digits]) << 18 | digit(text[digits + 1]) << 12 | digit(text[digits + 2]) << 6 | digit(text[digits + 3]);
            bytes[3 * group] = (word >> 16) as u8;
            bytes[3 * group + 1] = (word >> 8) as u8;
            bytes[3 * group + 2] = word as u8;
            group += 1;
        }
        let mut key = [0; 32];
        let mut index = 0;
        while index < PREFIX.len() {
            assert!(bytes[index] == PREFIX[index], "ATTO_PUBLIC_KEY names a key that is not ed25519");
            index += 1;
        }
        while index < PREFIX.len() + key.len() {
            key[index - PREFIX.len()] = bytes[index];
            index += 1;
        }
        key
    }

    /// The value of a Base64 digit; that of `=` does not matter.
    const fn digit(digit: u8) -> u32 {
        match digit {
            b'A'..=b'Z' => (digit - b'A') as u32,
            b'a'..=b'z' => (digit - b'a') as u32 + 26,
            b'0'..=b'9' => (digit - b'0') as u32 + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => 0,
            _ => panic!("ATTO_PUBLIC_KEY does not name a public key in PEM"),
        }
    }
}
