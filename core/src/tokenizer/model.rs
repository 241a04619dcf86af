//! The kinds of tokenizer, each with a Cargo feature of its own.

use super::added::Segment;
#[cfg(feature = "bpe")]
use super::bpe::{self, Bpe};
#[cfg(feature = "byte-bpe")]
use super::byte_bpe::{self, ByteBpe};
use super::flags;
use super::reader::{Le32Slice, Reader, invalid};
use super::rules::TextRules;
#[cfg(feature = "unigram")]
use super::unigram::{self, Unigram};
use super::vocabulary::Vocabulary;
#[cfg(feature = "wordpiece")]
use super::wordpiece::WordPiece;
use crate::error::Error;
use core::convert::Infallible;
use core::marker::PhantomData;

/// How words become tokens.
#[derive(Clone, Copy, Debug)]
pub enum Model<'a> {
    #[cfg(feature = "bpe")]
    Bpe(Bpe<'a>),
    #[cfg(feature = "wordpiece")]
    WordPiece(WordPiece),
    #[cfg(feature = "byte-bpe")]
    ByteBpe(ByteBpe<'a>),
    #[cfg(feature = "unigram")]
    Unigram(Unigram<'a>),
    /// Never constructed. It uses the lifetime in a build without the others.
    #[allow(dead_code)]
    Never(Infallible, PhantomData<&'a ()>),
}

/// The fields of a section, before the tables of its kind are read.
pub struct Section<'a> {
    pub kind: u32,
    pub flags: u32,
    /// The header field that each kind uses for itself.
    pub parameter: u32,
    pub vocabulary: Vocabulary<'a>,
    pub scores: Le32Slice<'a>,
    /// At the tables of the kind.
    pub reader: Reader<'a>,
}

impl<'a> Section<'a> {
    /// Reads the header and the common tables. Only their sizes are checked.
    pub fn read(section: &'a [u8], vocab: u32) -> Result<Self, Error> {
        let mut reader = Reader::new(section);
        let &[kind, count, longest, flags, bos, eos, parameter, unk] = reader.array(Some(flags::HEADER_BYTES / 4))? else {
            return Err(invalid("the section is truncated"));
        };
        let [kind, count, longest, flags] = [kind, count, longest, flags].map(u32::from_le_bytes);
        let [bos, eos, parameter, unk] = [bos, eos, parameter, unk].map(u32::from_le_bytes);
        if count != vocab {
            return Err(invalid("the vocabulary of the section differs in size from that of the header"));
        }
        let entries = vocab as usize;
        let offsets = reader.array(entries.checked_add(1))?;
        let scores = match kind {
            flags::KIND_BPE => Some(entries),
            flags::KIND_UNIGRAM => entries.checked_mul(if flags & flags::unigram::WIDE_SCORES != 0 { 2 } else { 1 }),
            _ => Some(0),
        };
        let scores = reader.array(scores)?;
        let sorted = reader.array(Some(entries))?;
        let has_added = flags & flags::ADDED_TOKENS != 0 && kind != flags::KIND_WORDPIECE;
        let added = if has_added { reader.counted_rows()? } else { &[] };
        let flags = if has_added { flags & !flags::ADDED_TOKENS } else { flags };
        let first_byte = match kind {
            flags::KIND_BPE => Some(parameter),
            flags::KIND_UNIGRAM if flags & flags::unigram::BYTE_FALLBACK != 0 => Some(parameter),
            _ => None,
        };
        let vocabulary = Vocabulary { offsets, sorted, bytes: &[], longest: longest as usize, bos, eos, unk, first_byte, added };
        Ok(Section { kind, flags, parameter, vocabulary, scores, reader })
    }
}

impl<'a> Model<'a> {
    /// Reads the rest of a section, and refuses contradictions.
    #[allow(unused_variables, unused_mut, reason = "each is used by some kinds only")]
    pub fn read(section: Section<'a>) -> Result<(Self, Vocabulary<'a>, TextRules), Error> {
        let Section { kind, flags, parameter, mut vocabulary, scores, mut reader } = section;
        match kind {
            #[cfg(feature = "bpe")]
            flags::KIND_BPE => {
                vocabulary.bytes = reader.rest();
                let (bpe, rules) = Bpe::new(&vocabulary, scores, flags)?;
                Ok((Model::Bpe(bpe), vocabulary, rules))
            }
            #[cfg(not(feature = "bpe"))]
            flags::KIND_BPE => Err(Error::NotBuiltIn { feature: "bpe" }),
            #[cfg(feature = "wordpiece")]
            flags::KIND_WORDPIECE => {
                vocabulary.bytes = reader.rest();
                let (wordpiece, rules) = WordPiece::new(&vocabulary, parameter, flags)?;
                Ok((Model::WordPiece(wordpiece), vocabulary, rules))
            }
            #[cfg(not(feature = "wordpiece"))]
            flags::KIND_WORDPIECE => Err(Error::NotBuiltIn { feature: "wordpiece" }),
            #[cfg(feature = "byte-bpe")]
            flags::KIND_BYTE_BPE => {
                let bpe = ByteBpe::read(&mut reader, vocabulary.sorted.len(), parameter, flags)?;
                vocabulary.bytes = reader.rest();
                let rules = bpe.check(&vocabulary, flags)?;
                Ok((Model::ByteBpe(bpe), vocabulary, rules))
            }
            #[cfg(not(feature = "byte-bpe"))]
            flags::KIND_BYTE_BPE => Err(Error::NotBuiltIn { feature: "byte-bpe" }),
            #[cfg(feature = "unigram")]
            flags::KIND_UNIGRAM => {
                let mut unigram = Unigram::read(&mut reader, scores, flags)?;
                vocabulary.bytes = reader.rest();
                let rules = unigram.check(&vocabulary, flags)?;
                Ok((Model::Unigram(unigram), vocabulary, rules))
            }
            #[cfg(not(feature = "unigram"))]
            flags::KIND_UNIGRAM => Err(Error::NotBuiltIn { feature: "unigram" }),
            _ => Err(invalid("the kind of the section is not one that this engine supports")),
        }
    }

    /// Writes the tokens of `segment` to `out` and returns how many they are: more than `out` has elements, or `None`, if it is too short.
    #[allow(unused_variables, reason = "a build without tokenizers uses none")]
    pub fn encode(&self, vocabulary: &Vocabulary<'_>, segment: Segment<'_>, out: &mut [u32]) -> Option<usize> {
        match self {
            #[cfg(feature = "bpe")]
            Model::Bpe(bpe) => bpe::encode(bpe, vocabulary, segment, out),
            #[cfg(feature = "wordpiece")]
            Model::WordPiece(wordpiece) => Some(wordpiece.encode(vocabulary, segment.text, out)),
            #[cfg(feature = "byte-bpe")]
            Model::ByteBpe(bpe) => byte_bpe::encode(bpe, vocabulary, segment, out),
            #[cfg(feature = "unigram")]
            Model::Unigram(unigram) => unigram::encode(unigram, vocabulary, segment, out),
            Model::Never(never, _) => match *never {},
        }
    }

    /// Whether BOS, EOS and UNK are matched as special tokens if the section lists no added tokens. Sections of byte-level BPE list all.
    pub fn has_implied_special_tokens(&self) -> bool {
        #[cfg(feature = "byte-bpe")]
        if matches!(self, Model::ByteBpe(_)) {
            return false;
        }
        true
    }
}
