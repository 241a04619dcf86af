//! `cargo xtask setup`: compiler targets through rustup, emulators through apt-get.
//!
//! What is there already is left alone, and then no network is touched. What cannot be installed is said in one line with the command to type.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};
use xtask::process::{capture, is_installed, output, run as execute, spelled};

/// Something that has to be on the machine.
#[derive(Clone, Copy)]
enum Need {
    /// The core library of a compiler target.
    Target(&'static str),
    /// A Debian package, and a program in it by which its presence is seen.
    Package { name: &'static str, program: &'static str },
    /// A Debian package without a program, and a file in it.
    Library { name: &'static str, file: &'static str },
}

const M4F: Need = Need::Target("thumbv7em-none-eabihf");
const QEMU_ARM: Need = Need::Package { name: "qemu-system-arm", program: "qemu-system-arm" };

/// What the demo needs.
const DEMO: [Need; 2] = [M4F, QEMU_ARM];

/// What every command needs.
const ALL: [Need; 12] = [
    M4F,
    Need::Target("thumbv6m-none-eabi"),
    Need::Target("thumbv7m-none-eabi"),
    Need::Target("thumbv8m.main-none-eabihf"),
    Need::Target("riscv32imac-unknown-none-elf"),
    Need::Target("aarch64-unknown-linux-gnu"),
    Need::Target("wasm32-unknown-unknown"),
    QEMU_ARM,
    Need::Package { name: "qemu-system-misc", program: "qemu-system-riscv32" },
    Need::Package { name: "qemu-user", program: "qemu-aarch64" },
    Need::Package { name: "gcc-aarch64-linux-gnu", program: "aarch64-linux-gnu-gcc" },
    Need::Library { name: "libc6-dev-arm64-cross", file: "/usr/aarch64-linux-gnu/lib/crti.o" },
];

pub fn run() -> Result<()> {
    provide(&ALL)
}

/// Provides what the demo needs and nothing else.
pub fn for_demo() -> Result<()> {
    provide(&DEMO)
}

fn provide(needs: &[Need]) -> Result<()> {
    let mut left_out = Vec::new();
    for need in needs {
        let name = need.name();
        if need.is_there() {
            eprintln!("set-up: {name} is there");
            continue;
        }
        match need.install() {
            Ok(()) if need.is_there() => eprintln!("set-up: {name} installed"),
            Ok(()) => left_out.push(format!("{name} (installed, but not found afterwards)")),
            Err(error) => {
                eprintln!("set-up: {name} left out: {error:#}");
                left_out.push(format!("{name}: type `{}`", need.by_hand()));
            }
        }
    }
    if !left_out.is_empty() {
        bail!("set-up is not complete. {}", left_out.join("; "));
    }
    Ok(())
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Need::Target(name) | Need::Package { name, .. } | Need::Library { name, .. } => name,
        }
    }

    fn is_there(self) -> bool {
        match self {
            Need::Target(target) => {
                let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
                let folder = capture(Command::new(rustc).args(["--print", "target-libdir", "--target", target]));
                folder.is_ok_and(|folder| Path::new(folder.trim()).is_dir())
            }
            Need::Package { program, .. } => is_installed(program),
            Need::Library { file, .. } => Path::new(file).is_file(),
        }
    }

    fn install(self) -> Result<()> {
        match self {
            Need::Target(target) => {
                if !is_installed("rustup") {
                    bail!("there is no rustup to install it with");
                }
                execute(Command::new("rustup").args(["target", "add", target]))
            }
            Need::Package { name, .. } | Need::Library { name, .. } => apt_install(name),
        }
    }

    fn by_hand(self) -> String {
        match self {
            Need::Target(target) => format!("rustup target add {target}"),
            Need::Package { name, .. } | Need::Library { name, .. } => format!("sudo apt-get install {name}"),
        }
    }
}

fn apt_install(package: &str) -> Result<()> {
    if !is_installed("apt-get") {
        bail!("there is no apt-get: install the package that holds {package} on this system");
    }
    let mut install = apt(&["install", "--yes", "--no-install-recommends", package])?;
    if output(&mut install)?.status.success() {
        return Ok(());
    }
    // Package lists may be missing or old.
    execute(&mut apt(&["update"])?)?;
    execute(&mut install)
}

/// An apt-get command as root, or through sudo where that asks for no password.
fn apt(arguments: &[&str]) -> Result<Command> {
    let is_root = capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let mut command = if is_root {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["--non-interactive", "apt-get"]);
        let mut allowed = Command::new("sudo");
        if !output(allowed.args(["--non-interactive", "true"])).is_ok_and(|said| said.status.success()) {
            bail!("`{}` needs root", spelled(Command::new("apt-get").args(arguments)));
        }
        sudo
    };
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}
