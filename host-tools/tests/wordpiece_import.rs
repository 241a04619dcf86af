//! WordPiece vocabularies from `tokenizer.json` and `vocab.txt`, and the refusal of invalid ones.

use attoformer_tools::import::tokenizer::json as tokenizer_json;
use attoformer_tools::import::{Scheme, Tokenizer};
use serde_json::{Value, json};
use tempfile::TempDir;

const PIECES: [&str; 6] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##b"];

fn read(files: &[(&str, &[u8])]) -> Result<Tokenizer, String> {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    tokenizer_json::wordpiece(folder.path()).map_err(|error| error.to_string())
}

/// Imports an altered `tokenizer.json`.
fn read_json(alter: impl FnOnce(&mut Value)) -> Result<Tokenizer, String> {
    let vocab: serde_json::Map<String, Value> = PIECES.iter().zip(0..).map(|(piece, id)| (piece.to_string(), Value::from(id))).collect();
    let special = |name: &str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    let mut file = json!({
        "version": "1.0",
        "added_tokens": [{ "id": 2, "content": "[CLS]", "special": true }],
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("[CLS]"), { "Sequence": { "id": "A", "type_id": 0 } }, special("[SEP]")],
        },
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab
        },
    });
    alter(&mut file);
    read(&[("tokenizer.json", file.to_string().as_bytes())])
}

fn scheme(lowercase: bool, handle_chinese_chars: bool, strip_accents: bool) -> Scheme {
    Scheme::WordPiece { clean_text: true, handle_chinese_chars, strip_accents, lowercase, max_word_characters: 100 }
}

#[test]
fn tokenizer_json_and_vocab_txt_give_the_same_vocabulary() {
    let json = read_json(|_| {}).unwrap();
    let text = read(&[("vocab.txt", PIECES.join("\n").as_bytes())]).unwrap();
    for tokenizer in [json, text] {
        let pieces: Vec<&[u8]> = tokenizer.pieces.iter().map(|piece| &piece.bytes[..]).collect();
        assert_eq!(pieces, PIECES.map(str::as_bytes));
        assert_eq!((tokenizer.unk, tokenizer.bos, tokenizer.eos), (1, 2, 3));
        assert_eq!(tokenizer.scheme, scheme(true, true, true));
    }
    // tokenizer.json takes precedence, and line ends of either kind are not part of a piece.
    let lines = format!("{}\r\n", PIECES.join("\r\n"));
    assert_eq!(read(&[("vocab.txt", lines.as_bytes())]).unwrap().pieces[4].bytes, b"a");
    assert!(read(&[("vocab.txt", lines.as_bytes()), ("tokenizer.json", b"{}")]).unwrap_err().contains("tokenizer.json"));
}

#[test]
fn settings_of_vocab_txt_come_from_tokenizer_config() {
    let lines = "<u>\n<s>\n</s>\na";
    let config = json!({
        "do_lower_case": false, "tokenize_chinese_chars": false, "strip_accents": true,
        "unk_token": "<u>", "cls_token": { "content": "<s>", "lstrip": false }, "sep_token": "</s>", "model_max_length": 512,
    });
    let tokenizer = read(&[("vocab.txt", lines.as_bytes()), ("tokenizer_config.json", config.to_string().as_bytes())]).unwrap();
    assert_eq!((tokenizer.unk, tokenizer.bos, tokenizer.eos), (0, 1, 2));
    assert_eq!(tokenizer.scheme, scheme(false, false, true));
    let cased = read_json(|file| file["normalizer"]["lowercase"] = false.into()).unwrap();
    assert_eq!(cased.scheme, scheme(false, true, false));
    let bert = json!({ "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] });
    let tokenizer = read_json(|file| file["post_processor"] = bert).unwrap();
    assert_eq!((tokenizer.bos, tokenizer.eos), (2, 3));
}

/// Every message names the file and the cause.
#[test]
fn an_invalid_tokenizer_json_is_refused() {
    let refused = |alter: &dyn Fn(&mut Value), cause: &str| {
        let error = read_json(alter).unwrap_err();
        assert!(error.contains("tokenizer.json") && error.contains(cause), "{error}");
    };
    refused(&|file| file["model"]["vocab"]["a"] = 3.into(), "two pieces have the id 3");
    refused(&|file| file["model"]["vocab"]["##b"] = 6.into(), "no piece has the id 5");
    refused(&|file| file["model"]["vocab"]["##b"] = u64::MAX.into(), "no piece has the id 5");
    refused(&|file| file["model"]["vocab"]["##b"] = (-1).into(), "invalid model");
    refused(&|file| file["model"]["vocab"]["x".repeat(256)] = 6.into(), "256 bytes");
    refused(&|file| file["model"]["vocab"] = json!({}), "not token 2 of the vocabulary");
    refused(&|file| file["model"]["unk_token"] = "<unk>".into(), "\"<unk>\" is not in the vocabulary");
    refused(&|file| file["model"]["type"] = "BPE".into(), "unsupported model BPE");
    refused(&|file| file["model"] = Value::Null, "unsupported model; supported: WordPiece");
    refused(&|file| file["model"]["continuing_subword_prefix"] = "@@".into(), "\"@@\"");
    for most in [0, 101, u64::MAX] {
        refused(&|file| file["model"]["max_input_chars_per_word"] = most.into(), "max_input_chars_per_word");
    }
    refused(&|file| file["normalizer"] = Value::Null, "unsupported normalizer; supported: BertNormalizer");
    refused(&|file| file["normalizer"]["type"] = "NFC".into(), "unsupported normalizer NFC");
    refused(&|file| file["pre_tokenizer"]["type"] = "Whitespace".into(), "unsupported pre_tokenizer Whitespace");
    refused(&|file| file["post_processor"]["single"] = json!([]), "one token before a text");
    refused(&|file| file["post_processor"]["type"] = "ByteLevel".into(), "post_processor");
    refused(&|file| file["added_tokens"][0]["id"] = 4.into(), "added token \"[CLS]\"");
    refused(&|file| file["added_tokens"][0]["content"] = "<new>".into(), "added token \"<new>\"");
    for bytes in [&b"{"[..], b"[1, 2]", b"\xff", &b"[".repeat(1 << 16)] {
        assert!(read(&[("tokenizer.json", bytes)]).unwrap_err().contains("invalid JSON"));
    }
    assert!(read(&[("tokenizer.json", b"")]).unwrap_err().contains("empty"));
}

#[test]
fn an_invalid_vocab_txt_is_refused() {
    let refused = |lines: &[u8], cause: &str| {
        let error = read(&[("vocab.txt", lines)]).unwrap_err();
        assert!(error.contains("vocab.txt") && error.contains(cause), "{error}");
    };
    refused(b"[UNK]\n[CLS]\n[SEP]\na\nb\na", "pieces 3 and 5 are both \"a\"");
    refused(b"[UNK]\n[CLS]\na", "\"[SEP]\" is not in the vocabulary");
    refused(b"[UNK]\n\xff", "invalid byte at offset 6");
    refused(&b"x".repeat(1 << 20), "1048576 bytes");
    refused(b"", "empty");
    let config = read(&[("vocab.txt", PIECES.join("\n").as_bytes()), ("tokenizer_config.json", b"nonsense")]);
    assert!(config.unwrap_err().contains("tokenizer_config.json"));
    assert!(read(&[]).unwrap_err().contains("the folder has no tokenizer"));
}
