//! Hugging Face directories of the BERT family: tensors, element types, pooling, and the refusal of invalid directories.

use std::collections::HashMap;
use std::path::Path;

use attoformer::image::{Activation, Pooling};
use attoformer_tools::import::{self, Checkpoint, SourceRole};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

const CONFIG: &str = r#"{"model_type": "bert", "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2,
    "vocab_size": 6, "max_position_embeddings": 5, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}"#;
const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n";

/// Names and shapes of all tensors.
const TENSORS: [(&str, &[usize]); 21] = [
    ("embeddings.word_embeddings.weight", &[6, 4]),
    ("embeddings.position_embeddings.weight", &[5, 4]),
    ("embeddings.token_type_embeddings.weight", &[2, 4]),
    ("embeddings.LayerNorm.weight", &[4]),
    ("embeddings.LayerNorm.bias", &[4]),
    ("encoder.layer.0.attention.self.query.weight", &[4, 4]),
    ("encoder.layer.0.attention.self.query.bias", &[4]),
    ("encoder.layer.0.attention.self.key.weight", &[4, 4]),
    ("encoder.layer.0.attention.self.key.bias", &[4]),
    ("encoder.layer.0.attention.self.value.weight", &[4, 4]),
    ("encoder.layer.0.attention.self.value.bias", &[4]),
    ("encoder.layer.0.attention.output.dense.weight", &[4, 4]),
    ("encoder.layer.0.attention.output.dense.bias", &[4]),
    ("encoder.layer.0.attention.output.LayerNorm.weight", &[4]),
    ("encoder.layer.0.attention.output.LayerNorm.bias", &[4]),
    ("encoder.layer.0.intermediate.dense.weight", &[6, 4]),
    ("encoder.layer.0.intermediate.dense.bias", &[6]),
    ("encoder.layer.0.output.dense.weight", &[4, 6]),
    ("encoder.layer.0.output.dense.bias", &[4]),
    ("encoder.layer.0.output.LayerNorm.weight", &[4]),
    ("encoder.layer.0.output.LayerNorm.bias", &[4]),
];

/// A model directory whose tensors have explicit bytes.
struct Directory {
    folder: TempDir,
    tensors: HashMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

impl Directory {
    /// A directory in which value `i` of tensor `t` is `t + i / 16`, exact in f32 and f16.
    fn new(dtype: Dtype) -> Self {
        let mut tensors = HashMap::new();
        for (index, (name, shape)) in TENSORS.iter().enumerate() {
            let values = (0..shape.iter().product()).map(|at: usize| index as f32 + at as f32 / 16.0);
            let bytes = values.flat_map(|value| match dtype {
                Dtype::F32 => value.to_le_bytes().to_vec(),
                Dtype::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
                _ => half::bf16::from_f32(value).to_le_bytes().to_vec(),
            });
            tensors.insert((*name).to_owned(), (dtype, shape.to_vec(), bytes.collect()));
        }
        let directory = Directory { folder: TempDir::new().unwrap(), tensors };
        directory.write("config.json", CONFIG);
        directory.write("vocab.txt", VOCABULARY);
        directory
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn open(&self) -> Result<Checkpoint, String> {
        let views = self.tensors.iter().map(|(name, (dtype, shape, bytes))| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        let path = self.folder.path().join("model.safetensors");
        std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
        import::open(self.folder.path(), None).map_err(|error| error.to_string())
    }

    /// The message of its refusal, which names one of its files.
    fn refusal(&self) -> String {
        let sentence = self.open().map(|_| ()).expect_err("it was imported");
        assert!(sentence.starts_with(&*self.folder.path().to_string_lossy()), "{sentence}");
        sentence
    }
}

/// Every tensor is imported in every element type; the first segment is added to the positions.
#[test]
fn bert_is_imported_in_every_element_type() {
    for (dtype, rounding) in [(Dtype::F32, 0.0), (Dtype::F16, 0.0), (Dtype::BF16, 0.06)] {
        let checkpoint = Directory::new(dtype).open().unwrap();
        let near = |found: f32, expected: f32| assert!((found - expected).abs() <= rounding * 2.0, "{dtype:?}: {found}, not {expected}");
        let value = |part, layer, at: usize| checkpoint.tensor(part, layer).unwrap().values()[at];
        near(value(SourceRole::Embedding, None, 5), 5.0 / 16.0);
        near(value(SourceRole::Positions, None, 6), 1.0 + 6.0 / 16.0 + 2.0 + 2.0 / 16.0);
        near(value(SourceRole::EmbeddingNorm, None, 5), 4.0 + 1.0 / 16.0);
        near(value(SourceRole::Query, Some(0), 3), 5.0 + 3.0 / 16.0);
        near(value(SourceRole::AttnNorm, Some(0), 0), 13.0);
        near(value(SourceRole::MlpNorm, Some(0), 7), 20.0 + 3.0 / 16.0);
        near(checkpoint.tensor(SourceRole::Up, Some(0)).unwrap().bias.as_ref().unwrap()[5], 16.0 + 5.0 / 16.0);
        assert_eq!(checkpoint.tensors.len(), 3 + 8);
        assert_eq!((checkpoint.config.bos, checkpoint.config.eos, checkpoint.config.context), (2, 3, 5));
        assert_eq!((checkpoint.config.activation, checkpoint.config.pooling), (Activation::GeluErf, Pooling::Mean));
    }
}

#[test]
fn pooling_of_a_sentence_model_is_imported() {
    let directory = Directory::new(Dtype::F32);
    let modules = r#"[{"path": "", "type": "sentence_transformers.models.Transformer"}, {"path": "1_Pooling", "type": "x.Pooling"},
        {"path": "2_Normalize", "type": "x.Normalize"}]"#;
    directory.write("modules.json", modules);
    directory.write(
        "1_Pooling/config.json",
        r#"{"word_embedding_dimension": 4, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#,
    );
    directory.write("sentence_bert_config.json", r#"{"max_seq_length": 3}"#);
    let config = directory.open().unwrap().config;
    assert_eq!((config.pooling, config.l2_normalize, config.context), (Pooling::First, true, 3));

    directory.write("1_Pooling/config.json", r#"{"pooling_mode_max_tokens": true}"#);
    assert!(directory.refusal().contains("pooling_mode_max_tokens"));
    directory.write("modules.json", &modules.replace("x.Normalize", "x.Dense"));
    directory.write("1_Pooling/config.json", r#"{"pooling_mode_mean_tokens": true}"#);
    assert!(directory.refusal().contains("the module Dense is not supported"));
}

#[test]
fn missing_and_unexpected_tensors_of_a_directory_are_refused() {
    for (name, _) in TENSORS {
        let mut directory = Directory::new(Dtype::F32);
        directory.tensors.remove(name);
        assert!(directory.refusal().contains(&format!("the tensor {name} is missing")));
    }
    let mut directory = Directory::new(Dtype::F32);
    let norm = directory.tensors["embeddings.LayerNorm.bias"].clone();
    directory.tensors.insert("cls.predictions.bias".to_owned(), norm.clone());
    assert!(directory.refusal().contains("unexpected tensor cls.predictions.bias"));
    directory.tensors.remove("cls.predictions.bias");
    directory.tensors.insert("pooler.dense.bias".to_owned(), norm.clone());
    assert!(directory.open().is_ok(), "the pooler is known and ignored");
    directory.tensors.insert("embeddings.word_embeddings.weight".to_owned(), norm);
    assert!(directory.refusal().contains("embeddings.word_embeddings.weight has the shape [4], but config.json implies [6, 4]"));
}

#[test]
fn unsupported_values_and_element_types_are_refused() {
    let mut directory = Directory::new(Dtype::F32);
    let bias = directory.tensors.get_mut("embeddings.LayerNorm.bias").unwrap();
    bias.2[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(directory.refusal().contains("value 1 of the tensor embeddings.LayerNorm.bias is NaN"));
    directory.tensors.insert("embeddings.LayerNorm.bias".to_owned(), (Dtype::I32, vec![4], vec![0; 16]));
    assert!(directory.refusal().contains("is of type I32"));
}

#[test]
fn inconsistent_bert_configs_are_refused() {
    let directory = Directory::new(Dtype::F32);
    for (from, to, what) in [
        ("\"bert\"", "\"gpt9\"", "gpt9"),
        ("\"num_attention_heads\": 2", "\"num_attention_heads\": 3", "hidden_size 4 is not divisible by 3 attention heads"),
        ("\"hidden_size\": 4", "\"hidden_size\": 0", "hidden_size 0 is not divisible"),
        ("\"type_vocab_size\": 2", "\"type_vocab_size\": 0", "type_vocab_size"),
        ("\"gelu\"", "\"mish\"", "mish"),
        ("\"hidden_act\"", "\"position_embedding_type\": \"relative_key\", \"hidden_act\"", "relative_key"),
        ("\"layer_norm_eps\": 1e-12,", "", "layer_norm_eps"),
        ("\"intermediate_size\": 6", "\"intermediate_size\": -6", "intermediate_size has an invalid value: integer `-6`"),
        ("\"intermediate_size\": 6", "\"intermediate_size\": \"six\"", "intermediate_size has an invalid type: string"),
        ("\"vocab_size\": 6", "\"vocab_size\": 7", "6 pieces"),
        ("{", "", "invalid JSON"),
    ] {
        directory.write("config.json", &CONFIG.replacen(from, to, 1));
        let sentence = directory.refusal();
        assert!(sentence.contains(what), "{sentence}");
    }
}

#[test]
fn truncated_and_missing_weights_are_refused() {
    let directory = Directory::new(Dtype::F32);
    directory.open().unwrap();
    let path = directory.folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let sentence = |path: &Path| import::open(path, None).map(|_| ()).expect_err("it was imported").to_string();
    for end in [1, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..end]).unwrap();
        assert!(sentence(directory.folder.path()).contains("invalid safetensors file"), "cut at {end}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(sentence(directory.folder.path()).contains("no such file"));
}
