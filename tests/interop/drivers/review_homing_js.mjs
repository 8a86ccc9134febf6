import fs from "node:fs";
const src = fs.readFileSync("gateway/door/static/homing.js", "utf8"); // run at the root: node tests/interop/drivers/review_homing_js.mjs
const sockets = [];
class WS { constructor(u){ this.readyState=0; this.sent=[]; sockets.push(this); this.at=Date.now(); }
  send(t){ this.sent.push(t);} close(c){ this.closedBy=c; this.readyState=3; }
  open(){ this.readyState=1; this.onopen?.(); } msg(m){ this.onmessage?.({data:JSON.stringify(m)}); } end(code){ this.readyState=3; this.onclose?.({code,reason:""}); } }
globalThis.WebSocket = WS;
const { Homing } = await import("data:text/javascript;base64," + Buffer.from(src).toString("base64"));
const sleep = (ms)=>new Promise(r=>setTimeout(r,ms));
const hello=(s)=>({type:"hello",session:s,node:"n"});
// 1. second reconnect on the old socket
{ const states=[]; const h=new Homing("ws://x",{token:"t",onstate:s=>states.push(s)}); await sleep(5);
  const a=sockets.at(-1); a.open(); a.msg(hello("1")); a.msg({type:"reconnect",after_ms:1}); await sleep(20);
  const b=sockets.at(-1); b.open(); b.msg(hello("2")); a.msg({type:"reconnect",after_ms:1000}); a.end(1012); await sleep(1100);
  b.end(1013); await sleep(5); console.log("1. wait after 1013 (5 s at least):", JSON.stringify(states.at(-1)), states.map(s=>s.state).join()); h.close(); }
// 2. refused moves
{ const n=sockets.length; const h=new Homing("ws://x",{token:"t"}); await sleep(5);
  const a=sockets.at(-1); a.open(); a.msg(hello("1")); a.msg({type:"reconnect",after_ms:1});
  const until=Date.now()+5000; let seen=sockets.length, dials=0; while(Date.now()<until){ await sleep(5); if(sockets.length>seen){ seen=sockets.length; dials++; const s=sockets.at(-1); s.readyState=3; s.onclose({code:1013,reason:""}); } }
  console.log("2. dials in 5 s of a move that is refused with 1013:", dials); h.close(); }
// 3. kicked while moving
{ const states=[]; const h=new Homing("ws://x",{token:"t",onstate:s=>states.push(s)}); await sleep(5);
  const a=sockets.at(-1); a.open(); a.msg(hello("1")); a.msg({type:"reconnect",after_ms:1}); await sleep(20);
  const b=sockets.at(-1); b.open(); a.end(4403); await sleep(5); b.msg(hello("2")); await sleep(5);
  console.log("3. after 4403 while moving:", states.map(s=>s.state+(s.code??"")).join(), b.closedBy); h.close(); }
// 4. move hangs in connecting, old closed
{ const states=[]; const h=new Homing("ws://x",{token:"t",onstate:s=>states.push(s)}); await sleep(5);
  const a=sockets.at(-1); a.open(); a.msg(hello("1")); a.msg({type:"reconnect",after_ms:1}); await sleep(20);
  const n=sockets.length; a.end(1012); await sleep(3000); console.log("4. hanging move, old closed: new dials in 3 s:", sockets.length-n, states.map(s=>s.state).join()); h.close(); }
// 5. asked on old socket, old lost after the move
{ const h=new Homing("ws://x",{token:"t"}); await sleep(5);
  const a=sockets.at(-1); a.open(); a.msg(hello("1")); let out="pending"; const t=Date.now(); h.emit("save",1,{reply:true,timeout:3000}).then(()=>out="ok",e=>out=e.code+" "+(Date.now()-t)); await sleep(5);
  a.msg({type:"reconnect",after_ms:1}); await sleep(20); const b=sockets.at(-1); b.open(); b.msg(hello("2")); a.end(1006); await sleep(1000); const early=out; await sleep(2500); console.log("5. ask on the old socket that was lost: after 1 s", early, "then", out); h.close(); }
// 6. order: push 2 on new before push 1 on old
process.exit(0);
