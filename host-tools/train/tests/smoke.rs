//! A run of seconds, from the configuration to its files.

use attoformer_train::{Corpus, Model, TrainConfig, Vocabulary, held_out_texts, train};

#[test]
fn a_short_run_learns_and_leaves_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig::preset("smoke").unwrap();
    let report = train(&config, dir.path(), false).unwrap();
    let guessing = (config.model.vocab as f64).ln();
    assert!(report.train_loss < 0.8 * guessing, "loss {} where guessing has {guessing}", report.train_loss);
    assert!(report.held_out_perplexity < 0.5 * config.model.vocab as f64, "{report:?}");

    let model = Model::load(&dir.path().join("model.bin")).unwrap();
    let vocabulary = Vocabulary::load(&dir.path().join("tokenizer.bin")).unwrap();
    assert_eq!(model.shape(), &config.model);
    assert_eq!(model.to_bytes().unwrap().len(), report.model_bytes);
    assert_eq!(vocabulary.size(), config.model.vocab);
    let text = &held_out_texts(&config).unwrap()[0];
    assert!(model.score(&vocabulary, text).unwrap().perplexity() < 0.5 * config.model.vocab as f64);

    let record = std::fs::read_to_string(dir.path().join("train.toml")).unwrap();
    let record = TrainConfig::parse(&record).unwrap();
    assert_eq!(record.figures.as_ref(), Some(&report));
    assert_eq!(TrainConfig { figures: None, ..record }, config);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "no other file remains");
}

#[test]
fn a_file_is_a_corpus_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("corpus.txt");
    let texts: Vec<String> = attoformer_stories::corpus(9, 300).collect();
    std::fs::write(&path, texts.join("\n<|endoftext|>\n")).unwrap();
    let mut config = TrainConfig::preset("smoke").unwrap();
    config.corpus = Corpus::File(path);
    config.training.steps = 4;
    let report = train(&config, dir.path(), true).unwrap();
    assert_eq!((report.steps, report.sentences_parsed), (4, None));

    config.corpus = Corpus::File(dir.path().join("not there"));
    let error = train(&config, dir.path(), false).unwrap_err().to_string();
    assert!(error.contains("not there cannot be read"), "{error}");
}
