// Values on the JSON lines between a driver and its test: {"$binary": base64} stands for bytes.
import readline from "node:readline";

const isBytes = (value) => value instanceof ArrayBuffer || ArrayBuffer.isView(value);

const asBuffer = (value) =>
  value instanceof ArrayBuffer ? Buffer.from(value) : Buffer.from(value.buffer, value.byteOffset, value.byteLength);

const mapped = (value, change) =>
  Array.isArray(value)
    ? value.map(change)
    : Object.fromEntries(Object.entries(value).map(([key, item]) => [key, change(item)]));

const pack = (value) => {
  if (value === null || typeof value !== "object") return value;
  return isBytes(value) ? { $binary: asBuffer(value).toString("base64") } : mapped(value, pack);
};

const unpack = (value) => {
  if (value === null || typeof value !== "object") return value;
  return "$binary" in value ? Buffer.from(value.$binary, "base64") : mapped(value, unpack);
};

export const tell = (event) => process.stdout.write(JSON.stringify(pack(event)) + "\n");

export const onCommand = (handler) =>
  readline.createInterface({ input: process.stdin }).on("line", (line) => handler(unpack(JSON.parse(line))));
