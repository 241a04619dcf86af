//! `cargo xtask regenerate`: makes everything anew that pins bytes of images, after a change of the format, of the numerics or of packing defaults.

use anyhow::Result;
use xtask::process::{cargo, root, run};

use super::train_default;

/// Packs the default model, writes the fuzz seeds and accepts the wording of the command-line tool.
pub fn run_all() -> Result<()> {
    train_default::run(&train_default::Arguments { output: None, resume: false, pack_only: true })?;
    let tests = [
        ("attoformer-tests", "hostile_seeds", "ATTOFORMER_WRITE_SEEDS", "1"),
        ("attoformer-tools", "messages", "INSTA_UPDATE", "always"),
        ("attoformer-tools", "import_messages", "INSTA_UPDATE", "always"),
    ];
    for (package, test, variable, value) in tests {
        let mut command = cargo();
        command.current_dir(root()).args(["test", "--quiet", "--release", "--package", package, "--test", test]).env(variable, value);
        run(&mut command)?;
    }
    println!("regenerate: commit models/tales/tales.atto, tests/fuzz/seeds and host-tools/tests/snapshots");
    Ok(())
}
