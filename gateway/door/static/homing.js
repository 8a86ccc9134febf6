// Homing's client for browsers (and Node 22): one ES module, no build step, no dependency.
//
//   import { Homing } from "/homing.js";
//   const homing = new Homing("wss://example.org/ws", { token: () => fetchToken(), files: ["notes"] });
//   homing.on("edit", (data, message) => "what is returned is the ack, when one is wanted");
//   await homing.emit("typed", { key: "a" }, { file: "notes" });
//   const answer = await homing.emit("save", text, { reply: true });
//
// Comes back by itself when the protocol says that it may, joins its files again, drops a push that it has seen. When a
// gateway stops, the new connection is open before the old one is closed, so nothing is missed in between.
// `onstate({ state, ... })` is called with: connecting, open, waiting, closed.

const NEVER_RECONNECT = new Set([1000, 1001, 1002, 1003, 1007, 1008, 1009, 4400, 4403, 4409]); // the gateway's close_codes.py
const MIN_DELAY_MS = { 1013: 5000, 4429: 5000 }; // full, or over a rate
const BASE_DELAY_MS = 500, MAX_DELAY_MS = 30_000, STABLE_AFTER_MS = 30_000; // ms
const OVERLAP_MS = 500; // for which the old connection is kept after a move
const REMEMBERED_PUSHES = 1000, MAX_QUEUED = 100; // push ids remembered; emits held while not connected

export class HomingError extends Error {
  constructor({ code, message, field, retry_ms }) {
    super(message || code);
    Object.assign(this, { name: "HomingError", code, field, retryMs: retry_ms });
  }
}

export class Homing {
  session = null; node = null; // our sid and the gateway we are on, while connected
  onstate = () => {};
  onfile = () => {}; // { file, joined }: the backend did it, or a new token no longer grants the file
  onerror = (error) => console.error(error);
  #url; #getToken; #token = null; #socket = null; #timer = null; #ping = null;
  #next = null; // the socket of a gateway that we move to, until its hello
  #old = new Set(); // sockets that we have moved from, until they are closed: pushes and answers still come on them
  #handlers = new Map(); // event -> function
  #asked = new Map(); // id -> { resolve, reject }
  #seen = new Map(); // push id -> promise of what the handler answered
  #waiting = []; // messages for when we are connected
  #files; #ids = 0; #failures = 0; #openedAt = 0; #maxBytes = Infinity; #reconnectAfterAt = 0; #heard = false; #closed = false;

  // url: ws://host/ws. token: a string, or a function that gives one (or its promise); asked again after a 4401.
  constructor(url, { token, files = [], onstate, onerror } = {}) {
    this.#url = url;
    this.#getToken = typeof token === "function" ? token : () => token;
    this.#files = new Set(files);
    if (onstate) this.onstate = onstate;
    if (onerror) this.onerror = onerror;
    this.#connect();
  }

  // One handler an event; "*" hears what has none. Throwing means: no ack.
  on(event, handler) {
    this.#handlers.set(event, handler);
    return this;
  }

  // Resolves when it is handed to the socket, or with { reply: true } when the backend answered: to what it said.
  emit(event, data, { file, reply = false, timeout = 10_000 } = {}) {
    const message = { type: "event", event, data, ...(file && { file }) };
    if (reply) return this.#ask(message, timeout);
    return new Promise((resolve, reject) => this.#send({ message, resolve, reject }));
  }

  async join(file) {
    this.#files.add(file);
    if (this.session) await this.#ask({ type: "join", file });
  }

  async leave(file) {
    this.#files.delete(file);
    if (this.session) await this.#ask({ type: "leave", file });
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#end("closed", { code: 1000, reason: "closed by the page" });
    const sockets = [this.#socket, this.#next, ...this.#old];
    this.#socket = this.#next = null;
    this.#old.clear();
    for (const socket of sockets) socket?.close(1000);
  }

  async #connect() {
    this.onstate({ state: "connecting" });
    try {
      this.#token ??= await this.#getToken();
    } catch (error) {
      if (!this.#closed) this.onerror(error), this.#reconnectAfter(0, "no token");
      return;
    }
    if (!this.#closed) this.#socket = this.#open();
  }

  #open() {
    const socket = new WebSocket(this.#url, ["homing.json"]);
    const gone = (code, reason) => {
      this.#old.delete(socket);
      if (socket === this.#next) { // the old connection serves until it is closed: try again until then
        const from = this.#socket;
        this.#next = null;
        setTimeout(() => this.#move(from), BASE_DELAY_MS * Math.random());
      } else if (socket === this.#socket) this.#lost(code, reason);
    };
    socket.onopen = () => socket.send(JSON.stringify({ type: "auth", token: this.#token }));
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#heard = true;
      if (socket === this.#socket || socket === this.#next || this.#old.has(socket)) this.#take(JSON.parse(data), socket);
    };
    socket.onclose = ({ code, reason }) => gone(code, reason);
    // Node 20 says no close after a connection that was refused.
    socket.onerror = () => socket.readyState === 0 && gone(1006, "no connection");
    return socket;
  }

  // The gateway stops: connect elsewhere while this connection still serves.
  #move(socket) {
    if (socket === this.#socket && socket.readyState === 1 && !this.#next && this.session) this.#next = this.#open();
  }

  #take(message, socket) {
    const asked = this.#asked.get(message.id);
    switch (message.type) {
      case "hello": return this.#welcome(message, socket);
      case "event": return this.#deliver(message, socket);
      case "ok": return asked?.resolve();
      case "reply": return asked?.resolve(message.data);
      case "joined": return this.onfile({ file: message.file, joined: true });
      case "left":
        this.#files.delete(message.file); // not joined again after a reconnect
        return this.onfile({ file: message.file, joined: false });
      case "error": return asked ? asked.reject(new HomingError(message)) : this.onerror(new HomingError(message));
      case "reconnect": { // a random moment within; the close follows later, or at once
        const wait = Math.random() * message.after_ms;
        this.#reconnectAfterAt = Date.now() + wait;
        setTimeout(() => this.#move(socket), wait);
      }
    }
  }

  #welcome(hello, socket) {
    const old = socket === this.#next ? this.#socket : null;
    if (old) {
      clearInterval(this.#ping);
      this.#old.add(old);
      this.#socket = socket;
      this.#next = null;
    }
    this.#heard = true;
    this.#reconnectAfterAt = 0;
    this.session = hello.session;
    this.node = hello.node;
    this.#openedAt = Date.now();
    const joins = [...this.#files].filter((file) => !hello.files?.includes(file));
    const joined = [...(hello.files ?? [])], refused = [];
    const join = (file) => this.#ask({ type: "join", file }).then(
      () => joined.push(file),
      (error) => (refused.push({ file, code: error.code }), this.onerror(Object.assign(error, { file }))),
    );
    this.#maxBytes = hello.max_bytes ?? Infinity;
    Promise.all(joins.map(join)).then(() => {
      if (old) this.#retire(old);
      if (this.session === hello.session) this.onstate({ state: "open", ...hello, files: joined, refused });
    });
    for (const waiting of this.#waiting.splice(0)) if (!waiting.dropped) this.#send(waiting);
    this.#ping = setInterval(() => this.#probe(), hello.ping_ms || 25_000);
  }

  // What is pushed from now on comes on the new connection. What is on its way, or was asked, may still come on the old one.
  async #retire(old) {
    await new Promise((resolve) => setTimeout(resolve, OVERLAP_MS));
    await Promise.allSettled([...this.#asked.values()].filter(({ socket }) => socket === old).map(({ done }) => done));
    old.close(1000);
  }

  // A page cannot see the server's pings: so it asks, and a silence of a whole round is a lost connection.
  #probe() {
    if (!this.#heard) return this.#lost(4408, "silence");
    this.#heard = false;
    this.#socket.send('{"type":"ping"}');
  }

  async #deliver(message, socket) {
    const { event, data, push, ack } = message;
    let answered = push && this.#seen.get(push);
    if (!answered) {
      const handler = this.#handlers.get(event) ?? this.#handlers.get("*");
      answered = (async () => handler?.(data, message))();
      if (push) this.#seen.set(push, answered);
      if (this.#seen.size > REMEMBERED_PUSHES) this.#seen.delete(this.#seen.keys().next().value);
    }
    try {
      const answer = await answered; // a push that came twice is acked twice, and handled once
      const reply = { type: "ack", ack, data: answer ?? null }; // on the connection that wants it
      if (ack !== undefined) await this.#send({ message: reply }, socket);
    } catch (error) {
      this.onerror(error);
    }
  }

  #ask(message, timeout = 10_000) {
    const id = ++this.#ids;
    const waiting = { message: { ...message, id } };
    let timer;
    return new Promise((resolve, reject) => {
      timer = setTimeout(() => {
        waiting.dropped = true;
        reject(new HomingError({ code: "timeout", message: "no answer in time" }));
      }, timeout);
      waiting.resolve = () => { // sent: now an answer can come
        let settle;
        const done = new Promise((resolve) => (settle = resolve));
        this.#asked.set(id, { resolve, reject, settle, done, socket: this.#socket });
      };
      waiting.reject = reject;
      this.#send(waiting);
    }).finally(() => {
      clearTimeout(timer);
      this.#asked.get(id)?.settle();
      this.#asked.delete(id);
    });
  }

  #send(waiting, socket = this.#socket) {
    if (this.session && socket?.readyState === 1) {
      const text = JSON.stringify(waiting.message);
      // A character is at most three bytes of UTF-8: only what may be too large is measured.
      if (text.length * 3 > this.#maxBytes && new TextEncoder().encode(text).length > this.#maxBytes) {
        const message = `more than the ${this.#maxBytes} bytes that the gateway takes in one message`;
        return void waiting.reject?.(new HomingError({ code: "too_large", message }));
      }
      socket.send(text);
      return waiting.resolve?.();
    }
    if (waiting.message.type === "ack") return; // of a connection that is gone
    if (this.#waiting.length < MAX_QUEUED) return void this.#waiting.push(waiting);
    waiting.reject?.(new HomingError({ code: "busy", message: "not connected, and too much waits already" }));
  }

  #lost(code, reason) {
    const old = this.#socket;
    this.#socket = null;
    old.close();
    if (this.#next) { // we are moving: its hello comes, or its end
      this.#socket = this.#next;
      this.#next = null;
      return this.#end("waiting", { wait: 0, reason: reason || String(code) });
    }
    if (this.session && Date.now() - this.#openedAt >= STABLE_AFTER_MS) this.#failures = 0;
    if (code === 4401) this.#token = null; // a new one first
    if (NEVER_RECONNECT.has(code)) return this.#end("closed", { code, reason });
    this.#reconnectAfter(MIN_DELAY_MS[code] ?? 0, reason || String(code));
  }

  #reconnectAfter(atLeast, reason) {
    const backOff = Math.random() * Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** this.#failures++);
    const wait = this.#reconnectAfterAt ? Math.max(0, this.#reconnectAfterAt - Date.now()) : atLeast + backOff;
    this.#reconnectAfterAt = 0;
    this.#end("waiting", { wait, reason });
    this.#timer = setTimeout(() => this.#connect(), wait);
  }

  #end(state, detail) {
    clearInterval(this.#ping);
    this.session = this.node = null;
    const lost = new HomingError({ code: "lost", message: "the connection was lost; it may or may not have arrived" });
    for (const { reject } of this.#asked.values()) reject(lost);
    if (state === "closed") for (const { reject } of this.#waiting.splice(0)) reject(lost);
    this.onstate({ state, ...detail });
  }
}
