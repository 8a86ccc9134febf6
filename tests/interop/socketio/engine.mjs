// Drives engine.io-client: its options as JSON in the first argument, commands and events as in driver.mjs.
import { Socket } from "engine.io-client";
import { onCommand, tell } from "./values.mjs";

const { url, ...options } = JSON.parse(process.argv[2]);
const socket = new Socket(url, { path: "/engine.io/", ...options });
socket.binaryType = "nodebuffer";
socket.on("open", () => tell({ event: "open", transport: socket.transport.name }));
socket.on("upgrade", ({ name }) => tell({ event: "upgrade", transport: name }));
socket.on("message", (data) => tell({ event: "message", data }));
socket.on("error", ({ message, context }) => tell({ event: "error", message, status: context?.status ?? null }));
socket.on("close", (reason) => tell({ event: "close", reason }));

const commands = { send: ({ data }) => socket.send(data), close: () => socket.close() };
onCommand(({ command, ...rest }) => commands[command](rest));
