// A boot ROM with the flash functions only: each entry is a breakpoint that is served here, followed by a return.

import { Fault, PowerCut } from "./faults.mjs";

const PAGE = 256;
const SECTOR = 4096;
/** Typical times of the Pico's flash (W25Q16JV). */
const ERASE_NANOS = 45e6;
const PROGRAM_NANOS = 0.4e6;
const FIRST_ENTRY = 0x100;
const BKPT_BX_LR = 0x4770be00;
/** Codes of the functions, in the order of their entries after the look-up function. */
const FUNCTIONS = ["IF", "EX", "RE", "RP", "FC", "CX"];

/** The ROM of one board. */
export class Rom {
  /** `cut` is the number of the flash operation in which power is cut, from 1 on; `random` returns numbers from 0 up to 1. */
  constructor(mcu, cut, random) {
    this.mcu = mcu;
    this.cut = cut;
    this.random = random;
    this.operations = 0;
    this.install();
  }

  install() {
    const { bootrom } = this.mcu;
    // Halfwords at 0x14 to 0x18: function table, data table, look-up function. The tables are not read, so any address will do.
    bootrom[0x14 / 4] = (FIRST_ENTRY << 16) | FIRST_ENTRY;
    bootrom[0x18 / 4] = FIRST_ENTRY | 1;
    for (let index = 0; index <= FUNCTIONS.length; index++) bootrom[FIRST_ENTRY / 4 + index] = BKPT_BX_LR | index;
    this.mcu.onBreak = (code) => this.serve(code);
  }

  /** Serves the function whose breakpoint was reached. */
  serve(code) {
    const { core } = this.mcu;
    const at = core.PC - 2;
    if (at !== FIRST_ENTRY + 4 * code || code > FUNCTIONS.length) throw new Fault(`breakpoint ${code} at 0x${at.toString(16)}`);
    const [r0, r1, r2] = core.registers;
    if (code === 0) core.registers[0] = this.lookUp(r1);
    else if (FUNCTIONS[code - 1] === "RE") this.erase(r0, r1);
    else if (FUNCTIONS[code - 1] === "RP") this.program(r0, r1, r2);
  }

  lookUp(code) {
    const name = String.fromCharCode(code & 0xff, code >> 8);
    const index = FUNCTIONS.indexOf(name);
    if (index < 0) throw new Fault(`the program calls function ${name} of the boot ROM, which is not modelled`);
    return (FIRST_ENTRY + 4 * (index + 1)) | 1;
  }

  erase(offset, count) {
    this.check("erase", offset, count, SECTOR);
    for (let at = offset; at < offset + count; at += SECTOR) {
      const sector = this.mcu.flash.subarray(at, at + SECTOR);
      this.begin(() => {
        // Bits rise one by one: some bytes are erased, the others in part.
        const whole = Math.floor(this.random() * SECTOR);
        sector.forEach((byte, index) => (sector[index] = index < whole ? 0xff : byte | Math.floor(this.random() * 256)));
      });
      sector.fill(0xff);
      this.pass(ERASE_NANOS);
    }
  }

  program(offset, address, count) {
    this.check("program", offset, count, PAGE);
    const bytes = Array.from({ length: count }, (_, index) => this.mcu.readUint8(address + index));
    for (let at = 0; at < count; at += PAGE) {
      const page = this.mcu.flash.subarray(offset + at, offset + at + PAGE);
      // Programming only clears bits.
      const program = (index, mask) => (page[index] &= bytes[at + index] | mask);
      this.begin(() => {
        const whole = Math.floor(this.random() * PAGE);
        for (let index = 0; index < whole; index++) program(index, 0);
        program(whole, Math.floor(this.random() * 256));
      });
      page.forEach((_, index) => program(index, 0));
      this.pass(PROGRAM_NANOS);
    }
  }

  check(what, offset, count, unit) {
    const { core, flash } = this.mcu;
    if (!core.PM) throw new Fault(`the program would ${what} flash with interrupts on`);
    if (core.LR >>> 28 !== 2) throw new Fault(`the program would ${what} flash from code in flash`);
    if (offset % unit !== 0 || count % unit !== 0 || offset + count > flash.length) {
      throw new Fault(`the program would ${what} ${count} bytes of flash at offset ${offset}`);
    }
  }

  /** Counts an operation; in the one that is cut, does a part of it and ends. */
  begin(part) {
    this.operations += 1;
    if (this.operations !== this.cut) return;
    part();
    throw new PowerCut(this.cut);
  }

  pass(nanos) {
    const { clock, core, clkSys } = this.mcu;
    core.cycles += Math.round((nanos * clkSys) / 1e9);
    clock.tick(nanos);
  }
}
