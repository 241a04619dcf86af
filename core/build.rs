//! Names the kernel set that a target is known to run, since stable Rust shows no `target_feature` for Cortex-M.
//!
//! `--cfg attoformer_backend="..."` in RUSTFLAGS decides where the target leaves a choice (Cortex-M33 with or without DSP).

fn main() {
    println!("cargo::rustc-check-cfg=cfg(attoformer_backend, values(\"scalar\", \"cortex-m-dsp\"))");
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    if target.starts_with("thumbv7em") {
        println!("cargo::rustc-cfg=attoformer_backend=\"cortex-m-dsp\"");
    }
}
