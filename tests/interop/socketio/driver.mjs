// Drives socket.io-client 4 or 3: its options as JSON in the first argument, a command a line on stdin, an event a line
// on stdout. The test decides; nothing is answered here before a command says so.
import msgpack from "socket.io-msgpack-parser";
import { onCommand, tell } from "./values.mjs";

const { client, url, namespaces, parser, ...options } = JSON.parse(process.argv[2]);
const { Manager } = await import(client);
if (parser === "msgpack") options.parser = msgpack;
const { auth, ...ofManager } = options;
const manager = new Manager(url, { autoConnect: false, ...ofManager });
const acks = new Map(); // of events that came down, by number
const sockets = new Map(); // by namespace

manager.on("open", () => {
  const { engine } = manager;
  tell({ event: "open", transport: engine.transport.name });
  engine.on("pong", () => tell({ event: "pong" })); // it has answered a ping
  engine.on("upgrade", ({ name }) => tell({ event: "upgrade", transport: name }));
});

const received = (namespace, name, args) => {
  const wantsAck = typeof args.at(-1) === "function";
  const ack = wantsAck ? acks.size + 1 : null;
  if (wantsAck) acks.set(ack, args.pop());
  tell({ event: "received", namespace, name, args, ack });
};

const open = (namespace) => {
  const socket = manager.socket(namespace, { auth });
  sockets.set(namespace, socket);
  socket.on("connect", () => tell({ event: "connect", namespace, sid: socket.id }));
  socket.on("connect_error", ({ message, data = null }) => {
    tell({ event: "connect_error", namespace, message, data });
  });
  socket.on("disconnect", (reason) => tell({ event: "disconnect", namespace, reason, active: socket.active }));
  socket.onAny((name, ...args) => received(namespace, name, args));
  socket.connect();
};

const commands = {
  emit: ({ namespace, id, name, args, ack }) => {
    const callback = (...answer) => tell({ event: "acked", id, args: answer });
    sockets.get(namespace).emit(name, ...args, ...(ack ? [callback] : []));
  },
  ack: ({ ack, args }) => acks.get(ack)(...args),
  disconnect: ({ namespace }) => sockets.get(namespace).disconnect(),
};

onCommand(({ command, ...rest }) => commands[command](rest));
namespaces.forEach(open);
