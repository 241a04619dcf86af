// A Raspberry Pi Pico: the RP2040, 2 MB of flash and the LED.

import { RP2040 } from "./emulator.mjs";
import { Fault, Restart } from "./faults.mjs";
import { Rom } from "./rom.mjs";

export const FLASH_BYTES = 2 << 20;
const FLASH = 0x10000000;
const VECTORS = 0x100;
const LED = 25;
/** LED spans that are kept. */
const SPANS = 100_000;
/** Exception number of interrupt 0. */
const FIRST_IRQ = 16;
const AIRCR = 0xd0c;
const SYSRESETREQ = 0x05fa0004;

/** Unknown registers are ignored, as the drivers expect; memory that does not exist and unknown instructions end the run. */
class Strict {
  constructor(mcu) {
    this.mcu = mcu;
  }
  debug() {}
  info() {}
  warn(part, message) {
    if (part === "RP2040" || part === "CortexM0Core") throw new Fault(`${message} (pc 0x${this.mcu.core.PC.toString(16)})`);
  }
  error(part, message) {
    throw new Fault(`${part}: ${message} (pc 0x${this.mcu.core.PC.toString(16)})`);
  }
}

/** A board that runs what is in `flash`. `counts` is kept over restarts. */
export class Board {
  constructor(flash, counts, cut, random) {
    const mcu = new RP2040();
    this.mcu = mcu;
    this.counts = counts;
    mcu.logger = new Strict(mcu);
    mcu.flash = flash;
    mcu.flash16 = new Uint16Array(flash.buffer, flash.byteOffset, flash.length / 2);
    mcu.flashView = new DataView(flash.buffer, flash.byteOffset, flash.length);
    this.rom = new Rom(mcu, cut, random);
    this.patchRegisters();
    this.patchInterrupts();
    this.watchLed();
    this.start();
  }

  patchRegisters() {
    const { mcu } = this;
    // The cache's control registers: always ready.
    mcu.peripherals[0x14000] = { readUint32: () => 0, writeUint32Atomic() {} };
    const writePpb = mcu.ppb.writeUint32.bind(mcu.ppb);
    mcu.ppb.writeUint32 = (offset, value) => {
      if (offset === AIRCR && value >>> 0 === SYSRESETREQ) throw new Restart("the program reset the chip");
      writePpb(offset, value);
    };
    const write = mcu.writeUint32.bind(mcu);
    mcu.writeUint32 = (address, value) => {
      if (address >>> 28 === 1 && address < 0x14000000) throw new Fault(`a write to flash address 0x${address.toString(16)}`);
      write(address, value);
    };
  }

  patchInterrupts() {
    const { core } = this.mcu;
    let asserted = 0;
    const set = core.setInterrupt.bind(core);
    core.setInterrupt = (irq, value) => {
      asserted = value ? asserted | (1 << irq) : asserted & ~(1 << irq);
      set(irq, value);
    };
    const enter = core.exceptionEntry.bind(core);
    core.exceptionEntry = (number) => {
      enter(number);
      // rp2040js keeps the Thumb bit of a vector in the program counter, so that jump tables in a handler are read at odd addresses.
      core.PC &= ~1;
      // It also keeps an interrupt pending that the program itself has made so.
      if (number >= FIRST_IRQ) core.pendingInterrupts &= asserted | ~(1 << (number - FIRST_IRQ));
    };
    // An enabled interrupt ends a wait even if interrupts are masked; it is then served once they are not.
    const check = core.checkForInterrupts.bind(core);
    core.checkForInterrupts = () => {
      if (!core.waiting) return check();
      this.wake();
      return false;
    };
  }

  /** Ends a wait if an interrupt is pending. Returns whether the core runs. */
  wake() {
    const { core } = this.mcu;
    if (core.pendingInterrupts & core.enabledInterrupts || core.pendingSystick || core.pendingPendSV) {
      core.waiting = false;
      core.interruptsUpdated = true;
    }
    return !core.waiting;
  }

  watchLed() {
    const { mcu, counts } = this;
    let last;
    mcu.gpio[LED].addListener((state, old) => {
      if (state !== 1 || old === 1) return;
      if (last !== undefined && counts.led_spans.length < SPANS) counts.led_spans.push(mcu.core.cycles - last);
      last = mcu.core.cycles;
    });
  }

  /** Starts at the vector table, as the second-stage boot loader does. */
  start() {
    const { core } = this.mcu;
    core.VTOR = FLASH + VECTORS;
    core.SP = this.mcu.readUint32(core.VTOR);
    core.PC = this.mcu.readUint32(core.VTOR + 4) & ~1;
    core.cycles = 0;
  }

  /** Runs up to `limit` instructions, or until the core waits. */
  run(limit) {
    const { core, clock, clkSys } = this.mcu;
    const cycleNanos = 1e9 / clkSys;
    const startCycles = core.cycles;
    let count = 0;
    try {
      while (count < limit && !core.waiting) {
        const nanos = core.executeInstruction() * cycleNanos;
        count += 1;
        const now = clock.nanosCounter + nanos;
        const alarm = clock.nextAlarm;
        if (alarm !== null && alarm.nanos <= now) clock.tick(nanos);
        else clock.nanosCounter = now;
      }
    } finally {
      this.counts.instructions += count;
      this.counts.cycles += core.cycles - startCycles;
    }
  }
}
