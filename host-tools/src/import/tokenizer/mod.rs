//! Tokenizers: vocabularies, merges and normalizer settings from every source format. One file per tokenizer kind; `json/` reads `tokenizer.json`.

pub mod byte_bpe;
pub mod charsmap;
pub mod json;
pub mod model;
pub mod sentencepiece;
pub mod token_list;
pub mod unigram;
mod vocab_txt;
mod wordpiece;

pub use byte_bpe::{ByteBpe, byte_bpe};
pub use charsmap::{Charmap, charmap};
pub use model::{AddedToken, Merge, NEVER, Piece, Scheme, SentencePieceSpaces, SplitPattern, Tokenizer, UnigramSpaces};
pub use sentencepiece::{SentencePiece, sentencepiece};
pub use token_list::{TokenList, TokenType};
pub use unigram::{Unigram, unigram};
