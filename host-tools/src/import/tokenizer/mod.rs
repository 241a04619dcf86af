//! Tokenizers: vocabularies, merge rules, added tokens and normalizer settings of every source format. One file per tokenizer kind; `json/` reads
//! the files of Hugging Face's `tokenizers` library.

pub mod byte_bpe;
pub mod charsmap;
pub mod error;
pub mod json;
pub mod limits;
pub mod model;
pub mod sentencepiece;
pub mod token_list;
pub mod unigram;
mod vocab_txt;
mod wordpiece;

pub use byte_bpe::{ByteBpe, byte_bpe};
pub use charsmap::{Charmap, parse_charsmap};
pub use model::{AddedToken, Merge, NEVER, Piece, Scheme, SentencePieceSpaces, SpecialIds, SplitPattern, Tokenizer, UnigramSpaces};
pub use sentencepiece::{SentencePiece, sentencepiece};
pub use token_list::{TokenList, TokenType};
pub use unigram::{Unigram, unigram};
