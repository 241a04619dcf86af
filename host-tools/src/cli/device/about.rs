//! `atto device info`, `selftest`, `bench` and `logs`.

use attoformer_protocol::link::message::{Counts, Request};
use attoformer_tools::Error;
use attoformer_tools::device::requests::{BoardInfo, Slot};
use serde::Serialize;
use serde_json::json;

use super::super::output::{print, print_json};
use super::Board;

/// Show the board, its firmware and its model slots
#[derive(clap::Args)]
pub struct InfoArgs {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Have the model test itself: it replays its golden vector on the board
#[derive(clap::Args)]
pub struct SelfTestArgs {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Measure each operator of the model on the board
#[derive(clap::Args)]
pub struct BenchArgs {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Show the board's log
#[derive(clap::Args)]
pub struct LogsArgs {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct SlotReport<'s> {
    bytes: u32,
    state: &'s str,
    hash: String,
    name: &'s str,
    model_version: u32,
    arena_bytes: u32,
    golden: String,
    signed: bool,
    fast_layout: bool,
}

/// `atto device info`.
pub fn info(args: &InfoArgs, board: &mut Board) -> Result<(), Error> {
    let info = board.hello()?;
    let slots = [board.slot(0)?, board.slot(1)?];
    if !args.json {
        return print(&describe(&info, &slots));
    }
    let report = |slot: &Slot| {
        json!(SlotReport {
            bytes: slot.bytes,
            state: &slot.state,
            hash: format!("{:08x}", slot.checksum),
            name: &slot.name,
            model_version: slot.version,
            arena_bytes: slot.arena_bytes,
            golden: format!("{:08x}", slot.golden),
            signed: slot.is_signed,
            fast_layout: slot.has_fast_layout,
        })
    };
    print_json(&json!({
        "board": info.board,
        "engine": info.engine,
        "numerics": info.numerics,
        "slots": slots.iter().map(report).collect::<Vec<_>>(),
        "features": info.features,
        "running": info.running,
        "arena_bytes": info.arena_bytes,
        "slot_bytes": info.slot_bytes,
        "key": info.has_key,
        "min_version": info.min_version,
    }))
}

fn describe(info: &BoardInfo, slots: &[Slot]) -> String {
    let mut text = format!(
        "{}: engine {}, numerics {}\nRAM for arena and input {} bytes, {} bytes a slot\nfeatures {}\n",
        info.board,
        info.engine,
        info.numerics,
        info.arena_bytes,
        info.slot_bytes,
        info.features.join(", ")
    );
    if info.has_key {
        text += "only signed models run\n";
    }
    if info.min_version > 0 {
        text += &format!("models of version {} and newer run\n", info.min_version);
    }
    for (index, slot) in slots.iter().enumerate() {
        text += &format!("slot {index}: {}", slot.state);
        if slot.bytes > 0 {
            text += &format!(
                ", {} ({} bytes, arena {}, version {}, CRC-32 {:08x})",
                slot.name, slot.bytes, slot.arena_bytes, slot.version, slot.checksum
            );
        }
        if !slot.has_fast_layout {
            text += "; packed for another processor, so it runs slowly: pack it with --board";
        }
        text += "\n";
    }
    text
}

/// `atto device selftest`. Fails where the self-test does.
pub fn self_test(args: &SelfTestArgs, board: &mut Board) -> Result<(), Error> {
    let info = board.hello()?;
    let done = board.command(&Request::SelfTest)?;
    let seconds = done.ticks as f64 / f64::from(info.ticks_per_second.max(1));
    if args.json {
        return print_json(
            &json!({ "passed": true, "golden": format!("{:08x}", done.output_hash), unit(info.counts): done.ticks, "seconds": seconds }),
        );
    }
    print(&format!("the self-test passed: golden {:08x}, {} {}, {seconds:.3} s\n", done.output_hash, done.ticks, unit(info.counts)))
}

/// Name of what a tick counts.
pub fn unit(counts: Counts) -> &'static str {
    match counts {
        Counts::Cycles => "cycles",
        Counts::Instructions => "instructions",
        Counts::Time => "ticks",
    }
}

/// `atto device bench`.
pub fn bench(args: &BenchArgs, board: &mut Board) -> Result<(), Error> {
    let info = board.hello()?;
    let slot = board.slot(info.running.unwrap_or(0))?;
    let (operators, done) = board.bench()?;
    let unit = unit(info.counts);
    let share = |ticks: u64| ticks as f64 / done.ticks.max(1) as f64;
    if args.json {
        let rows: Vec<_> = operators.iter().map(|(op, ticks)| json!({ "op": op, unit: ticks, "share": share(*ticks) })).collect();
        let model = json!({ "name": slot.name, "per_op": rows, "tokens": done.tokens, unit: done.ticks });
        return print_json(&json!({ "machine": info.board, "model": model }));
    }
    let row = |(op, ticks): &(String, u64)| format!("{op:<20}{ticks:>14} {unit} {:>6.1} %\n", 100.0 * share(*ticks));
    let rows: String = operators.iter().map(row).collect();
    print(&format!("{} on {}, one pass over {} tokens\n{rows}{:<20}{:>14} {unit}\n", slot.name, info.board, done.tokens, "all", done.ticks))
}

/// `atto device logs`.
pub fn logs(args: &LogsArgs, board: &mut Board) -> Result<(), Error> {
    let lines = board.logs()?;
    if args.json {
        print_json(&json!({ "lines": lines }))
    } else {
        print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
    }
}
