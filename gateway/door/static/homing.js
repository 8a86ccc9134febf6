// Homing's client for browsers (and Node 22): one ES module, no build step, no dependency.
//
//   import { Homing } from "/homing.js";
//   const homing = new Homing("wss://example.org/ws", { token: () => fetchToken(), files: ["notes"] });
//   homing.on("edit", (data, message) => "what is returned is the ack, when one is wanted");
//   await homing.emit("typed", { key: "a" }, { file: "notes" });
//   const answer = await homing.emit("save", text, { reply: true });
//
// Comes back by itself when the protocol says that it may, joins its files again, drops a push that it has seen.
// `onstate({ state, ... })` is called with: connecting, open, waiting, closed.

const NEVER_RECONNECT = new Set([1000, 1001, 1002, 1003, 1007, 1008, 1009, 4400, 4403, 4409]); // the gateway's close_codes.py
const MIN_DELAY_MS = { 1013: 5000, 4429: 5000 }; // full, or over a rate
const BASE_DELAY_MS = 500, MAX_DELAY_MS = 30_000, STABLE_AFTER_MS = 30_000; // ms
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
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  async #connect() {
    this.onstate({ state: "connecting" });
    try {
      this.#token ??= await this.#getToken();
    } catch (error) {
      if (!this.#closed) this.onerror(error), this.#reconnectAfter(0, "no token");
      return;
    }
    if (this.#closed) return;
    const socket = (this.#socket = new WebSocket(this.#url, ["homing.json"]));
    socket.onopen = () => socket.send(JSON.stringify({ type: "auth", token: this.#token }));
    socket.onmessage = ({ data }) => {
      this.#heard = true;
      if (socket === this.#socket) this.#take(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#lost(code, reason);
    // Node 20 says no close after a connection that was refused.
    socket.onerror = () => socket === this.#socket && socket.readyState === 0 && this.#lost(1006, "no connection");
  }

  #take(message) {
    const asked = this.#asked.get(message.id);
    switch (message.type) {
      case "hello": return this.#welcome(message);
      case "event": return this.#deliver(message);
      case "ok": return asked?.resolve();
      case "reply": return asked?.resolve(message.data);
      case "joined": return this.onfile({ file: message.file, joined: true });
      case "left":
        this.#files.delete(message.file); // not joined again after a reconnect
        return this.onfile({ file: message.file, joined: false });
      case "error": return asked ? asked.reject(new HomingError(message)) : this.onerror(new HomingError(message));
      case "reconnect": // a random moment within; the close follows
        this.#reconnectAfterAt = Date.now() + Math.random() * message.after_ms;
    }
  }

  #welcome(hello) {
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
    Promise.all(joins.map(join)).then(
      () => this.session === hello.session && this.onstate({ state: "open", ...hello, files: joined, refused }),
    );
    for (const waiting of this.#waiting.splice(0)) if (!waiting.dropped) this.#send(waiting);
    this.#ping = setInterval(() => this.#probe(), hello.ping_ms || 25_000);
  }

  // A page cannot see the server's pings: so it asks, and a silence of a whole round is a lost connection.
  #probe() {
    if (!this.#heard) return this.#lost(4408, "silence");
    this.#heard = false;
    this.#socket.send('{"type":"ping"}');
  }

  async #deliver(message) {
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
      if (ack !== undefined) await this.#send({ message: { type: "ack", ack, data: answer ?? null } });
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
      waiting.resolve = () => this.#asked.set(id, { resolve, reject }); // sent: now an answer can come
      waiting.reject = reject;
      this.#send(waiting);
    }).finally(() => (clearTimeout(timer), this.#asked.delete(id)));
  }

  #send(waiting) {
    if (this.session && this.#socket.readyState === 1) {
      const text = JSON.stringify(waiting.message);
      // A character is at most three bytes of UTF-8: only what may be too large is measured.
      if (text.length * 3 > this.#maxBytes && new TextEncoder().encode(text).length > this.#maxBytes) {
        const message = `more than the ${this.#maxBytes} bytes that the gateway takes in one message`;
        return void waiting.reject?.(new HomingError({ code: "too_large", message }));
      }
      this.#socket.send(text);
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
