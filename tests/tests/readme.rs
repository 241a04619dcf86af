//! The commands of README.md work as they are printed, on a small model with random weights.

#[path = "../fuzz/targets/directory.rs"]
mod directory;

use std::path::Path;
use std::process::Command;

use attoformer_needs::needs;
use attoformer_tests::atto::{atto, finished};
use serde_json::{Map, Value, json};
use xtask::process::{cargo, root};

/// The README's name of the model's folder and image.
const MODEL: &str = "my-model";

/// Commands of the first shell block after this heading.
fn commands(heading: &str) -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README is readable");
    let (_, section) = readme.split_once(heading).unwrap_or_else(|| panic!("README.md has no heading {heading}"));
    let (_, block) = section.split_once("```sh\n").expect("the section has a shell block");
    let (block, _) = block.split_once("```").expect("the block ends");
    block.lines().map(words).collect()
}

/// Words of a command line; double quotes join words.
fn words(line: &str) -> Vec<String> {
    let part = |(number, part): (usize, &str)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    };
    line.split('"').enumerate().flat_map(part).collect()
}

/// Writes a Hugging Face folder: a Llama with byte-level BPE and random weights.
fn write_model(folder: &Path) {
    let (width, hidden, vocab) = (16, 24, 257);
    let letters = (33..=126).chain(161..=172).chain(174..=255).chain(256..=323).filter_map(char::from_u32);
    let pieces: Map<String, Value> = letters.zip(0..).map(|(letter, id)| (letter.to_string(), Value::from(id))).collect();
    let end = json!({"id": 256, "content": "<|endoftext|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let tokenizer = json!({"version": "1.0", "added_tokens": [end],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": pieces, "merges": []}});
    let config = json!({"model_type": "llama", "hidden_size": width, "intermediate_size": hidden, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": vocab, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": true, "bos_token_id": 256, "eos_token_id": 256});
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let tensors: [(String, &[usize]); 11] = [
        ("model.embed_tokens.weight".to_owned(), &[vocab, width]),
        (layer("input_layernorm"), &[width]),
        (layer("self_attn.q_proj"), &[width, width]),
        (layer("self_attn.k_proj"), &[width / 2, width]),
        (layer("self_attn.v_proj"), &[width / 2, width]),
        (layer("self_attn.o_proj"), &[width, width]),
        (layer("post_attention_layernorm"), &[width]),
        (layer("mlp.gate_proj"), &[hidden, width]),
        (layer("mlp.up_proj"), &[hidden, width]),
        (layer("mlp.down_proj"), &[width, hidden]),
        ("model.norm.weight".to_owned(), &[width]),
    ];
    let tensors = tensors.each_ref().map(|(name, shape)| (name.as_str(), "F32", *shape));
    let values: usize = tensors.iter().map(|(.., shape)| shape.iter().product::<usize>()).sum();
    // A linear congruential generator, mapped to -1..1.
    let numbers = std::iter::successors(Some(1u32), |state| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)));
    let data: Vec<u8> = numbers.take(values).flat_map(|state| ((state >> 16) as f32 / 32_768.0 - 1.0).to_le_bytes()).collect();
    let files = Map::from_iter([("config.json".to_owned(), config), ("tokenizer.json".to_owned(), tokenizer)]);
    directory::write(&directory::input(0, &files, &tensors, &data), folder).expect("a whole input");
}

/// The README's command as a process in the folder of the model.
fn process(command: &[String], folder: &Path) -> Command {
    let arguments = command.iter().skip(1).map(|word| match word.strip_prefix(MODEL) {
        Some(rest) => folder.join(MODEL).display().to_string() + rest,
        None => word.clone(),
    });
    let mut process = match command.first().map(String::as_str) {
        Some("atto") => atto(),
        Some("cargo") => cargo(),
        other => panic!("README.md runs {other:?}"),
    };
    process.current_dir(root()).args(arguments);
    process
}

#[needs(program = "qemu-system-arm")]
#[test]
fn own_models_run_on_this_computer_and_on_a_board_as_the_readme_shows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join(MODEL)).expect("a folder for the model");
    write_model(&folder.path().join(MODEL));

    let commands = commands("## Bring your own model");
    let programs: Vec<String> = commands.iter().map(|command| command[..2].join(" ")).collect();
    assert_eq!(programs, ["atto pack", "atto info", "atto run", "cargo xtask"]);
    let mut hashes = Vec::new();
    for (command, program) in commands.iter().zip(programs) {
        let outcome = finished(&mut process(command, folder.path()));
        assert_eq!(outcome.code, Some(0), "{program}: {}", outcome.stderr);
        if program == "atto run" || program == "cargo xtask" {
            let outcome = finished(process(command, folder.path()).arg("--json"));
            let answer: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{program}: {error}: {outcome:?}"));
            hashes.push(answer["output_hash"].as_str().map(str::to_owned));
        }
    }
    assert!(matches!(&hashes[..], [Some(here), Some(board)] if here == board), "{hashes:?}");
}
