//! Vocabularies and texts for the tests of the tokenizer, and a writer of sections as `docs/image.md` describes them.

use super::random::Random;

/// The contents of a tokenizer section.
#[derive(Clone)]
pub struct Vocabulary {
    pub pieces: Vec<(Vec<u8>, f32)>,
    pub bos: u32,
    pub eos: u32,
    pub unk: u32,
    pub first_byte: u32,
    pub add_dummy_prefix: bool,
}

impl Vocabulary {
    /// UNK, BOS, EOS and the byte tokens, as in every llama2.c vocabulary; then `pieces`.
    pub fn new(pieces: &[(&str, f32)]) -> Self {
        let mut all: Vec<(Vec<u8>, f32)> = ["<unk>", "\n<s>\n", "\n</s>\n"].iter().map(|piece| (piece.as_bytes().to_vec(), 0.0)).collect();
        all.extend((0..256).map(|byte| (format!("<0x{byte:02X}>").into_bytes(), 0.0)));
        all.extend(pieces.iter().map(|(piece, score)| (piece.as_bytes().to_vec(), *score)));
        Self { pieces: all, bos: 1, eos: 2, unk: 0, first_byte: 3, add_dummy_prefix: true }
    }

    /// Letters with merges in an ordinary order, and some multi-byte characters.
    pub fn small() -> Self {
        Self::new(&[
            (" t", -1.0),
            ("he", -2.0),
            (" the", -3.0),
            ("ab", -4.0),
            ("bc", -5.0),
            ("abc", -6.0),
            ("aa", -7.0),
            ("aaaa", -8.0),
            ("é", -9.0),
            ("éa", -10.0),
            ("日", -11.0),
            ("日本", -12.0),
            (" ", -13.0),
            ("t", -14.0),
            ("h", -15.0),
            ("e", -16.0),
            ("a", -17.0),
            ("b", -18.0),
            ("c", -19.0),
            ("<", -20.0),
            (">", -21.0),
            ("s", -22.0),
            ("/", -23.0),
            ("\n", -24.0),
        ])
    }

    /// Random pieces, most of them concatenations of others, with random scores of which many are equal: merges in no sensible order, equal
    /// pieces, and (with `spaces` above 0) runs of spaces or (above 1) pieces across words.
    pub fn random(random: &mut Random, spaces: usize) -> Self {
        let letters = ["a", "b", "é", "日", "\u{1F600}"];
        let mut pieces: Vec<String> = [" ", "a", "b", "é", "日"].iter().map(|piece| piece.to_string()).collect();
        for _ in 0..random.below(60) {
            let (front, back) = (pieces[random.below(pieces.len())].clone(), &pieces[random.below(pieces.len())]);
            let piece = match random.below(4) {
                0 => format!("{front}{}", random.pick(&letters)),
                _ => format!("{front}{back}"),
            };
            let inner = piece.trim_start_matches(' ').contains(' ');
            let runs = piece.starts_with("  ");
            if piece.len() <= 255 && (spaces > 1 || (spaces == 1 && !inner) || !(inner || runs)) {
                pieces.push(piece);
            }
        }
        let scored: Vec<(&str, f32)> = pieces.iter().map(|piece| (piece.as_str(), random.below(12) as f32 - 6.0)).collect();
        Self::new(&scored)
    }

    pub fn vocab(&self) -> u32 {
        self.pieces.len() as u32
    }

    /// The bytes of the section.
    pub fn section(&self) -> Vec<u8> {
        let longest = self.pieces.iter().map(|(piece, _)| piece.len()).max().unwrap_or(0) as u32;
        let one_space = self.pieces.iter().all(|(piece, _)| !piece.iter().skip(1).any(|&byte| byte == b' '));
        let flags = u32::from(self.add_dummy_prefix) | u32::from(one_space) << 1;
        let mut words = vec![1, self.vocab(), longest, flags, self.bos, self.eos, self.first_byte, self.unk, 0];
        for (piece, _) in &self.pieces {
            words.push(words[words.len() - 1] + piece.len() as u32);
        }
        words.extend(self.pieces.iter().map(|(_, score)| score.to_bits()));
        let mut sorted: Vec<u32> = (0..self.vocab()).collect();
        sorted.sort_by_key(|&token| (&self.pieces[token as usize].0, token));
        words.extend(sorted);
        let pieces = self.pieces.iter().flat_map(|(piece, _)| piece.iter().copied());
        words.iter().flat_map(|word| word.to_le_bytes()).chain(pieces).collect()
    }
}

/// A text of up to `pieces` parts: words, emoji with joiners, runs of spaces, control characters, anything of any plane.
pub fn random_text(random: &mut Random, pieces: usize) -> String {
    const PARTS: [&str; 22] = [
        " ",
        "  ",
        "    ",
        "the",
        " the",
        "Once upon a time",
        "a",
        "b",
        "ab",
        "aaaaaaaaaaaaa",
        "é",
        "日本",
        "\u{1F469}\u{200D}\u{1F467}\u{1F3FD}",
        "\u{1F600}",
        "\n",
        "\t\0\u{7f}",
        "<s>",
        "\n<s>\n",
        "<0x41>",
        "</s>",
        "<unk>",
        "e\u{301}",
    ];
    let mut text = String::new();
    for _ in 0..random.below(pieces + 1) {
        match random.below(8) {
            0 => text.extend(char::from_u32(random.below(0x11_0000) as u32)),
            1 => (0..random.below(40)).for_each(|_| text.push(random.pick(&['a', 'b', 'h', 'e', 't']))),
            _ => text.push_str(random.pick(&PARTS)),
        }
    }
    text
}
