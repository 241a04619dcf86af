//! Finds the image that the demos build in, and links them with the memory map beside this file.

use std::{env, path::Path};

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let default = Path::new(&here).join("../../models/tales/tales.atto");
    let image = env::var("ATTO_IMAGE").unwrap_or_else(|_| default.display().to_string());
    assert!(Path::new(&image).is_file(), "there is no image at {image}: pack one and give its path in ATTO_IMAGE");
    println!("cargo::rustc-env=ATTO_IMAGE={image}");
    println!("cargo::rerun-if-env-changed=ATTO_IMAGE");
    println!("cargo::rerun-if-changed={image}");
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rustc-link-arg-bins=-L{here}");
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
}
