// Echo server on Node `ws`: prints its port. Paths: /echo, /refuse (401 with a body), /destroy (no answer), /bug (closes 1011 after the 101).
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(process.argv[2] + "/")("ws");
const http = createServer((_, response) => response.writeHead(404).end());
const sockets = new WebSocketServer({ noServer: true });

http.on("upgrade", (request, socket, head) => {
  if (request.url === "/refuse") {
    socket.end("HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 26\r\nConnection: close\r\n\r\n" + '{"detail":"token expired"}');
    return;
  }
  if (request.url === "/destroy") {
    socket.destroy();
    return;
  }
  sockets.handleUpgrade(request, socket, head, (peer) => {
    if (request.url === "/bug") {
      peer.close(1011, "Internal error");
      return;
    }
    peer.send(JSON.stringify({ event: "hello", server: "ws" }));
    peer.on("message", (data, binary) => peer.send(data, { binary }));
  });
});
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
// The test closes our standard input when it is done, so that no server outlives it.
process.stdin.on("end", () => process.exit(0)).resume();
