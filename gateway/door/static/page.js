// The page to try it: two clients of this gateway (or of two: ?second=HOST:PORT), and a backend that pushes. The page
// plays all three: what a client draws goes to the backend's part below, which pushes it to everybody in the file.
import { Homing } from "/homing.js";
import { findFault } from "/json_fault.js";

const query = new URLSearchParams(location.search);
const FILE = query.get("file") ?? "board";
const USERS = [
  { user: query.get("a") ?? "ada", host: location.host },
  { user: query.get("b") ?? "bob", host: query.get("second") ?? location.host },
];
const ROWS = 5, LINES = 3; // reports shown, and lines of what a client received
// Names beside the cells of a narrow page
const COLUMNS = ["Target", "Event", "Outcomes", "Sessions", "Nodes", "Took", "Trace"];
const COLUMNS_OF_ERROR = ["Target", "Event", "Error", "Message"];

const make = (tag, props = {}, ...inside) => {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...inside);
  return element;
};

// --- the backend's part -------------------------------------------------------------------------------------------

async function push(target, event, data, { ack = false, except = [] } = {}) {
  const body = { target, event, json: data, except_sessions: except, ttl: "5s", ...(ack && { ack_timeout: "2s" }) };
  const began = performance.now();
  try {
    const answer = await fetch("/v1/push", {
      method: "POST",
      headers: { "Content-Type": "application/json", traceparent: `00-${random(16)}-${random(8)}-01` }, // a trace begins
      body: JSON.stringify(body),
    });
    const said = await answer.json();
    showReport(target, event, said.report ?? said, performance.now() - began);
  } catch (error) {
    showReport(target, event, { error: { code: "no answer", message: error.message } }, performance.now() - began);
  }
}

const random = (bytes) =>
  Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const pick = (object, ...names) => names.map((name) => object[name]).find((value) => value !== undefined);

function showReport(target, event, report, took) {
  const [kind, name] = Object.entries(target)[0];
  const row = make("tr", {}, make("td", { textContent: kind === "everyone" ? "everyone" : `${kind} ${name}` }));
  row.append(make("td", { textContent: event }));
  if (report.error) {
    const { code, message } = report.error;
    row.append(make("td", { className: "error", textContent: code }), make("td", { colSpan: 4, textContent: message }));
  } else {
    const counts = Object.entries(report.counts ?? {}).map(([outcome, n]) => make("div", { className: outcome, textContent: `${n} ${outcome}` }));
    const deliveries = (report.deliveries ?? []).slice(0, 4).map((one) => make("div", { textContent: describe(one) }));
    const contacted = pick(report, "nodesContacted", "nodes_contacted") ?? 0;
    const owning = pick(report, "owningNodes", "owning_nodes") ?? 0;
    const trace = pick(report, "traceId", "trace_id") ?? "";
    const copy = { className: "trace", title: "Click to copy", textContent: trace, onclick: () => navigator.clipboard?.writeText(trace) };
    row.append(
      make("td", {}, ...counts), make("td", {}, ...deliveries),
      make("td", { textContent: `${contacted} asked, ${owning} own, ${(report.amplification ?? 0).toFixed(1)}x` }),
      make("td", { textContent: `${took.toFixed(1)} ms` }), make("td", copy),
    );
  }
  const columns = report.error ? COLUMNS_OF_ERROR : COLUMNS;
  [...row.cells].forEach((cell, index) => (cell.dataset.column = columns[index]));
  const rows = document.querySelector("#reports tbody");
  rows.prepend(row);
  while (rows.children.length > ROWS) rows.lastChild.remove();
}

function describe({ user = "", outcome = "OFFLINE", latency = "", ...rest }) {
  const ack = pick(rest, "ackJson", "ack_json");
  const took = latency ? ` ${(parseFloat(latency) * 1000).toFixed(1)} ms` : "";
  return `${user || "-"} ${outcome}${took}${ack == null ? "" : ` "${ack}"`}`;
}

// --- a client -----------------------------------------------------------------------------------------------------

function openPane({ user, host }) {
  document.querySelector("#panes").append(document.querySelector("#pane").content.cloneNode(true));
  const pane = document.querySelector("#panes").lastElementChild;
  const [canvas, received, toggle, where] = ["canvas", ".received", ".toggle", ".where"].map((what) => pane.querySelector(what));
  pane.querySelector(".user").textContent = user;
  pane.setAttribute("aria-label", `Client ${user}`);
  canvas.setAttribute("aria-label", `What ${user} sees in the file ${FILE}; draw with a pointer`);
  pane.dataset.strokes = 0;
  const own = getComputedStyle(pane.querySelector(".user")).color;
  const draw = canvas.getContext("2d");
  let homing = null, strokes = [];

  const note = (event, message, detail) => {
    const line = make("li", {}, make("b", { textContent: event }), ` ${detail}  ${message.file ? `[file ${message.file}]` : ""} push ${message.push}`);
    received.prepend(line);
    while (received.children.length > LINES) received.lastChild.remove();
    announce(`${user} received ${event} ${detail}`);
  };
  const paint = ({ by, points }) => {
    Object.assign(draw, { lineWidth: 6, lineCap: "round", lineJoin: "round", strokeStyle: colours[by] ?? own });
    draw.beginPath();
    points.forEach(([x, y], index) => (index ? draw.lineTo(x, y) : draw.moveTo(x, y)));
    draw.stroke();
  };
  colours[user] = own;

  function connect() {
    const files = new URLSearchParams([["user", user], ["file", FILE]]);
    homing = new Homing(`${location.protocol === "https:" ? "wss" : "ws"}://${host}/ws`, {
      token: async () => (await fetch(`/dev/token?${files}`)).text(),
      files: [FILE],
      onstate: ({ state, node, session, wait, reason }) => {
        pane.dataset.state = state;
        where.textContent = state === "open" ? `on ${node}, session ${session}`
          : state === "waiting" ? `${reason}; back in ${(wait / 1000).toFixed(1)} s` : reason ? `${state}: ${reason}` : state;
        toggle.textContent = state === "closed" ? "Connect" : "Disconnect";
      },
    });
    homing.on("stroke", (stroke, message) => {
      paint(stroke);
      pane.dataset.strokes++;
      note("stroke", message, `by ${stroke.by}, ${stroke.points.length} points`);
      return "drawn"; // the ack, when one is wanted
    });
    homing.on("*", (data, message) => {
      note(message.event, message, JSON.stringify(data));
      return "seen";
    });
  }
  toggle.onclick = () => (pane.dataset.state === "closed" ? connect() : homing.close());
  connect();

  canvas.onpointerdown = (down) => {
    if (!homing.session) return;
    canvas.setPointerCapture(down.pointerId);
    const at = ({ offsetX, offsetY }) =>
      [offsetX * canvas.width / canvas.clientWidth, offsetY * canvas.height / canvas.clientHeight].map(Math.round);
    strokes = [at(down)];
    canvas.onpointermove = (move) => {
      strokes.push(at(move));
      paint({ by: user, points: strokes.slice(-2) });
    };
    canvas.onpointerup = canvas.onpointercancel = () => {
      canvas.onpointermove = canvas.onpointerup = canvas.onpointercancel = null;
      push({ file: FILE }, "stroke", { by: user, points: strokes }, { ack: true, except: [homing.session] });
    };
  };
}

function announce(text) { // to those who listen to the page; what was there stays, so that two at once are both read
  const arrivals = document.querySelector("#arrivals");
  arrivals.append(make("p", { textContent: text }));
  while (arrivals.children.length > 2 * LINES) arrivals.firstChild.remove();
}

const colours = {};
USERS.forEach(openPane);

const form = document.querySelector("#push");
const targets = [...new Set(USERS.map(({ user }) => user))].map((user) => [`user ${user}`, { user }]);
targets.push([`file ${FILE}`, { file: FILE }], ["everyone", { everyone: true }], ["user nobody", { user: "nobody" }]);
const byLabel = new Map(targets);
for (const [label] of targets) form.elements.target.append(make("option", { textContent: label }));
form.onsubmit = (submit) => {
  submit.preventDefault();
  const { target, event, data, ack } = form.elements;
  const fault = /^\s*[{["]/.test(data.value) ? findFault(data.value) : -1; // another text is plain, if it is not JSON
  if (fault >= 0) return showFault(data, fault);
  push(byLabel.get(target.value), event.value, parse(data.value), { ack: ack.checked });
};
form.elements.data.oninput = () => {
  form.elements.data.removeAttribute("aria-invalid");
  document.querySelector("#not-json").textContent = "";
};

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text; // plain text is a JSON string
  }
}

function showFault(data, at) {
  const rest = data.value.slice(at, at + 20);
  const where = rest ? `at character ${at + 1}: ${rest}` : `at character ${at + 1}, where it ends`;
  document.querySelector("#not-json").textContent = `Not sent. Data is not JSON ${where}`;
  data.setAttribute("aria-invalid", "true");
  data.focus();
  data.setSelectionRange(at, data.value.length);
}
