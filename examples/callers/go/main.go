// Push to a user and print the report: go run . ROUTER USER
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "example.org/homing-caller/routerpb"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: push HOST:PORT USER")
		os.Exit(2)
	}
	if err := push(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", status.Code(err), err)
		os.Exit(1)
	}
}

func push(router, user string) error {
	connection, err := grpc.NewClient(router, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	response, err := pb.NewRouterClient(connection).Push(ctx, &pb.PushRequest{
		Target: &pb.Target{To: &pb.Target_User{User: user}},
		Event:  "hello",
		Data:   []byte(`{"from": "go"}`),
		Ttl:    durationpb.New(5 * time.Second),
	})
	if err != nil {
		return err
	}
	fmt.Println(protojson.Format(response.Report))
	return nil
}
