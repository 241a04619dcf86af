//! The seeds of the fuzz targets in `tests/fuzz/seeds`: made here, and still worth something.
//!
//! `ATTOFORMER_WRITE_SEEDS=1 cargo test -p attoformer-tests --test hostile_seeds` writes them again, after the format has changed.

#[path = "../../host-tools/tests/common/gguf.rs"]
mod builder;
#[path = "../../host-tools/tests/common/values.rs"]
mod values;

use std::path::{Path, PathBuf};

use attoformer::image::header::{Config, KvType};
use attoformer::image::section;
use attoformer::{Image, Tokenizer};
use attoformer_tests::random_model::{BASE_TOKENS, PIECES, RandomModel};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::{self, Piece, Scheme, gguf, llama2c};
use attoformer_tools::pack;
use attoformer_tools::quantize::Format;

const TARGETS: [&str; 3] = ["image_step", "tokenizer", "import"];
const TEXT: &str = "the low éa and 日本";

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

/// The family at its smallest: without a tokenizer, but for the first.
fn images() -> Vec<(String, AlignedBytes)> {
    let tiny = |model: RandomModel, vocab| {
        let config = Config { layers: 1, d_model: 8, d_hidden: 11, heads: 2, kv_heads: 1, head_dim: 4, context: 24, vocab, ..model.config };
        RandomModel { config, ..model }
    };
    let mut images = vec![("with-tokenizer".to_owned(), tiny(RandomModel::small(), BASE_TOKENS + 14).pack_mixed(KvType::Int8))];
    for (family, model) in RandomModel::family().into_iter().chain(RandomModel::encoders()) {
        images.push((format!("{family}-mixed"), tiny(model, 31).pack_mixed(KvType::Int8)));
    }
    images.push(("f32".to_owned(), tiny(RandomModel::small(), 13).pack(Format::F32, KvType::F32)));
    images.push(("f16".to_owned(), tiny(RandomModel::small(), 13).pack(Format::F16, KvType::F16)));
    images
}

/// What `targets/*.rs` say of their inputs.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, image) in images() {
        let flags = 3;
        seeds.push(("image_step", name, [&image[..], &[flags]].concat()));
    }
    let with_length = |kind: u8, first: &[u8], second: &[u8]| {
        let length = u16::try_from(first.len()).unwrap().to_le_bytes();
        [&[kind][..], &length, first, second].concat()
    };
    let images = images();
    let image = Image::new(&images[0].1).unwrap();
    seeds.push(("tokenizer", "section".to_owned(), with_length(0, TEXT.as_bytes(), image.section(section::TOKENIZER))));
    let piece = |(index, piece): (usize, &&str)| [&[piece.len() as u8, index as u8][..], piece.as_bytes()].concat();
    let pieces: Vec<u8> = PIECES.iter().enumerate().flat_map(piece).collect();
    seeds.push(("tokenizer", "pieces".to_owned(), with_length(1, TEXT.as_bytes(), &pieces)));
    seeds.push(("tokenizer", "wordpiece".to_owned(), with_length(0, TEXT.as_bytes(), &word_piece_section())));
    let folder = tempfile::tempdir().unwrap();
    let small = RandomModel::small();
    for (name, tied_head) in [("tied", true), ("untied", false)] {
        let config = Config {
            layers: 1,
            d_model: 4,
            d_hidden: 5,
            heads: 2,
            kv_heads: 1,
            head_dim: 2,
            context: 12,
            vocab: BASE_TOKENS + 14,
            tied_head,
            ..small.config
        };
        RandomModel { config, ..small }.write_llama2c(folder.path());
        let read = |name| std::fs::read(folder.path().join(name)).unwrap();
        let flags = 1;
        seeds.push(("import", name.to_owned(), with_length(flags, &read("random.bin"), &read("tokenizer.bin"))));
    }
    seeds.push(("import", "gguf".to_owned(), with_length(2, &gguf_file(), &[])));
    for (name, config, tensors) in directories() {
        seeds.push(("import", name.to_owned(), with_length(3, config.as_bytes(), &safetensors(tensors))));
    }
    seeds
}

/// A decoder of the qwen3 architecture.
fn gguf_file() -> Vec<u8> {
    let sizes =
        [("embedding_length", 4), ("feed_forward_length", 3), ("block_count", 1), ("attention.head_count", 2), ("context_length", 12)];
    let mut file = sizes.into_iter().fold(builder::Builder::new("qwen3"), |file, (key, size)| file.size(&format!("qwen3.{key}"), size));
    file = file.number("qwen3.attention.layer_norm_rms_epsilon", 1e-5).number("qwen3.rope.freq_base", 100.0);
    let tensors: [(&str, &[usize]); 13] = [
        ("token_embd.weight", &[9, 4]),
        ("blk.0.attn_norm.weight", &[4]),
        ("blk.0.attn_q.weight", &[4, 4]),
        ("blk.0.attn_k.weight", &[4, 4]),
        ("blk.0.attn_v.weight", &[4, 4]),
        ("blk.0.attn_output.weight", &[4, 4]),
        ("blk.0.attn_q_norm.weight", &[2]),
        ("blk.0.attn_k_norm.weight", &[2]),
        ("blk.0.ffn_norm.weight", &[4]),
        ("blk.0.ffn_gate.weight", &[3, 4]),
        ("blk.0.ffn_up.weight", &[3, 4]),
        ("blk.0.ffn_down.weight", &[4, 3]),
        ("output_norm.weight", &[4]),
    ];
    tensors.into_iter().fold(file, |file, (name, shape)| file.tensor(name, shape, &values::values(name, shape))).bytes()
}

/// A decoder and an encoder: name, config.json, names and shapes of the tensors.
type Directory = (&'static str, &'static str, &'static [(&'static str, &'static [usize])]);

fn directories() -> [Directory; 2] {
    [
        (
            "llama",
            r#"{"model_type":"llama","hidden_size":4,"intermediate_size":3,"num_hidden_layers":1,"num_attention_heads":2,
"num_key_value_heads":1,"vocab_size":9,"max_position_embeddings":12,"rope_scaling":{"type":"linear","factor":2.0},"tie_word_embeddings":true}"#,
            &[
                ("model.embed_tokens.weight", &[9, 4]),
                ("model.layers.0.input_layernorm.weight", &[4]),
                ("model.layers.0.self_attn.q_proj.weight", &[4, 4]),
                ("model.layers.0.self_attn.k_proj.weight", &[2, 4]),
                ("model.layers.0.self_attn.v_proj.weight", &[2, 4]),
                ("model.layers.0.self_attn.o_proj.weight", &[4, 4]),
                ("model.layers.0.post_attention_layernorm.weight", &[4]),
                ("model.layers.0.mlp.gate_proj.weight", &[3, 4]),
                ("model.layers.0.mlp.up_proj.weight", &[3, 4]),
                ("model.layers.0.mlp.down_proj.weight", &[4, 3]),
                ("model.norm.weight", &[4]),
            ],
        ),
        (
            "vit",
            r#"{"model_type":"vit","hidden_size":4,"intermediate_size":3,"num_hidden_layers":1,"num_attention_heads":2,"hidden_act":"gelu",
"layer_norm_eps":1e-5,"image_size":4,"patch_size":2,"num_channels":1,"qkv_bias":false}"#,
            &[
                ("embeddings.cls_token", &[1, 1, 4]),
                ("embeddings.position_embeddings", &[1, 5, 4]),
                ("embeddings.patch_embeddings.projection.weight", &[4, 1, 2, 2]),
                ("embeddings.patch_embeddings.projection.bias", &[4]),
                ("encoder.layer.0.layernorm_before.weight", &[4]),
                ("encoder.layer.0.layernorm_before.bias", &[4]),
                ("encoder.layer.0.attention.attention.query.weight", &[4, 4]),
                ("encoder.layer.0.attention.attention.key.weight", &[4, 4]),
                ("encoder.layer.0.attention.attention.value.weight", &[4, 4]),
                ("encoder.layer.0.attention.output.dense.weight", &[4, 4]),
                ("encoder.layer.0.attention.output.dense.bias", &[4]),
                ("encoder.layer.0.layernorm_after.weight", &[4]),
                ("encoder.layer.0.layernorm_after.bias", &[4]),
                ("encoder.layer.0.intermediate.dense.weight", &[3, 4]),
                ("encoder.layer.0.intermediate.dense.bias", &[3]),
                ("encoder.layer.0.output.dense.weight", &[4, 3]),
                ("encoder.layer.0.output.dense.bias", &[4]),
                ("layernorm.weight", &[4]),
                ("layernorm.bias", &[4]),
            ],
        ),
    ]
}

/// A safetensors file of f32 values that follow from the names.
fn safetensors(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let (mut header, mut data) = (Vec::new(), Vec::new());
    for (name, shape) in tensors {
        let start = data.len();
        data.extend(values::values(name, shape).into_iter().flat_map(f32::to_le_bytes));
        header.push(format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{}]}}"#, data.len()));
    }
    let header = format!("{{{}}}", header.join(","));
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

/// A section of kind 2 whose words cover some of the text.
fn word_piece_section() -> Vec<u8> {
    let words = ["[UNK]", "[CLS]", "[SEP]", "the", "lo", "##w", "e", "##a", "an", "##d", "日", "本", "."];
    let pieces = words.map(|word| Piece { bytes: word.into(), score: 0.0 }).to_vec();
    let scheme = Scheme::WordPiece { clean_text: true, chinese: true, strip_accents: true, lowercase: true, max_word_characters: 100 };
    let mut section = Vec::new();
    pack::sections::tokenizer(&import::Tokenizer::new(pieces, [1, 2, 0], scheme), &mut section);
    section
}

#[test]
fn the_seeds_are_small_and_get_past_the_checks() {
    if std::env::var_os("ATTOFORMER_WRITE_SEEDS").is_some() {
        for (target, name, bytes) in seeds() {
            std::fs::create_dir_all(folder(target)).unwrap();
            std::fs::write(folder(target).join(name), bytes).unwrap();
        }
    }
    let mut total = 0;
    for target in TARGETS {
        let mut count = 0;
        for entry in std::fs::read_dir(folder(target)).unwrap() {
            let (path, bytes) = (entry.as_ref().unwrap().path(), std::fs::read(entry.unwrap().path()).unwrap());
            (count, total) = (count + 1, total + bytes.len());
            assert_eq!(passes(target, &bytes), Ok(()), "{}: write the seeds again", path.display());
        }
        assert!(count > 1, "{target} has no seeds");
    }
    assert!(total < 100_000, "the seeds take {total} bytes");
}

/// Whether a seed is a sound file, so that the fuzzer starts from behind the checks.
fn passes(target: &str, bytes: &[u8]) -> Result<(), String> {
    let behind_length = |bytes: &[u8]| {
        let length = usize::from(u16::from_le_bytes([bytes[1], bytes[2]]));
        (bytes[3..3 + length].to_vec(), bytes[3 + length..].to_vec())
    };
    match target {
        "image_step" => {
            let image = AlignedBytes::copy_of(&bytes[..bytes.len() - 1]);
            Image::new(&image).map(|_| ()).map_err(|error| error.to_string())
        }
        "tokenizer" if bytes[0] == 1 => Ok(()),
        "tokenizer" => {
            let (_, section) = behind_length(bytes);
            let vocab = u32::from_le_bytes(section[4..8].try_into().unwrap());
            Tokenizer::new(&section, vocab).map(|_| ()).map_err(|error| error.to_string())
        }
        "import" if bytes[0] == 2 => gguf::open(Path::new("seed.gguf"), &behind_length(bytes).0).map(|_| ()),
        "import" if bytes[0] == 3 => {
            let ((config, weights), folder) = (behind_length(bytes), tempfile::tempdir().unwrap());
            std::fs::write(folder.path().join("config.json"), config).unwrap();
            std::fs::write(folder.path().join("model.safetensors"), weights).unwrap();
            import::open(folder.path(), None).map(|_| ()).map_err(|error| error.to_string())
        }
        _ => {
            let (model, tokenizer) = behind_length(bytes);
            let (config, _) = llama2c::model(&model)?;
            llama2c::tokenizer(&tokenizer, config.vocab).map(|_| ())
        }
    }
}
