//! A vocabulary in memory, whatever file it came from, and how it splits texts.

use super::charsmap::Charmap;

/// Longest piece that an image holds.
pub const PIECE_BYTES_MAX: usize = 255;

/// What stands for a space in SentencePiece's vocabularies.
pub(super) const METASPACE: char = '\u{2581}';

/// A vocabulary, and how it makes tokens of a text.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    /// Pieces by token id.
    pub pieces: Vec<Piece>,
    /// Token that begins a text.
    pub bos: u32,
    /// Token that ends a text.
    pub eos: u32,
    /// Token of what cannot be encoded.
    pub unk: u32,
    /// Whether the begin token is written before a text (BPE; a WordPiece's always is).
    pub add_bos: bool,
    /// Whether the end token is written behind a text (BPE; a WordPiece's always is).
    pub add_eos: bool,
    /// Logarithms of the pieces' probabilities (Unigram, whose pieces' own scores are 0).
    pub scores: Vec<f64>,
    /// What becomes of the characters of a text (Unigram).
    pub charmap: Charmap,
    /// Pairs that merge, the first ones first (byte-level BPE).
    pub merges: Vec<Merge>,
    /// Tokens that a text may spell out (BPE).
    pub added: Vec<AddedToken>,
    /// How texts are split.
    pub scheme: Scheme,
}

/// How a vocabulary makes tokens of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// SentencePiece-style BPE: pieces with scores, and bytes for what no piece covers.
    SentencePiece {
        /// Token of byte 0; the other 255 follow.
        first_byte: u32,
        /// What it does about spaces.
        spaces: SentencePieceSpaces,
    },
    /// WordPiece behind BERT's normaliser; the steps are those of its `BasicTokenizer`.
    WordPiece {
        /// Control characters go, white space becomes a space.
        clean_text: bool,
        /// Chinese characters are words.
        handle_chinese_chars: bool,
        /// Accents go.
        strip_accents: bool,
        /// Letters become lower case.
        lowercase: bool,
        /// Words of more characters are unknown.
        max_word_characters: u32,
    },
    /// Byte-level BPE: pieces of bytes, and pairs that merge.
    ByteBpe {
        /// How texts are cut into words.
        split: SplitPattern,
        /// Texts are brought to Unicode's form C first.
        nfc: bool,
        /// A word that is a piece is not merged.
        ignore_merges: bool,
    },
    /// Unigram: pieces with scores that add up.
    Unigram {
        /// Token of byte 0, the other 255 follow; where unknown characters are byte tokens.
        first_byte: Option<u32>,
        /// What is done to the spaces of a text.
        spaces: UnigramSpaces,
    },
}

/// What a Unigram does to the spaces of a text, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnigramSpaces {
    /// White space at both ends of the text goes, before a map of characters.
    pub strip: bool,
    /// White space at the text's end goes, behind it.
    pub trim_end: bool,
    /// Several spaces become one that is no white space: U+2581.
    pub collapse_spaces: bool,
    /// Or one that is.
    pub collapse_to_plain_space: bool,
    /// Words end at white space, which goes.
    pub split_whitespace: bool,
    /// A space is put before each word, or text that is not split_whitespace, if it has none.
    pub add_dummy_prefix: bool,
    /// But only where it starts the whole text.
    pub first_word_only: bool,
    /// Words begin with each space.
    pub split_at_spaces: bool,
}

/// What SentencePiece-style BPE does about spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentencePieceSpaces {
    /// One is put before a text.
    pub add_dummy_prefix: bool,
    /// But not behind an added token.
    pub start_of_text_only: bool,
    /// But not before a text that has one.
    pub unless_present: bool,
    /// U+2581 is a space.
    pub metaspace_is_space: bool,
}

impl SentencePieceSpaces {
    /// Those of llama2.c.
    pub const LLAMA2C: SentencePieceSpaces =
        SentencePieceSpaces { add_dummy_prefix: true, start_of_text_only: false, unless_present: false, metaspace_is_space: false };
}

/// Where byte-level BPE cuts a text into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitPattern {
    /// GPT-2's pattern.
    Gpt2,
    /// Llama 3's, which is GPT-4's.
    Llama3,
    /// Qwen 2's: the same with words of one digit.
    Qwen2,
    /// SmolLM's: words of one digit, then GPT-2's.
    SmolLm,
}

/// One entry of a vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Text it stands for.
    pub bytes: Vec<u8>,
    /// Merges with a higher score come first, nothing merges to a score of [`NEVER`]; 0 where nothing is merged by scores.
    pub score: f32,
}

/// The score of a piece that no two tokens merge to.
pub const NEVER: f32 = f32::MIN;

/// Two tokens that merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The first.
    pub left: u32,
    /// The second.
    pub right: u32,
    /// What they merge to.
    pub merged: u32,
}

/// A token that is matched before a text is split into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddedToken {
    /// Its id.
    pub token: u32,
    /// Text cannot forge it: it is matched only where the caller asks for control tokens.
    pub special: bool,
    /// It takes the white space before it.
    pub lstrip: bool,
    /// It takes the white space behind it.
    pub rstrip: bool,
    /// It is matched in what the tokens without this mark leave.
    pub normalized: bool,
}

impl AddedToken {
    /// A token without marks.
    pub fn new(token: u32, special: bool) -> Self {
        AddedToken { token, special, lstrip: false, rstrip: false, normalized: false }
    }
}

impl Tokenizer {
    /// A tokenizer that writes the begin token before a text, and not the end token behind it.
    pub fn new(pieces: Vec<Piece>, [bos, eos, unk]: [u32; 3], scheme: Scheme) -> Self {
        Tokenizer {
            pieces,
            bos,
            eos,
            unk,
            add_bos: true,
            add_eos: false,
            scores: Vec::new(),
            charmap: Charmap::new(),
            merges: Vec::new(),
            added: Vec::new(),
            scheme,
        }
    }

    /// Adds empty pieces up to `rows`, for a model whose token table is longer than its vocabulary.
    pub fn pad_to(&mut self, rows: usize) {
        if rows > self.pieces.len() {
            self.pieces.resize(rows, Piece { bytes: Vec::new(), score: 0.0 });
        }
    }
}

/// Refuses pieces that an image cannot hold, and added tokens that are empty or there twice.
pub(super) fn check(tokenizer: Tokenizer) -> Result<Tokenizer, String> {
    for (id, piece) in tokenizer.pieces.iter().enumerate() {
        let shown = String::from_utf8_lossy(&piece.bytes).len().max(piece.bytes.len());
        if shown > PIECE_BYTES_MAX {
            return Err(format!("piece {id} has {shown} bytes, {PIECE_BYTES_MAX} at most can be packed"));
        }
    }
    let bytes = |added: &AddedToken| &tokenizer.pieces[added.token as usize].bytes;
    let mut added: Vec<&AddedToken> = tokenizer.added.iter().collect();
    added.sort_by_key(|added| bytes(added));
    if let Some(empty) = added.iter().find(|added| bytes(added).is_empty()) {
        return Err(format!("its added token {} is empty", empty.token));
    }
    if let Some(pair) = added.windows(2).find(|pair| bytes(pair[0]) == bytes(pair[1])) {
        return Err(format!("its added tokens {} and {} are equal", pair[0].token, pair[1].token));
    }
    Ok(tokenizer)
}
