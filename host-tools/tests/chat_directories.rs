//! Chat with model directories: the template is read from the files that Llama, Mistral and Qwen use, and its text is encoded like by the `tokenizers` crate.

#[path = "common/directory.rs"]
mod directory;
#[path = "common/values.rs"]
mod values;

use std::io::Write;
use std::process::{Command, Stdio};

use attoformer::Image;
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::chat::Chat;
use attoformer_tools::run::chat::template::render;
use directory::Directory;
use serde_json::{Value, json};

/// Like Llama 2 and Mistral: turns in brackets, alternating roles, the system message inside the first turn.
const IN_BRACKETS: &str = "{%- if messages[0]['role'] == 'system' -%}{%- set system = messages[0]['content'].strip() -%}{%- set turns = messages[1:] -%}\
    {%- else -%}{%- set system = none -%}{%- set turns = messages -%}{%- endif -%}\
    {%- for turn in turns -%}\
    {%- if (turn['role'] == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception('roles must take turns') }}{%- endif -%}\
    {%- if turn['role'] == 'user' -%}{{ bos_token + '[INST] ' }}{%- if loop.first and system -%}{{ system + '\n\n' }}{%- endif -%}\
    {{ turn['content'].strip() + ' [/INST]' }}\
    {%- else -%}{{ ' ' + turn['content'].strip() + ' ' + eos_token }}{%- endif -%}{%- endfor -%}";

/// Like Qwen 3: the reasoning of earlier answers is removed with its white space.
const IN_MARKS: &str = "{%- set state = namespace(count=0) -%}{%- for turn in messages -%}{%- set said = turn.content -%}{%- set state.count = state.count + 1 -%}\
    {%- if turn.role == 'assistant' and '</think>' in said -%}{%- set said = said.split('</think>')[-1].lstrip('\n') -%}{%- endif -%}\
    {{- '<|im_start|>' + turn.role + '\n' + said + '<|im_end|>\n' -}}{%- endfor -%}\
    {%- if add_generation_prompt and state.count > 0 -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}";

fn added(id: usize, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
}

/// SentencePiece style: special tokens, bytes, letters and a few words.
fn sentencepiece() -> Value {
    let marks = ["<unk>", "<s>", "</s>"].map(str::to_owned).into_iter();
    let letters = "▁[]/abcdefghijklmnopqrstuvwxyzINST.?!".chars().map(String::from);
    let pieces = marks.chain((0..256).map(|byte| format!("<0x{byte:02X}>"))).chain(letters).chain(["▁h", "el", "▁hel"].map(str::to_owned));
    let vocab: serde_json::Map<String, Value> = pieces.zip(0..).map(|(piece, id)| (piece, Value::from(id))).collect();
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    json!({"version": "1.0", "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]},
        "model": {"type": "BPE", "byte_fallback": true, "fuse_unk": true, "unk_token": "<unk>", "vocab": vocab,
            "merges": [["▁", "h"], ["e", "l"], ["▁h", "el"]]}})
}

/// Byte-level: a letter for each byte, and special tokens.
fn byte_level() -> Value {
    let letters = (33..=126).chain(161..=172).chain(174..=255).chain(256..=323).filter_map(char::from_u32).map(String::from);
    let vocab: serde_json::Map<String, Value> = letters.zip(0..).map(|(letter, id)| (letter, Value::from(id))).collect();
    json!({"version": "1.0", "added_tokens": [added(256, "<|endoftext|>"), added(257, "<|im_start|>"), added(258, "<|im_end|>")],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": []}})
}

/// A trivial model directory of this family with this tokenizer.
fn model(family: &str, tokenizer: &Value) -> Directory {
    let vocab = tokenizer["model"]["vocab"].as_object().unwrap().len();
    let vocab = vocab + if family == "qwen3" { 3 } else { 0 };
    let config = json!({"model_type": family, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1,
        "num_key_value_heads": 1, "head_dim": 4, "vocab_size": vocab, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
        "rope_theta": 500.0, "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2});
    let square = |name: &str| (format!("model.layers.0.{name}.weight"), vec![4, 4]);
    let names =
        ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"];
    let mut directory = Directory::new(config, &[("model.embed_tokens.weight", &[vocab, 4]), ("model.norm.weight", &[4])]);
    directory.tensors.extend(names.map(square));
    let mut norms = vec!["input_layernorm", "post_attention_layernorm"];
    norms.extend(if family == "qwen3" { &["self_attn.q_norm", "self_attn.k_norm"][..] } else { &[] });
    directory.tensors.extend(norms.into_iter().map(|name| (format!("model.layers.0.{name}.weight"), vec![4])));
    directory.text("tokenizer.json", &tokenizer.to_string())
}

/// The prompt tokens of a directory's image after the message `said`.
fn asked(directory: &Directory, system: Option<&str>, said: &str) -> Result<Vec<u32>, String> {
    let checkpoint = directory.open()?;
    let packed = pack(&checkpoint, &Options::reference(), &Progress::silent()).unwrap_or_else(|error| panic!("{error}"));
    let image = Image::new(&packed.image).unwrap();
    let mut chat = Chat::new(image, system.map(str::to_owned), render).map_err(|refusal| refusal.to_string())?;
    chat.ask(said).map_err(|refusal| refusal.to_string())
}

fn by_the_library(tokenizer: &Value, text: &str) -> Vec<u32> {
    let library: tokenizers::Tokenizer = serde_json::from_value(tokenizer.clone()).unwrap();
    library.encode(text, false).unwrap().get_ids().to_vec()
}

#[test]
fn the_template_is_read_from_the_files_of_each_family() {
    for family in ["llama", "mistral", "qwen3"] {
        let (tokenizer, template) = if family == "qwen3" { (byte_level(), IN_MARKS) } else { (sentencepiece(), IN_BRACKETS) };
        let (begin, end) = if family == "qwen3" { (Value::Null, "<|im_end|>") } else { (json!({"content": "<s>"}), "</s>") };
        let wanted = match family {
            "qwen3" => "<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nhello?<|im_end|>\n<|im_start|>assistant\n",
            _ => "<s>[INST] be kind\n\nhello? [/INST]",
        };
        let wanted = by_the_library(&tokenizer, wanted);
        let settings = |template: Value| json!({"bos_token": begin, "eos_token": end, "chat_template": template}).to_string();
        let directory = model(family, &tokenizer);
        let several = json!([{"name": "tools", "template": "no"}, {"name": "default", "template": template}]);
        for directory in [
            directory.clone().text("tokenizer_config.json", &settings(template.into())),
            directory.clone().text("tokenizer_config.json", &settings(several)),
            directory.clone().text("tokenizer_config.json", &settings("no".into())).text("chat_template.jinja", template),
            directory
                .text("tokenizer_config.json", &settings(Value::Null))
                .text("chat_template.json", &json!({"chat_template": template}).to_string()),
        ] {
            assert_eq!(asked(&directory, Some("be kind"), "hello?").unwrap(), wanted, "{family}");
        }
    }
}

/// Every template error is one line.
#[test]
fn templates_that_fail_are_one_line() {
    let tokenizer = sentencepiece();
    let with = |template: &str| model("llama", &tokenizer).text("chat_template.jinja", template);
    for (template, word) in [
        ("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}", "failed: "),
        ("{{ raise_exception('roles\\nmust\\ntake turns') }}", "roles must take turns"),
        ("{{ messages[0].content.unheard_of() }}", "failed: "),
        ("{% if %}", "does not parse: "),
    ] {
        let said = asked(&with(template), None, "hello").unwrap_err();
        assert!(said.contains(word) && said.lines().count() == 1, "{said}");
    }
    assert!(asked(&model("llama", &tokenizer), None, "hello").unwrap_err().contains("no chat template"));
}

/// Lines that are not UTF-8 are refused with their offset; blank lines are no messages.
#[test]
fn lines_that_are_not_utf8_are_refused() {
    let directory = model("llama", &sentencepiece()).text("chat_template.jinja", IN_BRACKETS);
    let folder = directory.write();
    directory.write_weights(&folder.path().join("model.safetensors"), |_| true);
    let image = folder.path().join("chat.atto");
    let atto = |args: &[&std::ffi::OsStr], typed: &[u8]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_atto"));
        let mut child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that ends early closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(typed);
        child.wait_with_output().unwrap()
    };
    let packed = atto(&["pack".as_ref(), folder.path().as_ref(), "-o".as_ref(), image.as_ref()], b"");
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    let chat: [&std::ffi::OsStr; 2] = ["chat".as_ref(), image.as_ref()];
    let silent = atto(&chat, b"\n \t \r\n\n");
    assert!(silent.status.success() && silent.stdout.is_empty());
    let broken = atto(&chat, b"\n  \nhi \xc3(\n");
    assert_eq!(
        String::from_utf8_lossy(&broken.stderr),
        "error: stdin: the text is not UTF-8: invalid byte at offset 7; convert the file to UTF-8\n"
    );
}
