//! llama2.c checkpoints and tokenizers: tensors, pieces, and the refusal of damaged files.

mod common;

use attoformer_tools::import::{self, SourceRole, llama2c};
use common::{CONTEXT, DIM, HEADS, HIDDEN, LAYERS, Tiny, VOCAB, checkpoint, header, tokenizer};

/// The message of the refusal of a checkpoint.
fn refusal(checkpoint: &[u8], tokenizer: &[u8]) -> String {
    let tiny = Tiny::with(checkpoint, tokenizer);
    import::open(&tiny.source(), None).map(|_| ()).expect_err("it was imported").to_string()
}

#[test]
fn llama2c_tensors_are_imported() {
    let tiny = Tiny::new();
    let checkpoint = import::open(&tiny.source(), None).unwrap();
    assert_eq!(checkpoint.name, "tiny");
    assert_eq!((checkpoint.config.d_model, checkpoint.config.context), (DIM as u32, CONTEXT as u32));
    assert_eq!(checkpoint.tensors.len(), 2 + 9 * LAYERS);

    let bytes = common::checkpoint();
    let float = |index: usize| f32::from_le_bytes(bytes[28 + 4 * index..][..4].try_into().unwrap());
    let embedding = checkpoint.tensor(SourceRole::Embedding, None).unwrap();
    assert_eq!(embedding.values()[5], float(5));
    let norm = checkpoint.tensor(SourceRole::AttnNorm, Some(1)).unwrap();
    assert_eq!(norm.values(), (0..DIM).map(|index| float(VOCAB * DIM + DIM + index)).collect::<Vec<f32>>());
    // The final norm follows all layers; the rotary tables follow the final norm.
    let rotary = CONTEXT * DIM / HEADS;
    let all = (bytes.len() - 28) / 4;
    let last = checkpoint.tensor(SourceRole::FinalNorm, None).unwrap();
    assert_eq!(last.values()[0], float(all - rotary - DIM));
    let down = checkpoint.tensor(SourceRole::Down, Some(0)).unwrap();
    assert_eq!((down.rows, down.columns), (DIM, HIDDEN));
}

#[test]
fn a_negative_vocabulary_means_an_untied_head() {
    let mut bytes = checkpoint();
    bytes[20..24].copy_from_slice(&(-(VOCAB as i32)).to_le_bytes());
    bytes.extend((0..VOCAB * DIM).flat_map(|index| (index as f32).to_le_bytes()));
    let (config, tensors) = llama2c::model(&bytes.into()).unwrap();
    assert!(!config.tied_head);
    let head = tensors.last().unwrap();
    assert_eq!((head.role, head.values()[1]), (SourceRole::Head, 1.0));
}

#[test]
fn a_truncated_checkpoint_is_refused() {
    let bytes = checkpoint();
    for end in 0..bytes.len() {
        assert!(llama2c::model(&bytes[..end].to_vec().into()).is_err(), "cut at {end}");
    }
    assert!(llama2c::model(&[&bytes[..], &[0]].concat().into()).unwrap_err().to_string().contains("implies"));
}

#[test]
fn a_truncated_tokenizer_is_refused() {
    let bytes = tokenizer();
    for end in 0..bytes.len() {
        assert!(llama2c::tokenizer(&bytes[..end], VOCAB as u32).is_err(), "cut at {end}");
    }
    assert_eq!(llama2c::tokenizer(&bytes, VOCAB as u32).unwrap().pieces.len(), VOCAB);
}

#[test]
fn wrong_sizes_are_refused_before_anything_is_allocated() {
    for field in 0..7 {
        for value in [0, -1, i32::MAX, i32::MIN, 1 << 20] {
            let mut numbers = header();
            numbers[field] = value;
            let head: Vec<u8> = numbers.into_iter().flat_map(i32::to_le_bytes).collect();
            let bytes = [&head, &checkpoint()[28..]].concat();
            // A negated number of key/value heads means linear attention.
            assert_eq!(llama2c::model(&bytes.into()).is_ok(), (field, value) == (4, -1), "field {field} = {value}");
        }
    }
}

#[test]
fn no_altered_byte_of_a_tokenizer_panics() {
    let bytes = tokenizer();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut altered = bytes.clone();
            altered[at] ^= flip;
            // Refused or imported; a piece is never longer than its file.
            let _ = llama2c::tokenizer(&altered, VOCAB as u32);
        }
    }
}

#[test]
fn weights_must_be_finite() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut bytes = checkpoint();
        let at = 28 + 4 * (VOCAB * DIM + DIM + 3);
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let sentence = refusal(&bytes, &tokenizer());
        assert!(sentence.ends_with(&format!("tiny.bin: value 3 of AttnNorm of layer 1 is {value}; weights must be finite")), "{sentence}");
    }
}

#[test]
fn a_tokenizer_of_another_size_is_refused() {
    let larger = [&tokenizer()[..], &0.0_f32.to_le_bytes(), &1_i32.to_le_bytes(), b"x"].concat();
    let sentence = refusal(&checkpoint(), &larger);
    assert!(sentence.contains("tokenizer.bin: the file has more than the 283 pieces of the model's vocabulary"), "{sentence}");
    let smaller = &tokenizer()[..tokenizer().len() - 10];
    let sentence = refusal(&checkpoint(), smaller);
    assert!(sentence.contains("tokenizer.bin: the file ends in piece 282, but the model's vocabulary has 283"), "{sentence}");
}

#[test]
fn files_of_other_formats_are_recognized() {
    assert!(refusal(b"", b"").ends_with("tiny.bin: the file is empty"));
    assert!(refusal(b"ATTO....", b"").contains("packed image already"));
    assert!(refusal(b"GGUF....", b"").contains("GGUF version"));
    assert!(refusal(b"24ka....", b"").contains("version 0"));
    let folder = tempfile::tempdir().unwrap();
    assert!(import::open(folder.path(), None).unwrap_err().to_string().contains("directory"));
    let nowhere = folder.path().join("nowhere.bin");
    assert!(import::open(&nowhere, None).unwrap_err().to_string().ends_with("nowhere.bin: no such file or directory"));
}

#[cfg(unix)]
#[test]
#[ignore = "needs a user that is not root"]
fn a_file_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let tiny = Tiny::new();
    std::fs::set_permissions(tiny.source(), std::fs::Permissions::from_mode(0o0)).unwrap();
    assert!(import::open(&tiny.source(), None).unwrap_err().to_string().ends_with("tiny.bin: permission denied"));
}
