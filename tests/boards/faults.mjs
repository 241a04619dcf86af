// Reasons for which a board stops.

/** The program did what a real chip answers with a fault, or what the emulator does not model. */
export class Fault extends Error {}

/** Power was cut in the middle of flash operation `operation`. */
export class PowerCut extends Error {
  constructor(operation) {
    super(`power cut in flash operation ${operation}`);
    this.operation = operation;
  }
}

/** The program reset the chip. */
export class Restart extends Error {}

/** A file or an option cannot be used. */
export class UsageError extends Error {}
