// Runs the firmware of the Raspberry Pi Pico on an emulated RP2040. `node run.mjs --help` shows the options.

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { Fault, PowerCut, UsageError } from "./faults.mjs";

const HELP = `Runs the firmware of the Raspberry Pi Pico on an emulated RP2040.

Usage: node run.mjs --uf2 FILE --link uart|usb --listen PORT|--stdio [OPTIONS]

  --uf2 FILE          firmware, and a model if the file has one, as written to a board in BOOTSEL mode
  --link uart|usb     UART0 at 115200 baud of simulated time, or the USB serial port
  --listen PORT       serve the link on this TCP port of 127.0.0.1, one client at a time; 0 chooses a port.
                      Prints {"listening": PORT} when the board waits for a request. Ends when standard input closes
  --stdio             serve the link on standard input and output; ends when the input has ended and the board waits
  --flash-state FILE  keep the flash in this file: if it exists, the board starts with it and --uf2 is not written again
  --cut N             cut power in the middle of flash operation N (an erased sector or a programmed page), with exit status 75
  --seed S            random seed of what a cut operation leaves (default 0)
  --help              show this text

Prints instructions, cycles and the cycles between the LED's rising edges as JSON when it ends (--stdio: on standard error).

Modelled (rp2040js): ARMv6-M with cycle counts, clocks, timer, UART0, USB device, GPIO, 2 MB of flash at the speed of RAM.
Not modelled: cache misses and flash wait states, the second core, the boot ROM (except its flash functions, as stubs),
the second-stage boot loader's start, the memory protection unit, faults (a wrong access ends the run with status 70).
`;

function options() {
  const flags = {
    uf2: { type: "string" },
    link: { type: "string" },
    listen: { type: "string" },
    stdio: { type: "boolean" },
    "flash-state": { type: "string" },
    cut: { type: "string" },
    seed: { type: "string", default: "0" },
    help: { type: "boolean" },
  };
  let values;
  try {
    ({ values } = parseArgs({ options: flags }));
  } catch (error) {
    throw new UsageError(error.message);
  }
  if (values.help) return values;
  if (values.uf2 === undefined) throw new UsageError("--uf2 is missing");
  if (values.link !== "uart" && values.link !== "usb") throw new UsageError("--link must be uart or usb");
  if ((values.listen !== undefined) === (values.stdio === true)) throw new UsageError("give either --listen or --stdio");
  for (const [name, least, most] of [["listen", 0, 65535], ["cut", 1, 2 ** 32], ["seed", 0, 2 ** 32 - 1]]) {
    if (values[name] === undefined) continue;
    values[name] = Number(values[name]);
    if (!Number.isInteger(values[name]) || values[name] < least || values[name] > most) {
      throw new UsageError(`--${name} must be a whole number from ${least} to ${most}`);
    }
  }
  return values;
}

function readFile(name) {
  try {
    return readFileSync(name);
  } catch (error) {
    throw new UsageError(`cannot read ${name}: ${error.message}`);
  }
}

/** The flash at the start: the saved one, or an erased one with the UF2 file. */
async function initialFlash({ uf2, "flash-state": state }) {
  const { FLASH_BYTES } = await import("./board.mjs");
  const { loadUf2 } = await import("./uf2.mjs");
  const flash = new Uint8Array(FLASH_BYTES).fill(0xff);
  loadUf2(uf2, readFile(uf2), flash);
  if (state !== undefined && existsSync(state)) {
    const saved = readFile(state);
    if (saved.length !== FLASH_BYTES) throw new UsageError(`${state} has ${saved.length} bytes, a flash has ${FLASH_BYTES}`);
    flash.set(saved);
  }
  return flash;
}

/** Writes the flash to its file, whole or not at all. */
function saveFlash(name, flash) {
  if (name === undefined) return;
  const partial = `${name}.partial`;
  writeFileSync(partial, flash);
  renameSync(partial, name);
}

/** Random numbers from 0 up to 1 that follow from a seed (mulberry32). */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function openPort(TcpHost, port, print) {
  try {
    return await TcpHost.open(port, (chosen) => print({ listening: chosen }));
  } catch (error) {
    throw new UsageError(`cannot listen on port ${port}: ${error.message}`);
  }
}

async function main() {
  const values = options();
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const { StdioHost, TcpHost } = await import("./host.mjs");
  const { Session } = await import("./session.mjs");
  // A reader that is gone is no reason to lose the flash.
  process.stdout.on("error", () => {});
  const print = (value) => (values.stdio ? process.stderr : process.stdout).write(`${JSON.stringify(value)}\n`);
  const flash = await initialFlash(values);
  const host = values.stdio ? new StdioHost() : await openPort(TcpHost, values.listen, print);
  const session = new Session(flash, { link: values.link, cut: values.cut, random: randomNumbers(values.seed) }, host);
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => session.stop());
  if (!values.stdio) process.stdin.on("end", () => session.stop()).resume();
  let status = 0;
  try {
    await session.run();
  } catch (error) {
    if (error instanceof PowerCut) {
      print({ cut: error.operation });
      status = 75;
    } else if (error instanceof Fault) {
      process.stderr.write(`the board stopped: ${error.message}\n`);
      status = 70;
    } else {
      throw error;
    }
  } finally {
    host.end();
    process.stdin.destroy();
    saveFlash(values["flash-state"], flash);
  }
  print({ ...session.counts, nanoseconds: Math.round(session.board.mcu.clock.nanos) });
  return status;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError) && !error.message.includes("cargo xtask setup")) throw error;
  process.stderr.write(`error: ${error.message}\n`);
  process.exitCode = 2;
}
