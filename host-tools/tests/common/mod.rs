//! A tiny llama2.c checkpoint with sizes that no block size divides, and the folder of large models.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

pub mod llama2c;

use std::path::{Path, PathBuf};

use attoformer_tools::import::Piece;
use tempfile::TempDir;

pub const DIM: usize = 12;
pub const HIDDEN: usize = 35;
pub const LAYERS: usize = 2;
pub const HEADS: usize = 2;
pub const KV_HEADS: usize = 1;
pub const VOCAB: usize = 283;
pub const CONTEXT: usize = 20;

/// SplitMix64: pseudo-random numbers that are the same everywhere.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) >> 16
    }

    /// Roughly normal, mean 0.
    pub fn float(&mut self) -> f32 {
        (0..4).map(|_| (self.word() % 2001) as f32 / 1000.0 - 1.0).sum::<f32>() * 0.5
    }
}

/// The header's seven numbers.
pub fn header() -> [i32; 7] {
    [DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT].map(|size| size as i32)
}

/// The bytes of a checkpoint with tied embeddings.
pub fn checkpoint() -> Vec<u8> {
    let kv_dim = DIM / HEADS * KV_HEADS;
    let per_layer = DIM + 2 * DIM * DIM + 2 * kv_dim * DIM + DIM + 3 * HIDDEN * DIM;
    let rotary = CONTEXT * (DIM / HEADS / 2) * 2;
    let floats = VOCAB * DIM + LAYERS * per_layer + DIM + rotary;
    let mut numbers = Numbers(1);
    llama2c::file(header(), (0..floats).map(|_| numbers.float()))
}

/// The bytes of a tokenizer: special tokens, byte tokens, then letters and a word.
pub fn tokenizer() -> Vec<u8> {
    let texts = " abcdefghijklmnopqrstuv".chars().map(String::from).chain(["ab".to_owned()]);
    let pieces = llama2c::base_pieces().chain(texts).enumerate();
    let pieces: Vec<Piece> = pieces.map(|(id, text)| Piece { bytes: text.into_bytes(), score: -(id as f32) }).collect();
    assert_eq!(pieces.len(), VOCAB);
    llama2c::pieces(&pieces)
}

/// A folder with `tiny.bin` and `tokenizer.bin`.
pub struct Tiny {
    pub folder: TempDir,
}

impl Tiny {
    pub fn new() -> Self {
        Self::with(&checkpoint(), &tokenizer())
    }

    pub fn with(checkpoint: &[u8], tokenizer: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tiny.bin"), checkpoint).unwrap();
        std::fs::write(folder.path().join("tokenizer.bin"), tokenizer).unwrap();
        Tiny { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn source(&self) -> PathBuf {
        self.path("tiny.bin")
    }

    /// Names of all files, sorted.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A file of the folder `shared` beside the repository; `None`, with a printed reason, if it does not exist.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")).join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} does not exist", path.display());
    None
}
