// UART0 at 115200 baud of simulated time: FIFOs of 32 bytes, overruns and the interrupts of the PL011, which rp2040js leaves out.

import { Fault } from "./faults.mjs";

const BAUD = 115_200;
const FIFO = 32;
/** Start bit, 8 bits, stop bit. */
const BYTE_NANOS = 10e9 / BAUD;
const TIMEOUT_NANOS = 32e9 / BAUD;
const [DR, RSR, IFLS, DMACR] = [0x00, 0x04, 0x34, 0x48];
const [BUSY, RXFE, TXFF, RXFF, TXFE] = [1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7];
const [RX, TX, TIMEOUT] = [1 << 4, 1 << 5, 1 << 6];
/** FIFO levels by the setting of register IFLS. */
const LEVELS = [4, 8, 16, 24, 28];

/** The host's end of UART0. `onByte` receives what the board sends. */
export class UartLink {
  constructor(mcu, counts, onByte) {
    this.uart = mcu.uart[0];
    this.dma = mcu.dma;
    this.counts = counts;
    this.onByte = onByte;
    /** Whether the host can send: it needs no set-up. */
    this.isReady = true;
    this.toBoard = [];
    this.next = 0;
    this.sending = [];
    this.registers = { [IFLS]: 0x12, [DMACR]: 0 };
    this.arrival = mcu.clock.createAlarm(() => this.arrive());
    this.departure = mcu.clock.createAlarm(() => this.depart());
    this.silence = mcu.clock.createAlarm(() => this.raise(TIMEOUT));
    this.patch();
  }

  /** Bytes that the board has not received yet. */
  get pending() {
    return this.toBoard.length - this.next;
  }

  /** Puts bytes on the line. */
  send(bytes) {
    for (const byte of bytes) this.toBoard.push(byte);
    if (!this.arrival.scheduled || this.pending === bytes.length) this.arrival.schedule(BYTE_NANOS);
  }

  arrive() {
    this.arrival.scheduled = false;
    if (this.pending === 0) return;
    this.receive(this.toBoard[this.next++]);
    if (this.pending > 0) this.arrival.schedule(BYTE_NANOS);
    else this.toBoard.length = this.next = 0;
  }

  receive(byte) {
    const { uart, counts } = this;
    if (!uart.enabled || !uart.rxEnabled) return;
    if (Math.abs(uart.baudRate - BAUD) > BAUD * 0.03) throw new Fault(`the program set UART0 to ${uart.baudRate} baud, the host has ${BAUD}`);
    if (uart.rxFIFO.itemCount >= this.capacity) {
      counts.uart_overruns += 1;
      return;
    }
    uart.rxFIFO.push(byte);
    this.dma.setDREQ(uart.dreq.rx);
    if (uart.rxFIFO.itemCount >= this.level(3)) this.raise(RX);
    this.silence.schedule(TIMEOUT_NANOS);
  }

  depart() {
    this.departure.scheduled = false;
    this.onByte(this.sending.shift());
    // The first byte is in the shift register, the others in the FIFO.
    if (this.sending.length - 1 === this.level(0)) this.raise(TX);
    if (this.sending.length > 0) this.departure.schedule(BYTE_NANOS);
  }

  get capacity() {
    return this.uart.fifosEnabled ? FIFO : 1;
  }

  /** FIFO level of the interrupt whose setting is at this bit of register IFLS. */
  level(bit) {
    return this.uart.fifosEnabled ? (LEVELS[(this.registers[IFLS] >> bit) & 7] ?? 16) : bit === 0 ? 0 : 1;
  }

  raise(bit) {
    this.uart.interruptStatus |= bit;
    this.uart.checkInterrupts();
  }

  patch() {
    const { uart, registers } = this;
    const [read, write] = [uart.readUint32.bind(uart), uart.writeUint32.bind(uart)];
    uart.readUint32 = (offset) => {
      if (offset === DR) return this.takeByte();
      if (offset === RSR) return 0;
      return registers[offset] ?? read(offset);
    };
    uart.writeUint32 = (offset, value) => {
      if (offset === DR) this.putByte(value & 0xff);
      else if (offset in registers) registers[offset] = value;
      else if (offset !== RSR) write(offset, value);
    };
    uart.checkInterrupts = () => uart.rp2040.setInterrupt(uart.irq, (uart.interruptStatus & uart.interruptMask) !== 0);
    Object.defineProperty(uart, "flags", { get: () => this.flags });
  }

  get flags() {
    const received = this.uart.rxFIFO.itemCount;
    const queued = Math.max(this.sending.length - 1, 0);
    return (
      (this.sending.length > 0 ? BUSY : 0) |
      (received === 0 ? RXFE : 0) |
      (queued >= this.capacity ? TXFF : 0) |
      (received >= this.capacity ? RXFF : 0) |
      (queued === 0 ? TXFE : 0)
    );
  }

  takeByte() {
    const { uart } = this;
    const byte = uart.rxFIFO.pull();
    if (uart.rxFIFO.itemCount < this.level(3)) uart.interruptStatus &= ~RX;
    if (uart.rxFIFO.empty) {
      uart.interruptStatus &= ~TIMEOUT;
      this.silence.cancel();
      this.dma.clearDREQ(uart.dreq.rx);
    }
    uart.checkInterrupts();
    return byte;
  }

  putByte(byte) {
    // A full FIFO loses the byte.
    if (this.sending.length > this.capacity) return;
    this.sending.push(byte);
    if (this.sending.length - 1 > this.level(0)) this.uart.interruptStatus &= ~TX;
    if (!this.departure.scheduled) this.departure.schedule(BYTE_NANOS);
  }
}
