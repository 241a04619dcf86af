//! Conventions, verified on a published model: a wrong rotation, order or norm would make its perplexity far worse than the 5.5 of other
//! programs on these texts.

use std::path::Path;

use attoformer_train::{Likelihood, Model, Vocabulary, split_documents};

#[test]
fn stories260k_reads_stories_well() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let model = shared.join("models/stories260K/stories260K.bin");
    let texts = shared.join("data/tinystories_dev.txt");
    if !model.exists() || !texts.exists() {
        eprintln!("skipped: the published model or the stories are not there");
        return;
    }
    let bytes = std::fs::read(&model).unwrap();
    let model = Model::from_bytes(&bytes).unwrap();
    assert_eq!(model.shape().parameters(), 260_032);
    let floats = 28 + 4 * model.shape().parameters(); // the rotary tables after them may round otherwise
    let written = model.to_bytes().unwrap();
    assert!(written[..floats] == bytes[..floats], "writing does not reproduce the file");
    assert_eq!(written.len(), bytes.len());
    let vocabulary = std::fs::read(shared.join("models/stories260K/tok512.bin")).unwrap();
    let vocabulary = Vocabulary::from_bytes(&vocabulary).unwrap();
    assert_eq!(vocabulary.size(), model.shape().vocab);

    let texts = split_documents(&std::fs::read_to_string(texts).unwrap());
    let sum: Likelihood = texts.iter().map(|text| model.score(&vocabulary, text).unwrap()).sum();
    let perplexity = sum.perplexity();
    eprintln!("perplexity {perplexity:.3} over {} tokens", sum.tokens);
    assert!((5.4..5.6).contains(&perplexity), "perplexity {perplexity} where other programs get 5.5");
}
