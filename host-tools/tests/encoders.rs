//! Hugging Face encoders and classifiers, of texts and images: every tensor of every family is imported under its name.

#[path = "common/directory.rs"]
mod directory;
#[path = "common/values.rs"]
mod values;

use attoformer::image::{Activation, Classifier, InputStem, NormPlacement, Pooler, Pooling};
use attoformer_tools::import::{Checkpoint, SourceRole};
use directory::Directory;
use serde_json::json;
use values::{expect, expect_bias, value};

const LAYER: Option<u32> = Some(0);
const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n";

/// Index of a value in a tensor with this many columns whose rows keep their order.
fn plain(columns: usize) -> impl Fn(usize, usize) -> usize {
    move |row, column| row * columns + column
}

/// Checks the scale and bias of a norm.
fn expect_norm(checkpoint: &Checkpoint, part: SourceRole, layer: Option<u32>, name: &str) {
    let norm = checkpoint.tensor(part, layer).unwrap();
    for (index, &found) in norm.values().iter().enumerate() {
        let (row, column) = (index / norm.columns, index % norm.columns);
        assert_eq!(found, value(&format!("{name}.{}", ["weight", "bias"][row]), column), "{part:?}");
    }
}

/// Adds `name.weight` `(rows, columns)` and `name.bias` `(rows)` of each layer.
fn layers(mut directory: Directory, layers: &[(&str, &[usize])]) -> Directory {
    for (name, shape) in layers {
        directory = directory.tensor(&format!("{name}.weight"), shape).tensor(&format!("{name}.bias"), &shape[..1]);
    }
    directory
}

/// An encoder with BERT's tensor names after `prefix`.
fn bert(model_type: &str, prefix: &str, class: &str) -> Directory {
    let config = json!({"model_type": model_type, "architectures": [class], "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1,
        "num_attention_heads": 2, "vocab_size": 6, "max_position_embeddings": 8, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
        "hidden_act": "gelu", "pad_token_id": 1, "id2label": {"0": "no", "1": "yes", "2": "perhaps"}});
    let name = |rest: &str| format!("{prefix}{rest}");
    let tables: [(&str, &[usize]); 3] = [
        (&name("embeddings.word_embeddings.weight"), &[6, 4]),
        (&name("embeddings.position_embeddings.weight"), &[8, 4]),
        (&name("embeddings.token_type_embeddings.weight"), &[1, 4]),
    ];
    let all: [(&str, &[usize]); 9] = [
        (&name("embeddings.LayerNorm"), &[4]),
        (&name("encoder.layer.0.attention.self.query"), &[4, 4]),
        (&name("encoder.layer.0.attention.self.key"), &[4, 4]),
        (&name("encoder.layer.0.attention.self.value"), &[4, 4]),
        (&name("encoder.layer.0.attention.output.dense"), &[4, 4]),
        (&name("encoder.layer.0.attention.output.LayerNorm"), &[4]),
        (&name("encoder.layer.0.intermediate.dense"), &[6, 4]),
        (&name("encoder.layer.0.output.dense"), &[4, 6]),
        (&name("encoder.layer.0.output.LayerNorm"), &[4]),
    ];
    layers(Directory::new(config, &tables), &all).text("vocab.txt", VOCABULARY)
}

#[test]
fn bert_and_its_classifiers_are_imported() {
    let texts = layers(bert("bert", "bert.", "BertForSequenceClassification"), &[("bert.pooler.dense", &[4, 4]), ("classifier", &[3, 4])]);
    texts.assert_all_are_needed();
    let checkpoint = texts.open().unwrap();
    let config = checkpoint.config;
    assert_eq!((config.classifier, config.pooler, config.pooling), (Classifier::Sequence, Pooler::Tanh, Pooling::First));
    assert_eq!((config.labels, &checkpoint.labels[..]), (3, &["no", "yes", "perhaps"].map(str::to_owned)[..]));
    expect(&checkpoint, SourceRole::Pooler, None, "bert.pooler.dense.weight", plain(4));
    expect_bias(&checkpoint, SourceRole::Pooler, None, "bert.pooler.dense.bias", |row| row);
    expect(&checkpoint, SourceRole::Classifier, None, "classifier.weight", plain(4));
    expect_bias(&checkpoint, SourceRole::Classifier, None, "classifier.bias", |row| row);

    let tokens = layers(bert("bert", "bert.", "BertForTokenClassification"), &[("classifier", &[3, 4])]);
    tokens.assert_all_are_needed();
    let config = tokens.open().unwrap().config;
    assert_eq!((config.classifier, config.pooler, config.pooling, config.labels), (Classifier::Tokens, Pooler::None, Pooling::None, 3));
    let answers = layers(bert("bert", "bert.", "BertForQuestionAnswering"), &[("qa_outputs", &[2, 4])]);
    answers.assert_all_are_needed();
    let checkpoint = answers.open().unwrap();
    assert_eq!((checkpoint.config.classifier, checkpoint.labels), (Classifier::Tokens, vec!["start".to_owned(), "end".to_owned()]));
}

#[test]
fn invalid_labels_are_refused() {
    let texts = layers(bert("bert", "", "BertForTokenClassification"), &[("classifier", &[2, 4])]);
    assert_eq!(texts.with(json!({"id2label": null})).open().unwrap().labels, ["LABEL_0", "LABEL_1"]);
    for (labels, what) in [
        (json!({"0": "no", "2": "yes"}), "2 labels, but none with the number 1"),
        (json!({"0": "no\nyes", "1": ""}), "label 0 of id2label has a line break"),
        (json!({}), "id2label is empty"),
        (json!({"0": "one"}), "the tensor classifier.weight has the shape [2, 4], but config.json implies [1, 4]"),
    ] {
        let sentence = texts.with(json!({"id2label": labels})).refusal();
        assert!(sentence.contains(what), "{sentence}");
    }
}

#[test]
fn older_names_of_norms_are_known() {
    let mut directory = bert("bert", "", "BertModel");
    let old = |name: String| name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
    directory.tensors = directory.tensors.into_iter().map(|(name, shape)| (old(name), shape)).collect();
    let checkpoint = directory.open().unwrap();
    let norm = checkpoint.tensor(SourceRole::AttnNorm, LAYER).unwrap().values();
    let name = "encoder.layer.0.attention.output.LayerNorm";
    assert_eq!((norm[1], norm[5]), (value(&format!("{name}.gamma"), 1), value(&format!("{name}.beta"), 1)));
}

/// The first token's position is the one after the id of the padding token.
#[test]
fn roberta_is_imported() {
    for family in ["roberta", "xlm-roberta"] {
        let directory = bert(family, "roberta.", "RobertaModel");
        directory.assert_all_are_needed();
        let checkpoint = directory.clone().tensor("roberta.embeddings.position_ids", &[1, 8]).open().unwrap();
        let positions = checkpoint.tensor(SourceRole::Positions, None).unwrap();
        let name = |rest: &str| format!("roberta.embeddings.{rest}.weight");
        let first = value(&name("position_embeddings"), 2 * 4 + 1) + value(&name("token_type_embeddings"), 1);
        assert_eq!((positions.rows, positions.values()[1], checkpoint.config.context), (6, first, 6));
    }
    let heads: [(&str, &[usize]); 2] = [("classifier.dense", &[4, 4]), ("classifier.out_proj", &[3, 4])];
    let texts = layers(bert("roberta", "roberta.", "RobertaForSequenceClassification"), &heads);
    texts.assert_all_are_needed();
    let checkpoint = texts.open().unwrap();
    expect(&checkpoint, SourceRole::Pooler, None, "classifier.dense.weight", plain(4));
    expect(&checkpoint, SourceRole::Classifier, None, "classifier.out_proj.weight", plain(4));
    let tokens = layers(bert("roberta", "roberta.", "RobertaForTokenClassification"), &[("classifier", &[3, 4])]);
    assert_eq!(tokens.open().unwrap().config.classifier, Classifier::Tokens);
    assert!(
        tokens.with(json!({"max_position_embeddings": 2})).refusal().contains("max_position_embeddings is 2, but the first position is 2")
    );
}

#[test]
fn distilbert_is_imported() {
    let config = json!({"model_type": "distilbert", "dim": 4, "hidden_dim": 6, "n_layers": 1, "n_heads": 2, "vocab_size": 6,
        "max_position_embeddings": 8, "activation": "gelu", "architectures": ["DistilBertForSequenceClassification"]});
    let tables: [(&str, &[usize]); 2] =
        [("distilbert.embeddings.word_embeddings.weight", &[6, 4]), ("distilbert.embeddings.position_embeddings.weight", &[8, 4])];
    let all: [(&str, &[usize]); 11] = [
        ("distilbert.embeddings.LayerNorm", &[4]),
        ("distilbert.transformer.layer.0.attention.q_lin", &[4, 4]),
        ("distilbert.transformer.layer.0.attention.k_lin", &[4, 4]),
        ("distilbert.transformer.layer.0.attention.v_lin", &[4, 4]),
        ("distilbert.transformer.layer.0.attention.out_lin", &[4, 4]),
        ("distilbert.transformer.layer.0.sa_layer_norm", &[4]),
        ("distilbert.transformer.layer.0.ffn.lin1", &[6, 4]),
        ("distilbert.transformer.layer.0.ffn.lin2", &[4, 6]),
        ("distilbert.transformer.layer.0.output_layer_norm", &[4]),
        ("pre_classifier", &[4, 4]),
        ("classifier", &[2, 4]),
    ];
    let directory = layers(Directory::new(config, &tables), &all).text("vocab.txt", VOCABULARY);
    directory.assert_all_are_needed();
    let checkpoint = directory.open().unwrap();
    let name = |rest: &str| format!("distilbert.transformer.layer.0.{rest}");
    expect(&checkpoint, SourceRole::Positions, None, "distilbert.embeddings.position_embeddings.weight", plain(4));
    expect(&checkpoint, SourceRole::Query, LAYER, &name("attention.q_lin.weight"), plain(4));
    expect(&checkpoint, SourceRole::Key, LAYER, &name("attention.k_lin.weight"), plain(4));
    expect(&checkpoint, SourceRole::Value, LAYER, &name("attention.v_lin.weight"), plain(4));
    expect(&checkpoint, SourceRole::AttnOut, LAYER, &name("attention.out_lin.weight"), plain(4));
    expect(&checkpoint, SourceRole::Up, LAYER, &name("ffn.lin1.weight"), plain(4));
    expect(&checkpoint, SourceRole::Down, LAYER, &name("ffn.lin2.weight"), plain(6));
    expect_norm(&checkpoint, SourceRole::AttnNorm, LAYER, &name("sa_layer_norm"));
    expect_norm(&checkpoint, SourceRole::MlpNorm, LAYER, &name("output_layer_norm"));
    expect(&checkpoint, SourceRole::Pooler, None, "pre_classifier.weight", plain(4));
    expect(&checkpoint, SourceRole::Classifier, None, "classifier.weight", plain(4));
    let config = checkpoint.config;
    assert_eq!((config.pooler, config.labels, config.activation), (Pooler::Relu, 2, Activation::GeluErf));
}

/// The values of a patch are its channels, each row by row, in the order of the convolution's kernels.
#[test]
fn vision_transformers_are_imported() {
    let config = json!({"model_type": "vit", "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12, "image_size": 6, "patch_size": 2, "num_channels": 3,
        "architectures": ["ViTForImageClassification"], "id2label": {"0": "cat", "1": "dog"}});
    let tables: [(&str, &[usize]); 4] = [
        ("vit.embeddings.cls_token", &[1, 1, 4]),
        ("vit.embeddings.position_embeddings", &[1, 10, 4]),
        ("vit.embeddings.patch_embeddings.projection.weight", &[4, 3, 2, 2]),
        ("vit.embeddings.patch_embeddings.projection.bias", &[4]),
    ];
    let name = |rest: &str| format!("vit.encoder.layer.0.{rest}");
    let all: [(&str, &[usize]); 10] = [
        (&name("attention.attention.query"), &[4, 4]),
        (&name("attention.attention.key"), &[4, 4]),
        (&name("attention.attention.value"), &[4, 4]),
        (&name("attention.output.dense"), &[4, 4]),
        (&name("layernorm_before"), &[4]),
        (&name("layernorm_after"), &[4]),
        (&name("intermediate.dense"), &[6, 4]),
        (&name("output.dense"), &[4, 6]),
        ("vit.layernorm", &[4]),
        ("classifier", &[2, 4]),
    ];
    let directory = layers(Directory::new(config, &tables), &all);
    directory.assert_all_are_needed();
    let checkpoint = directory.open().unwrap();
    expect(&checkpoint, SourceRole::ClassToken, None, "vit.embeddings.cls_token", plain(4));
    expect(&checkpoint, SourceRole::Positions, None, "vit.embeddings.position_embeddings", plain(4));
    // Feature (channel, y, x) of an output's kernel.
    let kernel = |row: usize, feature: usize| ((row * 3 + feature / 4) * 2 + feature % 4 / 2) * 2 + feature % 2;
    expect(&checkpoint, SourceRole::Conv1, None, "vit.embeddings.patch_embeddings.projection.weight", kernel);
    expect_bias(&checkpoint, SourceRole::Conv1, None, "vit.embeddings.patch_embeddings.projection.bias", |row| row);
    expect(&checkpoint, SourceRole::Query, LAYER, &name("attention.attention.query.weight"), plain(4));
    expect_norm(&checkpoint, SourceRole::AttnNorm, LAYER, &name("layernorm_before"));
    expect_norm(&checkpoint, SourceRole::MlpNorm, LAYER, &name("layernorm_after"));
    expect_norm(&checkpoint, SourceRole::FinalNorm, None, "vit.layernorm");
    expect(&checkpoint, SourceRole::Classifier, None, "classifier.weight", plain(4));
    let config = checkpoint.config;
    assert_eq!((config.input_stem, config.class_token, config.features, config.context), (InputStem::Patches, true, 12, 10));
    assert_eq!((config.placement, config.vocab, config.pooling, config.pooler), (NormPlacement::Pre, 0, Pooling::First, Pooler::None));
    assert_eq!((checkpoint.labels.len(), checkpoint.tokenizer.is_none()), (2, true));

    let bare = directory.with(json!({"architectures": ["ViTModel"]})).without("classifier.weight").without("classifier.bias");
    assert_eq!(layers(bare, &[("vit.pooler.dense", &[4, 4])]).open().unwrap().config.classifier, Classifier::None);
    for (fields, what) in [
        (json!({"patch_size": 0}), "does not divide into patches of 0"),
        (json!({"patch_size": 70_000}), "does not divide into patches of 70000"),
        (json!({"patch_size": 200, "image_size": 400}), "a patch has 120000 values"),
        (json!({"image_size": 8}), "has the shape [1, 10, 4], but config.json implies [1, 17, 4]"),
    ] {
        let sentence = directory.with(fields).refusal();
        assert!(sentence.contains(what), "{sentence}");
    }
}
