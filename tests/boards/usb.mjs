// The host's end of the USB serial port (CDC ACM): enumerates the device, then moves bytes through its bulk endpoints.

import { Fault } from "./faults.mjs";

const [DEVICE, CONFIGURATION] = [1, 2];
const [INTERFACE, ENDPOINT] = [4, 5];
const DATA_CLASS = 10;
const IDS = [0x2e8a, 0x000a];
const PACKET = 64;

const setup = (type, request, value, length) =>
  new Uint8Array([type, request, value & 0xff, value >> 8, 0, 0, length & 0xff, length >> 8]);
const getDescriptor = (type, length) => setup(0x80, 6, type << 8, length);

/** The host. `onBytes` receives what the board sends. */
export class UsbLink {
  constructor(mcu, onBytes) {
    this.usb = mcu.usbCtrl;
    this.onBytes = onBytes;
    this.toBoard = [];
    this.armed = new Map();
    this.endpoints = undefined;
    this.isReady = false;
    this.steps = this.enumerate();
    const { usb } = this;
    usb.onUSBEnabled = () => usb.resetDevice();
    usb.onResetReceived = () => this.step();
    usb.onEndpointWrite = (endpoint, bytes) => this.take(endpoint, bytes);
    usb.onEndpointRead = (endpoint, size) => {
      this.armed.set(endpoint, size);
      this.pump();
    };
  }

  get pending() {
    return this.toBoard.length;
  }

  /** Queues bytes for the board, which takes them when its endpoint has room. */
  send(bytes) {
    for (const byte of bytes) this.toBoard.push(byte);
    this.pump();
  }

  /** The requests of a host that finds a new device; each `yield` receives the answer. */
  *enumerate() {
    const device = yield getDescriptor(DEVICE, 18);
    const word = (at) => device[at] | (device[at + 1] << 8);
    if (device.length !== 18 || word(8) !== IDS[0] || word(10) !== IDS[1]) throw new Fault(`unexpected USB device ${[...device]}`);
    yield setup(0, 5, 1, 0); // set address
    const head = yield getDescriptor(CONFIGURATION, 9);
    const total = head[2] | (head[3] << 8);
    let configuration = [...(yield getDescriptor(CONFIGURATION, total))];
    // Longer answers come in several packets.
    while (configuration.length < total) configuration.push(...(yield undefined));
    this.endpoints = bulkEndpoints(configuration);
    yield setup(0, 9, 1, 0); // set configuration
    yield setup(0x21, 0x22, 3, 0); // set control line state: DTR, RTS
    this.isReady = true;
    this.pump();
  }

  step(answer) {
    const { value, done } = this.steps.next(answer);
    if (!done && value !== undefined) this.usb.sendSetupPacket(value);
  }

  take(endpoint, bytes) {
    if (endpoint === 0) this.step(bytes);
    else if (endpoint === this.endpoints?.in) this.onBytes(bytes);
  }

  /** Completes a waiting transfer to the board if there are bytes for it. */
  pump() {
    const size = this.armed.get(this.endpoints?.out);
    if (!this.isReady || size === undefined || this.toBoard.length === 0) return;
    this.armed.delete(this.endpoints.out);
    this.usb.endpointReadDone(this.endpoints.out, new Uint8Array(this.toBoard.splice(0, Math.min(size, PACKET))));
  }
}

/** The bulk endpoints of the data interface. */
function bulkEndpoints(descriptors) {
  const found = {};
  let isData = false;
  for (let at = 0; at + 1 < descriptors.length; at += descriptors[at]) {
    if (descriptors[at] < 2) throw new Fault("a USB descriptor of fewer than 2 bytes");
    if (descriptors[at + 1] === INTERFACE) isData = descriptors[at + 5] === DATA_CLASS;
    if (descriptors[at + 1] === ENDPOINT && isData) found[descriptors[at + 2] & 0x80 ? "in" : "out"] = descriptors[at + 2] & 0xf;
  }
  if (found.in === undefined || found.out === undefined) throw new Fault("the USB device has no serial port");
  return found;
}
