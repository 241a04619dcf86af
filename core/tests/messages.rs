//! The wording of every error: one sentence with the cause and, where there is one, the remedy.

use attoformer::Error;

#[test]
fn errors_read_as_written() {
    let errors = [
        Error::TooShort { need: 512, have: 12 },
        Error::NotAnImage,
        Error::Misaligned,
        Error::Version { found: 1 },
        Error::Version { found: 3 },
        Error::Numerics { found: 1 },
        Error::Numerics { found: 3 },
        Error::Required { bits: 6 },
        Error::Reserved { at: 136 },
        Error::HeaderChecksum,
        Error::PayloadChecksum,
        Error::Field { name: "heads", value: 0 },
        Error::Section { kind: 6 },
        Error::Tensor { index: 3, what: "its shape contradicts the header" },
        Error::NotFinite { index: 3 },
        Error::Tokenizer { what: "the section is truncated" },
        Error::NotBuiltIn { feature: "byte-bpe" },
        Error::NoTokenizer,
        Error::Metadata,
        Error::ArenaTooSmall { need: 2048, have: 1024 },
        Error::ArenaMismatch { stated: 1024, implied: 2048 },
        Error::Context { asked: 600, packed: 512 },
        Error::ContextFull { tokens: 513, context: 512 },
        Error::Architecture { asked: "text generation" },
        Error::NothingEncoded,
        Error::Features { width: 40, values: 41 },
        Error::EmptyPrompt,
        Error::TokenOutOfRange { token: 512, vocab: 512 },
        Error::BufferTooSmall { need: 9, have: 8 },
        Error::Overflow { position: 7 },
        Error::Sampling { name: "top_p" },
        Error::FloatMode,
        Error::SelfTest { expected: 0x1234_abcd, found: 1 },
    ];
    let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(messages.iter().all(|message| !message.contains('\n') && !message.ends_with('.')));
    insta::assert_snapshot!(messages.join("\n"), @r"
    the image is truncated: 12 of 512 bytes
    not an .atto image: it does not begin with ATTO
    the image must start at an address that is a multiple of 16
    the image has format version 1, this engine reads version 2: pack the model again
    the image has format version 3, this engine reads version 2: update the engine
    the image was packed for numerics 1, this engine computes numerics 2: pack the model again
    the image was packed for numerics 3, this engine computes numerics 2: update the engine
    this image needs a newer engine (unknown bits 0x6 of `required`): update the engine (atto/attoformer)
    byte 136 of the header is reserved and not zero: the image is damaged, or needs a newer engine (atto/attoformer)
    the image's header is damaged: its checksum does not match
    the image is damaged: the checksum of its sections does not match
    header field heads has the invalid value 0
    section 6 is missing, duplicated, misplaced or of the wrong size
    tensor 3: its shape contradicts the header
    tensor 3 contains a NaN or an infinity
    tokenizer: the section is truncated
    the image needs the engine's feature `byte-bpe`, which this program was built without: enable it in Cargo.toml
    the image has no tokenizer: give it tokens or features instead of text
    the metadata section is absent or unreadable
    the arena has 1024 bytes, the plan needs 2048
    the image states an arena of 1024 bytes, its shape implies 2048
    a context or block of 600 tokens is not within the image's 1 to 512
    513 tokens exceed the context of 512
    this model does not support text generation
    the encoder has no input yet: encode one first
    41 features are not one or more rows of 40 finite values
    the prompt is empty: give at least one token
    token 512 is not in the vocabulary of 512
    a buffer of 8 elements is too small, 9 are needed
    the output at position 7 is not finite: the weights overflow f32
    sampling parameter top_p is out of range
    the CPU flushes subnormal numbers to zero or does not round to nearest even: restore the IEEE 754 defaults
    the self-test failed: hash 00000001 instead of 1234abcd
    ");
}
