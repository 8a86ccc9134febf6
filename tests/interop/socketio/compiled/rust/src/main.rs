//! Connects with a token, emits `hello` with an ack, tells what comes: `URL TOKEN polling|websocket|upgrade`.
//! The library can not ack what the server emits.
use rust_socketio::{ClientBuilder, Event, Payload, RawClient, TransportType};
use serde_json::{json, Value};
use std::{env, io, time::Duration};

fn tell(event: &str, payload: &Payload) {
    let args = match payload {
        Payload::Text(values) => json!(values),
        Payload::Binary(bytes) => json!([{ "bytes": bytes.len() }]),
        #[allow(deprecated)]
        Payload::String(text) => json!([text]),
    };
    println!("{}", json!({ "event": event, "args": args }));
}

fn hello(_: Payload, client: RawClient) {
    println!("{}", json!({ "event": "connect" }));
    let on_ack = |payload: Payload, _: RawClient| match &payload {
        // all arguments of an ack are one value: their array
        Payload::Text(values) if values.len() == 1 && values[0].is_array() => {
            println!("{}", json!({ "event": "acked", "args": values[0] }))
        }
        _ => tell("acked", &payload),
    };
    let sent = client.emit_with_ack("hello", json!("from rust"), Duration::from_secs(10), on_ack);
    sent.expect("emit");
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let (url, token, transports) = (&arguments[1], &arguments[2], &arguments[3]);
    let transport = match transports.as_str() {
        "polling" => TransportType::Polling,
        "websocket" => TransportType::Websocket,
        _ => TransportType::WebsocketUpgrade,
    };
    let auth: Value = json!({ "token": token });
    let _client = ClientBuilder::new(url.as_str())
        .auth(auth)
        .transport_type(transport)
        .on(Event::Connect, hello)
        .on("note", |payload: Payload, _: RawClient| tell("received", &payload))
        .on(Event::Error, |payload: Payload, _: RawClient| tell("error", &payload))
        .connect()
        .expect("connect");
    io::stdin().read_line(&mut String::new()).expect("stdin"); // until the test closes it
}
