// Reads UF2 files as the RP2040's boot ROM takes them.

import { UsageError } from "./faults.mjs";

const BLOCK = 512;
const PAGE = 256;
const MAGIC = [0x0a324655, 0x9e5d5157, 0x0ab16f30];
const FAMILY_PRESENT = 0x2000;
const RP2040_FAMILY = 0xe48bff56;
const FLASH = 0x10000000;

/** Writes the pages of a UF2 file into `flash`. Throws a `UsageError` if the boot ROM would not take the file or not start the program. */
export function loadUf2(name, file, flash) {
  const refuse = (reason) => new UsageError(`${name}: ${reason}`);
  if (file.length === 0 || file.length % BLOCK !== 0) throw refuse(`${file.length} bytes are not whole UF2 blocks of ${BLOCK}`);
  const count = file.length / BLOCK;
  const written = new Set();
  for (let number = 0; number < count; number++) {
    const { address, page } = readBlock(file.subarray(number * BLOCK, (number + 1) * BLOCK), number, count, refuse);
    const offset = address - FLASH;
    if (offset < 0 || offset + PAGE > flash.length) throw refuse(`block ${number} is for address ${hex(address)}, outside the flash`);
    if (written.has(offset)) throw refuse(`two blocks are for address ${hex(address)}`);
    written.add(offset);
    flash.set(page, offset);
  }
  checkBoot2(flash, refuse);
}

function readBlock(block, number, count, refuse) {
  const view = new DataView(block.buffer, block.byteOffset, BLOCK);
  const word = (at) => view.getUint32(at, true);
  const magic = [word(0), word(4), word(508)];
  if (magic.some((value, index) => value !== MAGIC[index])) throw refuse(`block ${number} has no UF2 magic numbers`);
  const family = word(8) & FAMILY_PRESENT ? word(28) : undefined;
  if (family !== RP2040_FAMILY) {
    throw refuse(`block ${number} is for family ${family === undefined ? "none" : hex(family)}, the RP2040 is ${hex(RP2040_FAMILY)}`);
  }
  if (word(16) !== PAGE) throw refuse(`block ${number} has ${word(16)} bytes of data, the boot ROM takes ${PAGE}`);
  if (word(20) !== number || word(24) !== count) throw refuse(`block ${number} of ${count} says that it is ${word(20)} of ${word(24)}`);
  const address = word(12);
  if (address % PAGE !== 0) throw refuse(`block ${number} is for address ${hex(address)}, which is not a multiple of ${PAGE}`);
  return { address, page: block.subarray(32, 32 + PAGE) };
}

/** The boot ROM starts the second-stage boot loader only if its last word is the checksum of the others. */
function checkBoot2(flash, refuse) {
  const stored = new DataView(flash.buffer, flash.byteOffset, PAGE).getUint32(PAGE - 4, true);
  const computed = crc32(flash.subarray(0, PAGE - 4));
  if (stored !== computed) throw refuse(`the second-stage boot loader has checksum ${hex(stored)}, its bytes have ${hex(computed)}`);
}

/** CRC-32/MPEG-2. */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  }
  return crc >>> 0;
}

function hex(value) {
  return `0x${value.toString(16).padStart(8, "0")}`;
}
