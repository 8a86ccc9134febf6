// Push to a user and print the report: node push.js ROUTER USER
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [router, user] = process.argv.slice(2);
if (!user) {
  console.error("usage: node push.js HOST:PORT USER");
  process.exit(2);
}
const protos = fileURLToPath(new URL("../../../proto", import.meta.url));
// longs: a session id has 64 bits, more than a JavaScript number holds.
const definition = loadSync("homing/v1/router.proto", { includeDirs: [protos], longs: String, enums: String });
const { homing } = grpc.loadPackageDefinition(definition);
const client = new homing.v1.Router(router, grpc.credentials.createInsecure());

const push = {
  target: { user },
  event: "hello",
  data: Buffer.from(JSON.stringify({ from: "node" })),
  ttl: { seconds: 5 },
};
client.push(push, { deadline: Date.now() + 10_000 }, (error, response) => {
  client.close();
  if (error) {
    const field = error.metadata.get("homing-field")[0] ?? "";
    console.error(`${grpc.status[error.code]}: ${error.details} ${field}`);
    process.exitCode = 1;
  } else {
    const { pushId, counts, deliveries } = response.report;
    console.log(JSON.stringify({ pushId, counts, deliveries }));
  }
});
