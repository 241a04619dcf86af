//! Passes the linker script (`memory.x`, the memory map) in each board's folder to the linker.

use std::{env, path::Path};

const CORTEX_M: [&str; 5] = ["mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"];
const RISCV: [&str; 1] = ["riscv32-virt"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=ATTO_TARGET={target}");
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let (boards, scripts): (&[&str], &[&str]) =
        if target.starts_with("thumb") { (&CORTEX_M, &["link.x", "defmt.x"]) } else { (&RISCV, &["memory.x", "link.x", "defmt.x"]) };
    for board in boards {
        let folder = Path::new(&here).join(board);
        println!("cargo::rerun-if-changed={}", folder.join("memory.x").display());
        println!("cargo::rustc-link-arg-bin={board}=-L{}", folder.display());
        println!("cargo::rustc-link-arg-bin={board}=--nmagic");
        for script in scripts {
            println!("cargo::rustc-link-arg-bin={board}=-T{script}");
        }
        // The link's program has the same memory map, and no log.
        println!("cargo::rustc-link-arg-bin={board}-link=-L{}", folder.display());
        println!("cargo::rustc-link-arg-bin={board}-link=--nmagic");
        for script in scripts.iter().filter(|script| **script != "defmt.x") {
            println!("cargo::rustc-link-arg-bin={board}-link=-T{script}");
        }
    }
}
