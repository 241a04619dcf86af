//! Words that people search for, and words that were replaced.

use std::process::Command;

use xtask::process::{output, root};

/// Terms of the field. Each names something that exists here, and a search for it finds the place.
const TERMS: [&str; 66] = [
    "KV cache",
    "GEMV",
    "GEMM",
    "microkernel",
    "panel",
    "accumulator",
    "zero point",
    "dequantize",
    "absmax",
    "per-channel",
    "per-token",
    "group size",
    "nibble",
    "RMSNorm",
    "layer norm",
    "residual",
    "SwiGLU",
    "GeGLU",
    "grouped-query",
    "multi-query",
    "self-attention",
    "cross-attention",
    "causal mask",
    "padding mask",
    "sliding window",
    "rotate_half",
    "RoPE",
    "NTK",
    "YaRN",
    "ALiBi",
    "T5 relative",
    "tied embeddings",
    "prefill",
    "sentinel",
    "scratch",
    "thread pool",
    "stop sequence",
    "nucleus",
    "top-p",
    "special tokens",
    "byte fallback",
    "merge rank",
    "Viterbi",
    "mel filterbank",
    "MFCC",
    "hop length",
    "n_fft",
    "Hann",
    "DCT",
    "im2col",
    "patch embedding",
    "SmoothQuant alpha",
    "migration strength",
    "importance matrix",
    "KL divergence",
    "cosine similarity",
    "perplexity",
    "logit lens",
    "activation patching",
    "Cortex-M55",
    "Helium",
    "stack size",
    "memory map",
    "linker script",
    "semihosting",
    "instruction count",
];

/// Names and words that the code no longer uses. Brackets keep this line out of its own search.
const REPLACED: &str = "[R]ooms|[S]ight|[W]ish|[T]aker|[S]cribe|[S]een|[B]eside|[A]round|[d]earest|[c]hoosiest|[p]arted";

/// Runs `git grep` at the repository's root; `None` without a git checkout.
pub fn git_grep(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    let found = output(command.current_dir(root()).arg("grep").args(arguments)).ok()?;
    matches!(found.status.code(), Some(0 | 1)).then(|| String::from_utf8_lossy(&found.stdout).into_owned())
}

#[test]
fn terms_of_the_field_lead_to_their_place() {
    let missing: Vec<&str> = TERMS
        .into_iter()
        .filter(|term| git_grep(&["-Iil", "--", term, "core/src", "host-tools/src", "firmware"]).expect("a git checkout").is_empty())
        .collect();
    assert!(missing.is_empty(), "no file of core, host-tools and firmware mentions: {}", missing.join(", "));
}

#[test]
fn replaced_words_do_not_come_back() {
    let found = git_grep(&["-nwE", REPLACED, "--", "*.rs", "*.md"]).expect("a git checkout");
    assert!(found.is_empty(), "replaced words:\n{found}");
}
