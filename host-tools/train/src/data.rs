//! Texts of a corpus, and their packing into rows.

use attoformer_stories::{Rng, story};

use crate::config::Corpus;
use crate::error::TrainError;
use crate::vocabulary::{BOS, Vocabulary};

/// Separator of the texts of a file.
const SEPARATOR: &str = "<|endoftext|>";

/// Distinguishes the seeds of held-out tales from those of training.
const HELD_OUT: u64 = 0x4845_4c44_4f55_5421;

/// The texts of a corpus, some of them held out.
pub(crate) enum Texts {
    Tales { seed: u64 },
    Documents { train: Vec<String>, held_out: Vec<String> },
}

impl Texts {
    /// Opens a corpus. Every fiftieth text of a file is held out.
    pub(crate) fn open(corpus: &Corpus, seed: u64) -> Result<Self, TrainError> {
        let Corpus::File(path) = corpus else {
            return Ok(Self::Tales { seed });
        };
        let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
        let documents = split_documents(&text);
        if documents.len() < 2 {
            let name = path.display();
            return Err(TrainError::Format(format!("{name}: it needs at least two texts, separated by lines that read {SEPARATOR}")));
        }
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        for (at, document) in documents.into_iter().enumerate() {
            if at % 50 == 1 { held_out.push(document) } else { train.push(document) }
        }
        Ok(Self::Documents { train, held_out })
    }

    /// Draws a training text.
    fn draw(&self, rng: &mut Rng) -> String {
        match self {
            Self::Tales { .. } => story(rng.next_u64()),
            Self::Documents { train, .. } => train[rng.below(train.len())].clone(),
        }
    }

    /// Texts to train the tokenizer on.
    pub(crate) fn sample(&self, count: usize) -> Vec<String> {
        match self {
            Self::Tales { seed } => attoformer_stories::corpus(*seed, count).collect(),
            Self::Documents { train, .. } => train.iter().take(count).cloned().collect(),
        }
    }

    /// Texts that are never used for training.
    pub(crate) fn held_out(&self, count: usize) -> Vec<String> {
        match self {
            Self::Tales { seed } => attoformer_stories::corpus(seed ^ HELD_OUT, count).collect(),
            Self::Documents { held_out, .. } => held_out.iter().take(count).cloned().collect(),
        }
    }
}

/// The non-empty texts of a file, trimmed.
pub fn split_documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        match documents.last_mut() {
            Some(document) if line.trim_end() != SEPARATOR => {
                document.push_str(line);
                document.push('\n');
            }
            _ => documents.push(String::new()),
        }
    }
    let trimmed = documents.iter().map(|document| document.trim());
    trimmed.filter(|document| !document.is_empty()).map(str::to_owned).collect()
}

/// Rows of tokens, and for each token the next one.
pub(crate) struct Batch {
    pub(crate) inputs: Vec<u32>,
    pub(crate) targets: Vec<u32>,
}

/// Packs texts into rows. Each row starts with a new text, so no row contains a text without its start; tokens beyond the row are dropped.
/// The target at the end of a text is the next BOS.
pub(crate) fn pack(texts: &Texts, vocabulary: &Vocabulary, rng: &mut Rng, rows: usize, row_tokens: usize) -> Batch {
    let mut batch = Batch { inputs: Vec::new(), targets: Vec::new() };
    let mut row = Vec::with_capacity(row_tokens + 1);
    for _ in 0..rows {
        row.clear();
        while row.len() <= row_tokens {
            row.push(BOS);
            row.extend(vocabulary.encode(&texts.draw(rng)));
        }
        batch.inputs.extend(&row[..row_tokens]);
        batch.targets.extend(&row[1..=row_tokens]);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_trimmed_and_empty_ones_skipped() {
        let text = "\n one\nmore \n<|endoftext|>\n\n<|endoftext|>\r\ntwo\n";
        assert_eq!(split_documents(text), ["one\nmore", "two"]);
        assert!(split_documents(" \n").is_empty());
    }

    #[test]
    fn rows_start_with_a_text_and_targets_follow_inputs() {
        let texts = Texts::Tales { seed: 1 };
        let vocabulary = Vocabulary::train(texts.sample(500).into_iter(), 400).unwrap();
        let batch = pack(&texts, &vocabulary, &mut Rng::new(3), 4, 300);
        assert_eq!((batch.inputs.len(), batch.targets.len()), (1_200, 1_200));
        for (inputs, targets) in batch.inputs.chunks(300).zip(batch.targets.chunks(300)) {
            assert_eq!(inputs[0], BOS);
            assert_eq!(inputs[1..], targets[..299]);
            assert!(targets.contains(&BOS), "the end of a text is a target");
        }
    }

    #[test]
    fn held_out_tales_are_not_trained_on() {
        let texts = Texts::Tales { seed: 1 };
        let trained = texts.sample(1_000);
        assert!(texts.held_out(100).iter().all(|story| !trained.contains(story)));
    }
}
