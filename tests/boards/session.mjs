// Runs a board and moves bytes between its link and the host.

import { Board } from "./board.mjs";
import { Restart } from "./faults.mjs";
import { UartLink } from "./uart.mjs";
import { UsbLink } from "./usb.mjs";

/** Instructions between looks at the host. */
const SLICE = 50_000;
/** A wait that is shorter than this is skipped; a longer one takes its real time, unless the host sends something. */
const SKIPPED_NANOS = 2e6;

/** A board with a host. */
export class Session {
  constructor(flash, options, host) {
    Object.assign(this, { flash, options, host });
    this.counts = { instructions: 0, cycles: 0, restarts: 0, flash_operations: 0, uart_overruns: 0, led_spans: [] };
    this.output = [];
    this.isStopped = false;
    this.isReady = false;
    this.host.onBytes = (bytes) => {
      this.link.send(bytes);
      this.host.balance(this.link.pending);
      this.interruptWait?.();
    };
    this.powerOn();
  }

  powerOn() {
    const { cut, random, link } = this.options;
    this.board = new Board(this.flash, this.counts, cut, random);
    const { mcu } = this.board;
    // The UART is there in any case, since the program drives it.
    const uart = new UartLink(mcu, this.counts, (byte) => link === "uart" && this.output.push(byte));
    this.link = link === "uart" ? uart : new UsbLink(mcu, (bytes) => this.output.push(...bytes));
  }

  /** Ends [`run`] soon. */
  stop() {
    this.isStopped = true;
    this.interruptWait?.();
  }

  /** Runs until it is stopped, or a fault or a power cut is thrown. */
  async run() {
    while (!this.isStopped) {
      try {
        this.advance();
      } catch (error) {
        if (!(error instanceof Restart)) throw error;
        this.counts.restarts += 1;
        this.powerOn();
      } finally {
        this.counts.flash_operations = this.board.rom.operations;
        this.flush();
      }
      this.host.balance(this.link.pending);
      await this.pause();
    }
  }

  /** Runs a slice; a core that waits moves on to the next event. */
  advance() {
    const { mcu } = this.board;
    const end = this.counts.instructions + SLICE;
    while (this.counts.instructions < end) {
      this.board.run(end - this.counts.instructions);
      if (!mcu.core.waiting || this.board.wake()) continue;
      const nanos = mcu.clock.nextAlarm === null ? Infinity : mcu.clock.nanosToNextAlarm;
      if (nanos > SKIPPED_NANOS) return;
      mcu.clock.tick(nanos);
    }
  }

  flush() {
    if (this.output.length === 0) return;
    this.host.write(Uint8Array.from(this.output));
    this.output = [];
  }

  /** Gives the host its turn; while the board waits, for as long as it waits. */
  async pause() {
    const { core, clock } = this.board.mcu;
    if (!core.waiting || this.isStopped) return new Promise(setImmediate);
    if (!this.isReady && this.link.isReady) {
      this.isReady = true;
      this.host.ready();
    }
    if (this.host.hasEnded && this.link.pending === 0) return this.stop();
    const nanos = clock.nextAlarm === null ? 1e9 : clock.nanosToNextAlarm;
    const start = process.hrtime.bigint();
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, nanos / 1e6);
      this.interruptWait = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.interruptWait = undefined;
    clock.tick(Math.min(Number(process.hrtime.bigint() - start), nanos));
  }
}
