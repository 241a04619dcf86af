// Loads rp2040js from the folder that `cargo xtask setup` installs it in, outside the source tree.

import { createRequire } from "node:module";

const FOLDER = new URL("../../target/tools/boards/", import.meta.url);

function load() {
  try {
    return createRequire(FOLDER)("rp2040js");
  } catch (error) {
    if (error.code !== "MODULE_NOT_FOUND") throw error;
    throw new Error("rp2040js is not installed: run `cargo xtask setup`");
  }
}

export const { RP2040 } = load();
