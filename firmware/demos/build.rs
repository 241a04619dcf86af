//! Passes the path of the built-in image to the compiler and this folder's memory map to the linker script.

use std::{env, path::Path};

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let default = Path::new(&here).join("../../models/tales/tales.atto");
    let image = env::var("ATTO_IMAGE").unwrap_or_else(|_| default.display().to_string());
    assert!(Path::new(&image).is_file(), "no image at {image}: pack one and set ATTO_IMAGE to its path");
    println!("cargo::rustc-env=ATTO_IMAGE={image}");
    println!("cargo::rerun-if-env-changed=ATTO_IMAGE");
    println!("cargo::rerun-if-changed={image}");
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rustc-link-arg-bins=-L{here}");
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
}
