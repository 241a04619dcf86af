//! GGUF files of every architecture, with every tokenizer and with blocks.

use super::builder::{Builder, text};
use super::directories;
use super::values::values;

/// Files by name.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![("qwen3", decoder("qwen3", 4)), ("llama", llama()), ("qwen2", qwen2()), ("blocks", blocks()), ("bert", bert())]
        .into_iter()
        .map(|(name, file)| (name, file.bytes()))
        .collect()
}

/// An array of texts.
fn texts(all: &[&str]) -> Vec<u8> {
    array(8, all.len(), all.iter().flat_map(|one| text(one)).collect())
}

fn array(kind: u32, count: usize, values: Vec<u8>) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(count as u64).to_le_bytes(), &values].concat()
}

fn sizes(architecture: &str, width: u32) -> Builder {
    let key = |rest: &str| format!("{architecture}.{rest}");
    Builder::new(architecture)
        .size(&key("embedding_length"), width)
        .size(&key("feed_forward_length"), 3)
        .size(&key("block_count"), 1)
        .size(&key("attention.head_count"), 2)
        .size(&key("context_length"), 12)
}

fn with_tensors(file: Builder, tensors: &[(&str, &[usize])]) -> Builder {
    tensors.iter().fold(file, |file, (name, shape)| file.tensor(name, shape, &values(name, shape)))
}

/// A decoder of nine tokens.
fn decoder(architecture: &str, width: usize) -> Builder {
    let key = |rest: &str| format!("{architecture}.{rest}");
    let file =
        sizes(architecture, width as u32).number(&key("attention.layer_norm_rms_epsilon"), 1e-5).number(&key("rope.freq_base"), 100.0);
    let file = with_tensors(
        file,
        &[
            ("token_embd.weight", &[9, width]),
            ("blk.0.attn_norm.weight", &[width]),
            ("blk.0.attn_q.weight", &[width, width]),
            ("blk.0.attn_k.weight", &[width, width]),
            ("blk.0.attn_v.weight", &[width, width]),
            ("blk.0.attn_output.weight", &[width, width]),
            ("blk.0.ffn_norm.weight", &[width]),
            ("blk.0.ffn_gate.weight", &[3, width]),
            ("blk.0.ffn_up.weight", &[3, width]),
            ("blk.0.ffn_down.weight", &[width, 3]),
            ("output_norm.weight", &[width]),
        ],
    );
    match architecture {
        "qwen3" => with_tensors(file, &[("blk.0.attn_q_norm.weight", &[width / 2]), ("blk.0.attn_k_norm.weight", &[width / 2])]),
        "qwen2" => with_tensors(file, &[("blk.0.attn_q.bias", &[width]), ("blk.0.attn_k.bias", &[width]), ("blk.0.attn_v.bias", &[width])]),
        _ => file,
    }
}

/// With SentencePiece pieces, byte tokens and an extended context.
fn llama() -> Builder {
    let bytes: Vec<String> = (0..=255).map(|byte| format!("<0x{byte:02X}>")).collect();
    let tokens: Vec<&str> =
        ["<unk>", "<s>", "</s>"].into_iter().chain(bytes.iter().map(String::as_str)).chain(["▁", "t", "h", "▁t"]).collect();
    let count = tokens.len();
    let mut file = decoder("llama", 4);
    file.tensors.remove(0);
    file.tensor("token_embd.weight", &[count, 4], &values("token_embd.weight", &[count, 4]))
        .with("tokenizer.ggml.model", 8, text("llama"))
        .with("tokenizer.ggml.tokens", 9, texts(&tokens))
        .with("tokenizer.ggml.scores", 9, array(6, count, (0..count).flat_map(|id| (-(id as f32)).to_le_bytes()).collect()))
        .size("tokenizer.ggml.bos_token_id", 1)
        .size("tokenizer.ggml.eos_token_id", 2)
        .with("llama.rope.scaling.type", 8, text("yarn"))
        .number("llama.rope.scaling.factor", 4.0)
}

/// With byte-level BPE and a chat template.
fn qwen2() -> Builder {
    decoder("qwen2", 4)
        .with("tokenizer.ggml.model", 8, text("gpt2"))
        .with("tokenizer.ggml.pre", 8, text("qwen2"))
        .with("tokenizer.ggml.tokens", 9, texts(&["<|end|>", "<|im|>", "Ġ", "t", "h", "e", "th", "the"]))
        .with("tokenizer.ggml.token_type", 9, array(5, 8, [3i32, 3, 1, 1, 1, 1, 1, 1].iter().flat_map(|kind| kind.to_le_bytes()).collect()))
        .with("tokenizer.ggml.merges", 9, texts(&["t h", "th e"]))
        .size("tokenizer.ggml.eos_token_id", 0)
        .with("tokenizer.chat_template", 8, text("{% for m in messages %}{{ m['content'] }}<|im|>{% endfor %}"))
}

/// With matrices in blocks of 32, Q8_0 and Q4_0, whose scales are small.
fn blocks() -> Builder {
    let mut file = decoder("llama", 32);
    for (tensor, (kind, bytes)) in
        file.tensors.iter_mut().filter(|tensor| tensor.1.len() == 2 && tensor.1[0] == 32).zip([(8, 34), (2, 18)].into_iter().cycle())
    {
        let blocks = tensor.1[1] as usize;
        let block: Vec<u8> = [0x00, 0x20].into_iter().chain((2..bytes).map(|at| (at * 37) as u8)).collect();
        (tensor.2, tensor.3) = (kind, block.repeat(blocks));
    }
    file
}

/// With XLM-R's tokenizer.
fn bert() -> Builder {
    let map = directories::charmap();
    let file = sizes("bert", 4)
        .number("bert.attention.layer_norm_epsilon", 1e-5)
        .size("bert.pooling_type", 2)
        .with("tokenizer.ggml.model", 8, text("t5"))
        .with("tokenizer.ggml.tokens", 9, texts(&["<s>", "<pad>", "</s>", "<unk>", "▁", "▁t", "h", "e", "low"]))
        .with("tokenizer.ggml.scores", 9, array(6, 9, (0..9).flat_map(|id| (-(id as f32)).to_le_bytes()).collect()))
        .with(
            "tokenizer.ggml.token_type",
            9,
            array(5, 9, [3i32, 3, 3, 2, 1, 1, 1, 1, 1].iter().flat_map(|kind| kind.to_le_bytes()).collect()),
        )
        .with("tokenizer.ggml.precompiled_charsmap", 9, array(0, map.len(), map))
        .with("tokenizer.ggml.add_space_prefix", 7, vec![1])
        .with("tokenizer.ggml.remove_extra_whitespaces", 7, vec![1])
        .size("tokenizer.ggml.bos_token_id", 0)
        .size("tokenizer.ggml.eos_token_id", 2)
        .size("tokenizer.ggml.unknown_token_id", 3);
    let mut tensors: Vec<(String, Vec<usize>)> =
        [("token_embd", 9), ("position_embd", 12), ("token_types", 2)].map(|(name, rows)| (format!("{name}.weight"), vec![rows, 4])).into();
    let layer: [(&str, &[usize]); 9] = [
        ("token_embd_norm", &[4]),
        ("blk.0.attn_output_norm", &[4]),
        ("blk.0.attn_q", &[4, 4]),
        ("blk.0.attn_k", &[4, 4]),
        ("blk.0.attn_v", &[4, 4]),
        ("blk.0.attn_output", &[4, 4]),
        ("blk.0.layer_output_norm", &[4]),
        ("blk.0.ffn_up", &[3, 4]),
        ("blk.0.ffn_down", &[4, 3]),
    ];
    for (name, shape) in layer {
        tensors.push((format!("{name}.weight"), shape.to_vec()));
        tensors.push((format!("{name}.bias"), shape[..1].to_vec()));
    }
    tensors.iter().fold(file, |file, (name, shape)| file.tensor(name, shape, &values(name, shape)))
}
