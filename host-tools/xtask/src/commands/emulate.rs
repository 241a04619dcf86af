//! `cargo xtask emulate`: a board's own firmware in an emulator, driven over its link.

use std::{
    io::{Read, Write, stdin, stdout},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use attoformer_protocol::boards::{self, Board};
use serde_json::{Value, json};
use xtask::{
    emulation::{Emulation, Link, build_for_qemu},
    firmware::target_dir,
    process::{capture, root},
};

use super::{demo, setup};

/// The image that runs unless another one is named.
const MODEL: &str = "models/tales/tales.atto";
/// The board that rp2040js runs.
const PICO: &str = "pico";

#[derive(clap::Args)]
pub struct Arguments {
    /// The board: pico, stm32f405, or a machine of `cargo xtask qemu`
    #[arg(long)]
    board: String,
    /// File that the Pico starts from, with firmware and model [default: made from --image]
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    uf2: Option<PathBuf>,
    /// Image in the first slot [default: models/tales/tales.atto]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Text to continue
    #[arg(long, required_unless_present = "serve", conflicts_with = "serve", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Maximum number of tokens to generate
    #[arg(short = 'n', default_value_t = 40)]
    tokens: u32,
    /// Leave the board running with its link on this port of 127.0.0.1 (0 chooses one), until standard input closes
    #[arg(long, value_name = "tcp:PORT", value_parser = parse_port)]
    serve: Option<u16>,
    /// The Pico's link
    #[arg(long, default_value = "uart", value_parser = ["uart", "usb"])]
    link: String,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Use this `atto` instead of building a small one
    #[arg(long, hide = true)]
    atto: Option<PathBuf>,
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.strip_prefix("tcp:").and_then(|port| port.parse().ok()).ok_or_else(|| "expected tcp:PORT, such as tcp:7000".to_owned())
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let Some(board) = boards::find(&arguments.board) else {
        let names: Vec<&str> = boards::BOARDS.iter().filter(|board| board.tested_on != "built only").map(|board| board.name).collect();
        bail!("unknown board {}; the emulated boards are {}", arguments.board, names.join(", "));
    };
    if arguments.link == "usb" && board.name != PICO {
        bail!("{} has no USB in its emulator; leave out --link usb", board.name);
    }
    match arguments.serve {
        Some(port) => serve(board, start(board, arguments, port)?, arguments.json),
        None => tell(board, &start(board, arguments, 0)?, arguments),
    }
}

fn atto(arguments: &Arguments) -> Result<PathBuf> {
    arguments.atto.clone().map_or_else(demo::build_atto, Ok)
}

/// Starts the board.
fn start(board: &'static Board, arguments: &Arguments, port: u16) -> Result<Emulation> {
    let image = arguments.image.clone().unwrap_or_else(|| root().join(MODEL));
    if board.name != PICO {
        if arguments.uf2.is_some() {
            bail!("{} does not start from a UF2 file; pass the model with --image", board.name);
        }
        return Emulation::qemu(board, &build_for_qemu(board)?, &image, port);
    }
    setup::for_boards()?;
    let uf2 = match &arguments.uf2 {
        Some(uf2) => uf2.clone(),
        None => make_uf2(board, &atto(arguments)?, &image)?,
    };
    let link = if arguments.link == "usb" { Link::Usb } else { Link::Uart };
    Emulation::pico(&uf2, link, port, &[])
}

/// Makes the file that a user would copy to the board.
pub fn make_uf2(board: &'static Board, atto: &Path, image: &Path) -> Result<PathBuf> {
    let elf = xtask::firmware::build_board(board)?;
    let uf2 = target_dir().join(format!("{}.uf2", board.name));
    let mut flash = Command::new(atto);
    flash.args(["flash", "--board", board.name]).arg(image).arg("--firmware").arg(elf).arg("--uf2").arg(&uf2);
    capture(&mut flash)?;
    Ok(uf2)
}

/// Leaves the board running until standard input closes or the emulator ends.
fn serve(board: &Board, mut emulation: Emulation, json: bool) -> Result<()> {
    let (ends, ended) = mpsc::channel();
    let signals = ends.clone();
    ctrlc::set_handler(move || _ = signals.send(())).context("cannot handle signals")?;
    thread::spawn(move || {
        // Reads until the end; whatever is typed changes nothing.
        let _ = std::io::copy(&mut stdin().lock().by_ref(), &mut std::io::sink());
        let _ = ends.send(());
    });
    if json {
        println!("{}", json!({ "board": board.name, "emulator": emulation.emulator, "port": format!("tcp:127.0.0.1:{}", emulation.port) }));
    } else {
        println!("{} serves its link on tcp:127.0.0.1:{}", board.name, emulation.port);
    }
    stdout().flush()?;
    while ended.recv_timeout(Duration::from_millis(100)).is_err() {
        if let Some(status) = emulation.ended()? {
            bail!("{}: the emulator ended with {status}", board.name);
        }
    }
    Ok(())
}

/// Has the board continue the prompt, over its link.
fn tell(board: &Board, emulation: &Emulation, arguments: &Arguments) -> Result<()> {
    let prompt = arguments.prompt.as_deref().unwrap_or_default();
    let mut command = Command::new(atto(arguments)?);
    command.args(["device", "--port", &format!("tcp:127.0.0.1:{}", emulation.port), "run", "--json", "--prompt", prompt]);
    let told = capture(command.args(["-n", &arguments.tokens.to_string()]))?;
    let told: Value = serde_json::from_str(&told).context("`atto device run --json` did not print the promised JSON")?;
    // What the board's clock counts: cycles on rp2040js, instructions on QEMU.
    let counts = told["counts"].as_str().unwrap_or("ticks");
    let mut report = json!({
        "board": board.name,
        "emulator": emulation.emulator,
        "text": told["text"],
        "tokens": told["tokens"],
        "output_hash": told["output_hash"],
    });
    report[format!("{counts}_prefill")] = told["prefill"].clone();
    report[format!("{counts}_per_token")] = told["per_token"].clone();
    if arguments.json {
        println!("{report}");
        return Ok(());
    }
    let per_token: Vec<u64> = told["per_token"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let mean = per_token.iter().sum::<u64>() / per_token.len().max(1) as u64;
    println!("{prompt}{}\n", told["text"].as_str().unwrap_or_default());
    println!(
        "{} on {}: {} tokens, {} {counts} for the prompt, {mean} {counts} a token ({:.1} tokens/s), hash {}",
        board.name,
        emulation.emulator,
        per_token.len(),
        told["prefill"],
        per_token.len() as f64 / told["decode_s"].as_f64().unwrap_or(f64::INFINITY),
        told["output_hash"].as_str().unwrap_or_default(),
    );
    Ok(())
}
