// Drives /homing.js, as a gateway serves it, under Node: a command a line on stdin, an event a line on stdout.
import readline from "node:readline";

const [moduleUrl, url, tokenUrl, ...files] = process.argv.slice(2);
const tell = (event, detail) => process.stdout.write(JSON.stringify({ event, ...detail }) + "\n");
const source = await (await fetch(moduleUrl)).text();
const { Homing } = await import("data:text/javascript;base64," + Buffer.from(source).toString("base64"));

let tokens = 0;
const homing = new Homing(url, {
  files,
  token: async () => {
    tell("token", { number: ++tokens });
    return tokenUrl === "numbered" ? `token-${tokens}` : (await fetch(tokenUrl)).text();
  },
  onstate: (state) => tell("state", state),
  onerror: (error) => tell("onerror", { code: error.code, message: error.message }),
});
homing.on("silent", () => {
  throw new Error("no ack from me");
});
homing.on("*", async (data, { event, push, file }) => {
  tell("push", { name: event, data, push, file });
  return { seen: data };
});

homing.onfile = (change) => tell("file", change);

const done = (id) => [(value) => tell("done", { id, value }), (error) => tell("failed", { id, code: error.code })];
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, call, args } = JSON.parse(line);
  Promise.resolve(homing[call](...args)).then(...done(id));
});
