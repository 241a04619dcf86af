//! The models in `models/tales` and `models/tales-linear` match their records.

use std::path::Path;

use attoformer_train::{AttentionKind, Likelihood, Model, TrainConfig, Vocabulary, grammar_shares, held_out_texts};

/// Evaluates the model of a preset in the folder of the same name.
fn judge(name: &str, attention: AttentionKind, bytes_limit: usize) {
    let file = |part: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name).join(part);
    let model = Model::load(&file("model.bin")).unwrap();
    let vocabulary = Vocabulary::load(&file("tokenizer.bin")).unwrap();
    let record = TrainConfig::parse(&std::fs::read_to_string(file("train.toml")).unwrap()).unwrap();
    let figures = record.figures.clone().expect("a record has figures");
    assert_eq!(model.shape(), &record.model);
    assert_eq!(model.shape().attention, attention);
    assert_eq!(std::fs::metadata(file("model.bin")).unwrap().len(), figures.model_bytes as u64);
    assert!(figures.model_bytes <= bytes_limit);
    assert_eq!(TrainConfig { figures: None, ..record.clone() }, TrainConfig::preset(name).unwrap());

    let texts = held_out_texts(&record).unwrap();
    let sum: Likelihood = texts.iter().take(100).map(|text| model.score(&vocabulary, text).unwrap()).sum();
    let ratio = sum.perplexity() / figures.held_out_perplexity;
    assert!((0.97..1.03).contains(&ratio), "perplexity {} on a part", sum.perplexity());

    let seeds: Vec<u64> = (1_000..1_024).collect(); // other seeds than those of the record
    let texts = model.sample(&vocabulary, 0.7, &seeds, 256).unwrap();
    let (sentences, _) = grammar_shares(&texts);
    assert!(sentences >= 0.95, "{sentences} of the sentences are the grammar's");
    assert!(figures.sentences_parsed.is_some_and(|share| share >= 0.95));
}

#[test]
fn the_default_model_writes_what_the_grammar_reads() {
    judge("tales", AttentionKind::Softmax, 540_000);
}

#[test]
fn the_linear_model_writes_what_the_grammar_reads() {
    judge("tales-linear", AttentionKind::Linear, 600_000);
}
