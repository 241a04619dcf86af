//! Snapshots of the help of every subcommand and of error messages, so that every change of their wording is reviewed.
//!
//! `INSTA_UPDATE=always cargo test -p attoformer-tools --test messages` accepts new wording.

mod common;

use std::process::{Command, Output};

use common::Tiny;

/// Runs `atto` in the folder of a tiny model.
fn atto(tiny: &Tiny, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atto")).args(args).current_dir(tiny.folder.path()).output().unwrap()
}

#[test]
fn help_of_every_subcommand() {
    let tiny = Tiny::new();
    let help = |args: &[&str]| {
        let output = atto(&tiny, &[args, &["--help"]].concat());
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    insta::assert_snapshot!("help", help(&[]));
    for name in [
        "pack",
        "info",
        "import",
        "run",
        "embed",
        "eval",
        "chat",
        "classify",
        "transcribe",
        "bench",
        "inspect",
        "boards",
        "flash",
        "train",
        "completions",
    ] {
        insta::assert_snapshot!(format!("help_{name}"), help(&[name]));
    }
    for name in ["perplexity", "sts", "accuracy", "transcripts"] {
        insta::assert_snapshot!(format!("help_eval_{name}"), help(&["eval", name]));
    }
}

/// Each command with the last line that it prints on stderr.
fn messages(tiny: &Tiny, commands: &[&[&str]]) -> String {
    let message = |args: &&[&str]| {
        let output = atto(tiny, args);
        assert_ne!(output.status.code(), Some(0), "{args:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        format!("$ atto {}\n{}\n", args.join(" "), stderr.lines().last().unwrap_or_default())
    };
    commands.iter().map(message).collect()
}

#[test]
fn error_messages() {
    let tiny = Tiny::new();
    let write = |name: &str, bytes: &[u8]| std::fs::write(tiny.path(name), bytes).unwrap();
    assert!(atto(&tiny, &["pack", "tiny.bin", "-o", "tiny.atto"]).status.success());
    write("empty.txt", b"");
    write("blank.txt", b" \n");
    write("invalid.txt", b"once \xff");
    write("pairs.csv", b"a\tb\n");
    write("song.wav", b"ID3");
    let text = messages(
        &tiny,
        &[
            &["info", "nowhere.atto"],
            &["info", "."],
            &["info", "tiny.atto/part"],
            &["info", "empty.txt"],
            &["eval", "perplexity", "tiny.atto", "--text", "invalid.txt"],
            &["eval", "perplexity", "tiny.atto", "--text", "blank.txt"],
            &["eval", "perplexity", "tiny.atto", "--pairs", "pairs.csv"],
            &["eval", "perplexity", "tiny.atto", "--pairs", "empty.txt"],
            &["eval", "perplexity", "tiny.atto", "--pairs", "blank.txt"],
            &["eval", "sts", "tiny.atto", "--pairs", "pairs.csv"],
            &["eval", "transcripts", "tiny.atto", "--data", "."],
            &["pack", "tiny.bin", "-o", "tiny.bin"],
            &["pack", "tiny.bin", "-o", "x.atto", "--context", "21"],
            &["pack", "tiny.bin", "-o", "x.atto", "--tensor", "layers.7.qkv=f16"],
            &["pack", "tiny.bin", "-o", "x.atto", "--tensor", "final_norm=int8"],
            &["pack", "tiny.bin", "-o", "x.atto", "--calibrate", "blank.txt"],
            &["pack", "tiny.bin", "-o", "tiny.atto", "--budget-flash", "1000"],
            &["pack", "tiny.bin", "-o", "tiny.atto", "--weights", "int8", "--budget-flash", "1K"],
            &["pack", "tiny.bin", "-o", "tiny.atto", "--formats", "none.toml"],
            &["pack", "tiny.bin", "--sensitivity", "--calibrate", "none"],
            &["run", "tiny.atto", "--tokens-in", "1", "--logits", "tiny.atto"],
            &["transcribe", "tiny.atto", "song.wav"],
            &["chat", "tiny.atto"],
            &["classify", "tiny.atto", "--input", "song.wav"],
            &["bench", "tiny.atto", "tiny.atto"],
            &["bench", "tiny.atto", "--scaling", "--lengths", "0"],
            &["inspect", "tiny.atto", "--tokens-in", "1,270", "-o", "page.html", "--target", "abc"],
            &["inspect", "tiny.atto", "--tokens-in", "1,270", "-o", "empty.txt"],
            &["train", "config.toml", "-o", "out"],
        ],
    );
    insta::assert_snapshot!("errors", text);
}

#[test]
fn usage_messages() {
    let tiny = Tiny::new();
    let usage = |args: &[&str]| {
        let output = atto(&tiny, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        format!("$ atto {}\n{}\n", args.join(" "), stderr.lines().next().unwrap_or_default())
    };
    let commands: [&[&str]; 11] = [
        &["pack", "tiny.bin", "-o", "x.atto", "--weights", "int3"],
        &["pack", "tiny.bin", "-o", "x.atto", "--tensor", "qkv"],
        &["pack", "tiny.bin", "-o", "x.atto", "--kv", "int4"],
        &["pack", "tiny.bin", "-o", "x.atto", "--layout", "rv32"],
        &["run", "tiny.atto", "--prompt", "x", "--temperature", "-1"],
        &["run", "tiny.atto", "--prompt", "x", "--top-p", "2"],
        &["embed", "tiny.atto", "--text", "x", "-o", "out.bin"],
        &["inspect", "tiny.atto", "--prompt", "x", "-o", "x.html", "--neurons", "t.txt", "--neuron", "3"],
        &["bench", "tiny.atto", "--threads", "0"],
        &["eval", "perplexity", "tiny.atto"],
        &["eval", "perplexity", "tiny.atto", "--text", "a.txt", "--pairs", "a.tsv"],
    ];
    insta::assert_snapshot!("usage", commands.map(usage).concat());
}
