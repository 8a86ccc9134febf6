// Drives a WebSocket client of Node: `ws` from npm, or the one that Node has built in.
// A command a line on stdin, an event a line on stdout; tests/interop/test_clients.py says which.
import readline from "node:readline";

const [kind, url, ...protocols] = process.argv.slice(2);
const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");
const WebSocketClass = kind === "ws" ? (await import("ws")).WebSocket : globalThis.WebSocket;
const socket = new WebSocketClass(url, protocols);
socket.binaryType = "arraybuffer";
socket.addEventListener("open", () => tell({ event: "open", protocol: socket.protocol, extensions: socket.extensions }));
socket.addEventListener("message", ({ data }) => {
  const binary = typeof data !== "string";
  tell({ event: "message", binary, data: Buffer.from(data).toString("base64") });
});
socket.addEventListener("error", () => {});
socket.addEventListener("close", ({ code, reason }) => {
  tell({ event: "close", code, reason });
  process.exit(0);
});
if (kind === "ws") {
  socket.on("pong", (data) => tell({ event: "pong", data: data.toString("base64") }));
}
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { command, data = "", code } = JSON.parse(line);
  const bytes = Buffer.from(data, "base64");
  if (command === "text") socket.send(bytes.toString("utf8"));
  if (command === "binary") socket.send(bytes);
  if (command === "ping") socket.ping(bytes);
  if (command === "close") socket.close(code);
});
