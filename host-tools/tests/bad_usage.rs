//! Usage errors: exit code 2, and a first line that names the option.

use std::process::{Command, Output};

fn atto(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atto")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn usage_errors_exit_with_2() {
    for args in [
        &["pack"][..],
        &["pack", "a", "-o", "b", "--weights", "int3"],
        &["pack", "a", "-o", "b", "--layout", "z80"],
        &["run", "a"],
        &["run", "a", "--prompt", "x", "--tokens-in", "1"],
        // Options that require another option.
        &["inspect", "a", "-o", "b.html", "--prompt", "x", "--window", "2"],
        &["inspect", "a", "-o", "b.html", "--prompt", "x", "--most-selective", "2"],
        &["inspect", "a", "-o", "b.html", "--prompt", "x", "--format", "int8"],
        &["frobnicate"],
    ] {
        assert_eq!(atto(args).status.code(), Some(2), "{args:?}");
    }
}

/// The error names the option, even if the image does not exist.
#[test]
fn an_invalid_value_names_its_option() {
    let mut cases: Vec<Vec<&str>> = vec![
        vec!["pack", "a", "-o", "b", "--layout", "rv32"],
        vec!["pack", "a", "-o", "b", "--weights", "int3"],
        vec!["chat", "a", "--temperature", "-0.5"],
        vec!["run", "a", "--prompt", "x", "--threads", "0"],
        vec!["chat", "a", "--threads", "100000"],
        vec!["classify", "a", "--text", "x", "--top", "0"],
    ];
    for (option, values) in [
        ("--temperature", &["NaN", "-1", "inf", "warm"][..]),
        ("--top-k", &["0", "-1", "2.5"]),
        ("--top-p", &["0", "1.5", "NaN"]),
        ("--repetition-penalty", &["0", "-1", "inf"]),
    ] {
        cases.extend(values.iter().map(|value| vec!["run", "a", "--prompt", "x", option, value]));
    }
    for args in cases {
        let [.., option, value] = args[..] else { unreachable!("every case ends with an option") };
        let output = atto(&args);
        let stderr = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}: {stderr}");
        let first = stderr.lines().next().unwrap();
        assert!(first.contains(option) && first.contains(&format!("'{value}'")), "{args:?}: {stderr}");
    }
    let help = text(&atto(&["pack", "--help"]).stdout);
    assert!(help.contains("--layout <portable|cortex-m-dsp>"), "{help}");
}
