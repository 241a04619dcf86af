//! `cargo xtask bench`: instruction counts of each kernel on an emulated machine, after a check that it computes the same bits as the specification.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use xtask::{
    emulator, firmware,
    machines::{self, Machine},
    process::{output, run as run_command},
};

/// The machines whose memory map `firmware/kernel-bench` has in its linker script.
const MACHINES: [&str; 2] = ["mps2-an386", "mps2-an500"];
const PROGRAM: &str = "attoformer-kernel-bench";

#[derive(clap::Args)]
pub struct Arguments {
    /// The machine: mps2-an386 or mps2-an500
    #[arg(long, default_value = "mps2-an386")]
    machine: String,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let machine = machines::find(&arguments.machine).filter(|machine| MACHINES.contains(&machine.name));
    let Some(machine) = machine else {
        bail!("no kernel counts for {}; the machines are {}", arguments.machine, MACHINES.join(", "));
    };
    let lines = counts(&machine)?;
    let kernels: Vec<_> = lines.iter().filter(|line| line.get("op").is_some()).cloned().collect();
    if arguments.json {
        println!("{}", json!({ "machine": machine.name, "kernels": kernels }));
    } else {
        println!("{}, instruction counts of the emulator (not cycles)", machine.name);
        kernels.iter().for_each(show);
    }
    Ok(())
}

/// Checks every Cortex-M kernel against the specification, bit for bit.
pub fn conformance() -> Result<()> {
    for name in MACHINES {
        let Some(machine) = machines::find(name) else { bail!("unknown machine {name}") };
        let checks = counts(&machine)?.iter().filter(|line| line["pass"] == json!(true)).count();
        if checks == 0 {
            bail!("{name}: the program performed no check");
        }
        eprintln!("{name}: {checks} kernel checks passed");
    }
    Ok(())
}

/// Builds and runs the program and returns the JSON lines that it printed.
///
/// # Errors
/// A kernel differs from the specification.
fn counts(machine: &Machine) -> Result<Vec<Value>> {
    let mut build = firmware::cargo_in_firmware("build", machine.backend);
    run_command(build.args(["--release", "--locked", "--quiet", "--package", PROGRAM, "--target", machine.target]))?;
    let elf = firmware::target_dir().join(machine.target).join("release").join(PROGRAM);
    let output = output(&mut emulator::bare(machine, &elf))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if let Some(failed) = lines.iter().find(|line| line["pass"] == json!(false)) {
        bail!("{} on {} differs from the specification: {failed}", failed["check"], machine.name);
    }
    if !output.status.success() {
        bail!("the program on {} ended with {}: {}", machine.name, output.status, text.lines().last().unwrap_or_default());
    }
    Ok(lines)
}

fn show(line: &Value) {
    let word = |key: &str| line.get(key).map_or(String::new(), |value| value.as_str().map_or(value.to_string(), str::to_owned));
    println!(
        "{:<13} {:<13} activations {:<2} group {:<4} k {:<4} n {:<4} tokens {:<3} {:>9} {:>8} each",
        word("op"),
        word("layout"),
        word("activations"),
        word("group"),
        word("k"),
        word("n"),
        word("tokens"),
        word("instructions"),
        word("per_mac"),
    );
}
