//! A slow reference encoder, and the vocabulary of a real model.

use super::vocabulary::Vocabulary;
use std::collections::HashMap;

impl Vocabulary {
    /// The vocabulary of stories260K.
    pub fn stories() -> Self {
        let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/models/stories260K/tok512.bin")).unwrap();
        let mut rest = &file[4..];
        let mut pieces = Vec::new();
        while let Some((head, tail)) = rest.split_at_checked(8) {
            let score = f32::from_le_bytes(head[..4].try_into().unwrap());
            let (piece, tail) = tail.split_at(u32::from_le_bytes(head[4..].try_into().unwrap()) as usize);
            pieces.push((piece.to_vec(), score));
            rest = tail;
        }
        Self { pieces, ..Self::new(&[]) }
    }

    /// llama2.c's encoding as it is described: look at all pairs, merge the best, repeat.
    pub fn encode_slowly(&self, text: &str) -> Vec<u32> {
        let bytes = self.first_byte..self.first_byte + 256;
        let mut ids: HashMap<&[u8], u32> = HashMap::new();
        for (token, (piece, _)) in (0..).zip(&self.pieces) {
            if ![self.bos, self.eos, self.unk].contains(&token) && !bytes.contains(&token) {
                ids.entry(piece).or_insert(token);
            }
        }
        let text = if self.add_dummy_prefix && !text.is_empty() { format!(" {text}") } else { text.to_string() };
        let mut tokens = Vec::new();
        for character in text.chars() {
            let spelled = character.to_string();
            match ids.get(spelled.as_bytes()) {
                Some(&token) => tokens.push(token),
                None => tokens.extend(spelled.bytes().map(|byte| self.first_byte + u32::from(byte))),
            }
        }
        loop {
            let mut best: Option<(f32, usize, u32)> = None;
            for (at, pair) in tokens.windows(2).enumerate() {
                if bytes.contains(&pair[0]) || bytes.contains(&pair[1]) {
                    continue;
                }
                let joined = [&self.pieces[pair[0] as usize].0[..], &self.pieces[pair[1] as usize].0].concat();
                if let Some(&token) = ids.get(&joined[..]) {
                    let score = self.pieces[token as usize].1;
                    if best.is_none_or(|(highest, ..)| score > highest) {
                        best = Some((score, at, token));
                    }
                }
            }
            let Some((_, at, token)) = best else { return tokens };
            tokens.splice(at..at + 2, [token]);
        }
    }
}
