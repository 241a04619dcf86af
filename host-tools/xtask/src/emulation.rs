//! A board that runs in an emulator with its link on a TCP port: its own firmware on rp2040js or on QEMU.

use std::{
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use attoformer_protocol::boards::{Board, Flasher};

use crate::{
    emulator::loader,
    firmware,
    machines::{self, Machine},
    process::root,
};

/// QEMU opens its port within this time.
const START: Duration = Duration::from_secs(20);

/// The link that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A UART.
    Uart,
    /// USB CDC; only on the Pico.
    Usb,
}

/// A running board. Dropping it ends the emulator.
pub struct Emulation {
    child: Child,
    /// Output of rp2040js after its first line.
    output: Option<BufReader<ChildStdout>>,
    /// Port of the link on 127.0.0.1.
    pub port: u16,
    /// Name of the emulator.
    pub emulator: &'static str,
}

impl Drop for Emulation {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Emulation {
    /// Starts the Pico's firmware from a UF2 file. Port 0 chooses one. `more` are options of `tests/boards/run.mjs`.
    ///
    /// # Errors
    /// Node.js or rp2040js is missing, or the file is refused.
    pub fn pico(uf2: &Path, link: Link, port: u16, more: &[&str]) -> Result<Self> {
        let mut command = Command::new("node");
        command.arg(root().join("tests/boards/run.mjs")).arg("--uf2").arg(uf2);
        command.args(["--link", if link == Link::Usb { "usb" } else { "uart" }, "--listen", &port.to_string()]).args(more);
        // It ends when its standard input closes, so also if this program is killed.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start `node`: install Node.js 18 or newer, then run `cargo xtask setup`")?;
        let Some(output) = child.stdout.take() else { bail!("the emulator has no output stream") };
        let (mut line, mut output) = (String::new(), BufReader::new(output));
        output.read_line(&mut line).context("cannot read the emulator's output")?;
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(port) = ready["listening"].as_u64() else {
            let _ = child.kill();
            bail!("{}: the emulator did not start: {line}", uf2.display());
        };
        Ok(Self { child, output: Some(output), port: port as u16, emulator: "rp2040js" })
    }

    /// Starts a board on QEMU, with an image in its first slot. Port 0 chooses one.
    ///
    /// # Errors
    /// QEMU is missing, or the image does not fit the slot.
    pub fn qemu(board: &Board, elf: &Path, image: &Path, port: u16) -> Result<Self> {
        let bytes = std::fs::metadata(image).with_context(|| format!("cannot read {}", image.display()))?.len();
        if bytes > u64::from(board.models.slot_bytes) {
            bail!("{} has {bytes} bytes, a slot of {} {}", image.display(), board.name, board.models.slot_bytes);
        }
        let port = if port == 0 { free_port()? } else { port };
        let mut command = qemu_machine(board)?;
        command.args(["-display", "none", "-monitor", "none", "-icount", "shift=0", "-semihosting-config", "enable=on,target=native"]);
        command.arg("-serial").arg(format!("tcp:127.0.0.1:{port},server=on,wait=off"));
        command.arg("-kernel").arg(elf).arg("-device").arg(loader(image, board.models.slots[0]));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut child = child.context("cannot start QEMU: install it with `cargo xtask setup`")?;
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("QEMU ended with {status}: is port {port} in use?");
            }
            if start.elapsed() > START {
                let _ = child.kill();
                bail!("QEMU did not open port {port} within {} seconds", START.as_secs());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { child, output: None, port, emulator: "qemu" })
    }

    /// Ends the Pico's emulator, which then saves its flash; returns its exit status and the rest of its output, JSON lines.
    ///
    /// # Errors
    /// The operating system cannot tell.
    pub fn stop(mut self) -> Result<(ExitStatus, String)> {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        if let Some(output) = &mut self.output {
            output.read_to_string(&mut rest).context("cannot read the emulator's output")?;
        }
        Ok((self.child.wait()?, rest))
    }

    /// The emulator's exit status, once it has ended.
    ///
    /// # Errors
    /// The operating system cannot tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

/// Builds the firmware of a board that QEMU runs.
///
/// # Errors
/// QEMU does not model the board; the build fails.
pub fn build_for_qemu(board: &Board) -> Result<std::path::PathBuf> {
    match machine(board) {
        Some(machine) => firmware::build_link(&machine),
        None => firmware::build_board(board),
    }
}

fn machine(board: &Board) -> Option<Machine> {
    machines::find(board.name).filter(|_| board.flasher == Flasher::Emulator)
}

/// The emulator and the options that select the machine.
fn qemu_machine(board: &Board) -> Result<Command> {
    if let Some(machine) = machine(board) {
        let mut command = Command::new(machine.emulator);
        command.args(machine.select);
        return Ok(command);
    }
    if board.name != "stm32f405" {
        bail!("no emulator runs {}; `atto boards` lists where each board has run", board.name);
    }
    let mut command = Command::new("qemu-system-arm");
    command.args(["-machine", "netduinoplus2"]);
    Ok(command)
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free TCP port")?;
    Ok(listener.local_addr()?.port())
}
