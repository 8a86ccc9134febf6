// The reference server, with the answers that Homing's backend and gateways give: what a client does here, it must do
// there. Commands and events are lines as in driver.mjs; the token is read, its signature is not looked at.
import http from "node:http";
import { Server as EngineServer } from "engine.io";
import msgpack from "socket.io-msgpack-parser";
import { Server } from "socket.io";
import { onCommand, tell } from "./values.mjs";

const [parser] = process.argv.slice(2);
const server = http.createServer();
const io = new Server(server, parser === "msgpack" ? { parser: msgpack } : {});
const engine = new EngineServer();
const engines = new Map(); // Engine.IO's sockets, by user
const acks = new Map(); // of events that came up, by number

const refuse = (code) => Object.assign(new Error(code), { data: { code } });

const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

const identify = (socket, next) => {
  const { token, files = [] } = socket.handshake.auth;
  if (token === undefined) return next(refuse("unauthorized"));
  try {
    socket.data = claims(token);
  } catch {
    return next(refuse("invalid_token"));
  }
  if (!files.every((file) => socket.data.files.includes(file))) return next(refuse("forbidden"));
  socket.join([`user ${socket.data.sub}`, ...files.map((file) => `file ${file}`)]);
  next();
};

const own = {
  "homing:join": (socket, file, ack) => {
    if (!socket.data.files.includes(file)) return ack({ error: { code: "forbidden", message: "no grant" } });
    socket.join(`file ${file}`);
    ack({ ok: true });
  },
  "homing:leave": (socket, file, ack) => {
    socket.leave(`file ${file}`);
    ack({ ok: true });
  },
};

const received = (socket, name, args) => {
  if (name in own) return own[name](socket, ...args);
  const ack = typeof args.at(-1) === "function" ? String(acks.size + 1) : "";
  if (ack) acks.set(ack, args.pop());
  tell({ event: "event", user: socket.data.sub, namespace: socket.nsp.name, session: socket.id, name, args, ack });
};

for (const name of ["/", "/chat"]) {
  io.of(name).use(identify);
  io.of(name).on("connection", (socket) => socket.onAny((event, ...args) => received(socket, event, args)));
}

engine.on("connection", (socket) => {
  const { sub: user } = claims(new URL(socket.request.url, "http://localhost").searchParams.get("token"));
  engines.set(user, socket);
  socket.on("close", () => engines.delete(user));
  socket.on("message", (data) => {
    tell({ event: "event", user, namespace: "/", session: socket.id, name: "", args: [data], ack: "" });
  });
});

const found = async ({ namespace, user, file, session }) => {
  const sockets = await io.of(namespace).fetchSockets();
  const room = file ? `file ${file}` : `user ${user}`;
  return sockets.map(({ id }) => io.of(namespace).sockets.get(id)).filter(({ id, rooms }) => id === session || rooms.has(room));
};

const push = async ({ id, name, args, ack, ...target }) => {
  if (engines.has(target.user)) {
    engines.get(target.user).send(Buffer.isBuffer(args[0]) ? args[0] : JSON.stringify(args[0]));
    return tell({ event: "answer", id, outcome: "WRITTEN" });
  }
  const [socket] = await found(target);
  if (socket === undefined) return tell({ event: "answer", id, outcome: "OFFLINE" });
  if (!ack) {
    socket.emit(name, ...args);
    return tell({ event: "answer", id, outcome: "WRITTEN" });
  }
  socket.timeout(10_000).emit(name, ...args, (error, ...answer) => {
    tell({ event: "answer", id, outcome: error ? "WRITTEN" : "ACKED", args: answer });
  });
};

const disconnect = async ({ id, reconnect, ...target }) => {
  engines.get(target.user)?.close();
  for (const socket of await found(target)) reconnect ? socket.conn.close() : socket.disconnect();
  tell({ event: "answer", id });
};

const reply = ({ id, ack, args }) => {
  acks.get(ack)(...args);
  tell({ event: "answer", id });
};

const commands = { push, disconnect, reply };
engine.attach(server, { path: "/engine.io/" });
onCommand(({ command, ...rest }) => commands[command](rest));
server.listen(0, "127.0.0.1", () => tell({ event: "listening", port: server.address().port }));
