//! Passes the linker scripts to the linker, and the name of the chip to the code.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=memory_arena.x");
    println!("cargo::rustc-check-cfg=cfg(chip, values(\"c3\", \"c6\"))");
    let package = env::var("CARGO_PKG_NAME").unwrap_or_default();
    println!("cargo::rustc-cfg=chip=\"{}\"", package.rsplit('-').next().unwrap_or_default());
    println!("cargo::rustc-link-arg-bins=-L{}", env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    println!("cargo::rustc-link-arg-bins=-Tlinkall.x");
    println!("cargo::rustc-link-arg-bins=-Tmemory_arena.x");
}
