package homing;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import com.google.protobuf.util.JsonFormat;
import homing.v1.RouterGrpc;
import homing.v1.RouterOuterClass.PushRequest;
import homing.v1.RouterOuterClass.PushResponse;
import homing.v1.RouterOuterClass.Target;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.util.concurrent.TimeUnit;

/** Push to a user and print the report: java homing.Push ROUTER USER */
public final class Push {
  public static void main(String[] arguments) throws Exception {
    if (arguments.length != 2) {
      System.err.println("usage: Push HOST:PORT USER");
      System.exit(2);
    }
    ManagedChannel channel = Grpc.newChannelBuilder(arguments[0], InsecureChannelCredentials.create()).build();
    try {
      PushRequest push =
          PushRequest.newBuilder()
              .setTarget(Target.newBuilder().setUser(arguments[1]))
              .setEvent("hello")
              .setData(ByteString.copyFromUtf8("{\"from\": \"java\"}"))
              .setTtl(Duration.newBuilder().setSeconds(5))
              .build();
      PushResponse response = RouterGrpc.newBlockingStub(channel).withDeadlineAfter(10, TimeUnit.SECONDS).push(push);
      System.out.println(JsonFormat.printer().omittingInsignificantWhitespace().print(response.getReport()));
    } catch (StatusRuntimeException error) {
      System.err.println(error.getStatus());
      System.exit(1);
    } finally {
      channel.shutdownNow();
    }
  }
}
