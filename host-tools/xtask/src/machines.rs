//! The emulated machines.

/// How to build for a machine and how to start it. Addresses belong to the memory map in the board's linker script.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Name that `--machine` accepts.
    pub name: &'static str,
    /// Processor core.
    pub core: &'static str,
    /// Program name of the emulator.
    pub emulator: &'static str,
    /// Arguments that select the machine.
    pub select: &'static [&'static str],
    /// Compiler target.
    pub target: &'static str,
    /// Program in `firmware/boards/emulated`.
    pub program: &'static str,
    /// Kernel set, if the target alone does not imply it (`--cfg attoformer_backend="…"`).
    pub backend: Option<&'static str>,
    /// Address of the job block: `_job_start` in the board's `memory.x`.
    pub job_at: u32,
    /// Address of the image.
    pub image_at: u32,
    /// Bytes of the largest image that fits at that address.
    pub image_limit: u32,
}

const ARM: &str = "qemu-system-arm";
const MIB: u32 = 1 << 20;

/// QEMU's RISC-V board. The variants differ in the instructions that the compiler may use.
const RISCV32: Machine = Machine {
    name: "riscv32-virt",
    core: "RV32IMAC",
    emulator: "qemu-system-riscv32",
    select: &["-machine", "virt", "-bios", "none"],
    target: "riscv32imac-unknown-none-elf",
    program: "riscv32-virt",
    backend: None,
    job_at: 0x800f_0000,
    image_at: 0x8010_0000,
    image_limit: 63 * MIB,
};

/// All machines, from the smallest core to the largest.
pub const MACHINES: [Machine; 9] = [
    Machine {
        name: "mps2-an385-m0",
        core: "Cortex-M0+ stand-in: ARMv6-M code on a Cortex-M3",
        emulator: ARM,
        select: &["-machine", "mps2-an385"],
        target: "thumbv6m-none-eabi",
        program: "mps2-an385",
        backend: None,
        job_at: 0x000f_0000,
        image_at: 0x0010_0000,
        image_limit: 3 * MIB,
    },
    Machine {
        name: "mps2-an385",
        core: "Cortex-M3",
        emulator: ARM,
        select: &["-machine", "mps2-an385"],
        target: "thumbv7m-none-eabi",
        program: "mps2-an385",
        backend: None,
        job_at: 0x000f_0000,
        image_at: 0x0010_0000,
        image_limit: 3 * MIB,
    },
    Machine {
        name: "mps2-an386",
        core: "Cortex-M4F",
        emulator: ARM,
        select: &["-machine", "mps2-an386"],
        target: "thumbv7em-none-eabihf",
        program: "mps2-an386",
        backend: None,
        job_at: 0x000f_0000,
        image_at: 0x0010_0000,
        image_limit: 3 * MIB,
    },
    Machine {
        name: "mps2-an500",
        core: "Cortex-M7",
        emulator: ARM,
        select: &["-machine", "mps2-an500"],
        target: "thumbv7em-none-eabihf",
        program: "mps2-an500",
        backend: None,
        job_at: 0x000f_0000,
        image_at: 0x0010_0000,
        image_limit: 3 * MIB,
    },
    Machine {
        name: "mps2-an505",
        core: "Cortex-M33",
        emulator: ARM,
        select: &["-machine", "mps2-an505"],
        target: "thumbv8m.main-none-eabihf",
        program: "mps2-an505",
        backend: Some("cortex-m-dsp"),
        job_at: 0x100f_0000,
        image_at: 0x1010_0000,
        image_limit: 3 * MIB,
    },
    Machine {
        name: "mps3-an547",
        core: "Cortex-M55",
        emulator: ARM,
        select: &["-machine", "mps3-an547"],
        target: "thumbv8m.main-none-eabihf",
        program: "mps3-an547",
        backend: Some("cortex-m-dsp"),
        job_at: 0x3800_0000,
        image_at: 0x3801_0000,
        image_limit: 8 * MIB - 0x1_0000,
    },
    Machine {
        name: "riscv32imc-virt",
        core: "RV32IMC",
        select: &["-machine", "virt", "-bios", "none", "-cpu", "rv32,f=false,d=false,a=false"],
        target: "riscv32imc-unknown-none-elf",
        ..RISCV32
    },
    RISCV32,
    Machine {
        name: "riscv32imafc-virt",
        core: "RV32IMAFC",
        select: &["-machine", "virt", "-bios", "none", "-cpu", "rv32"],
        target: "riscv32imafc-unknown-none-elf",
        ..RISCV32
    },
];

/// Finds the machine of this name.
pub fn find(name: &str) -> Option<Machine> {
    MACHINES.into_iter().find(|machine| machine.name == name)
}

/// Finds the machine of this name built for another target: `mps2-an385` with ARMv6-M code is `mps2-an385-m0`.
pub fn find_for(name: &str, target: Option<&str>) -> Option<Machine> {
    let machine = find(name)?;
    match target {
        None => Some(machine),
        Some(target) => MACHINES.into_iter().find(|other| other.select == machine.select && other.target == target),
    }
}
