// Where the link's bytes come from and go to: a TCP port of this machine, or the standard streams.

import { createServer } from "node:net";

/** Bytes that may wait for the board before the client has to wait. */
const QUEUE = 4096;

/** Serves one client at a time; the next one waits until it closes. */
export class TcpHost {
  /** Opens the port. `onReady` receives it when the board first waits for a request. */
  static async open(port, onReady) {
    const host = new TcpHost();
    await new Promise((resolve, reject) => host.server.on("error", reject).listen(port, "127.0.0.1", resolve));
    host.ready = () => onReady(host.server.address().port);
    return host;
  }

  constructor() {
    this.waiting = [];
    this.onBytes = () => {};
    this.server = createServer((socket) => this.accept(socket));
  }

  accept(socket) {
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.close(socket));
    socket.pause();
    this.waiting.push(socket);
    this.serveNext();
  }

  serveNext() {
    if (this.client !== undefined || this.waiting.length === 0) return;
    this.client = this.waiting.shift();
    this.client.on("data", (bytes) => this.onBytes(bytes));
    this.client.resume();
  }

  close(socket) {
    this.waiting = this.waiting.filter((other) => other !== socket);
    if (socket !== this.client) return;
    this.client = undefined;
    this.serveNext();
  }

  /** Sends the board's bytes; without a client they are lost, as on a line that nobody reads. */
  write(bytes) {
    if (this.client?.writable) this.client.write(bytes);
  }

  /** Makes the client wait while many bytes wait for the board. */
  balance(pending) {
    if (pending > QUEUE) this.client?.pause();
    else this.client?.resume();
  }

  end() {
    this.server.close();
    this.client?.destroy();
    this.waiting.forEach((socket) => socket.destroy());
  }
}

/** Standard input and output. */
export class StdioHost {
  constructor() {
    this.onBytes = () => {};
    this.ready = () => {};
    this.hasEnded = false;
    process.stdin.on("data", (bytes) => this.onBytes(bytes));
    process.stdin.on("end", () => (this.hasEnded = true));
  }

  write(bytes) {
    process.stdout.write(bytes);
  }

  balance(pending) {
    if (pending > QUEUE) process.stdin.pause();
    else process.stdin.resume();
  }

  end() {
    process.stdin.destroy();
  }
}
