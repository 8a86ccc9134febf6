import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Socket;
import java.net.URI;
import java.util.Arrays;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONObject;

/** Connects with a token, emits `hello` with an ack, tells what comes and acks it: URL TOKEN polling|websocket|upgrade. */
public final class Client {
  private static final Map<String, String[]> TRANSPORTS =
      Map.of(
          "polling", new String[] {"polling"},
          "websocket", new String[] {"websocket"},
          "upgrade", new String[] {"polling", "websocket"});

  private static void tell(String event, Object... args) {
    System.out.println(new JSONObject(Map.of("event", event, "args", new JSONArray(Arrays.asList(args)))));
  }

  /** An event's arguments without the ack at their end. */
  private static Object[] values(Object[] args) {
    boolean acks = args.length > 0 && args[args.length - 1] instanceof Ack;
    return acks ? Arrays.copyOf(args, args.length - 1) : args;
  }

  public static void main(String[] arguments) throws Exception {
    IO.Options options =
        IO.Options.builder()
            .setAuth(Map.of("token", arguments[1]))
            .setTransports(TRANSPORTS.get(arguments[2]))
            .build();
    Socket socket = IO.socket(URI.create(arguments[0]), options);
    socket.on(
        Socket.EVENT_CONNECT,
        args -> {
          tell("connect");
          socket.emit("hello", new Object[] {"from java"}, answer -> tell("acked", answer));
        });
    socket.on(Socket.EVENT_CONNECT_ERROR, args -> tell("error", String.valueOf(args[0])));
    socket.on(
        "note",
        args -> {
          tell("received", values(args));
          if (args[args.length - 1] instanceof Ack ack) ack.call("seen by java");
        });
    socket.connect();
    System.in.read(); // until the test closes it
    System.exit(0);
  }
}
