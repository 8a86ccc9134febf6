// Connects with a token, emits `hello` with an ack, tells what comes and acks it: URL TOKEN polling|websocket|upgrade.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/zishang520/socket.io/clients/engine/v3/transports"
	client "github.com/zishang520/socket.io/clients/socket/v3"
	"github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

func tell(event string, args []any) {
	line, err := json.Marshal(map[string]any{"event": event, "args": args})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func chosen(name string) *types.Set[transports.TransportCtor] {
	switch name {
	case "polling":
		return types.NewSet(transports.Polling)
	case "websocket":
		return types.NewSet(transports.WebSocket)
	}
	return types.NewSet(transports.Polling, transports.WebSocket)
}

func main() {
	options := client.DefaultOptions()
	options.SetTransports(chosen(os.Args[3]))
	options.SetAuth(map[string]any{"token": os.Args[2]})
	io, err := client.Connect(os.Args[1], options)
	if err != nil {
		panic(err)
	}
	io.On("connect", func(...any) {
		tell("connect", nil)
		io.Emit("hello", "from go", func(args []any, _ error) { tell("acked", args) })
	})
	io.On("connect_error", func(errors ...any) { tell("error", []any{fmt.Sprint(errors...)}) })
	io.On("note", func(args ...any) {
		ack, wanted := args[len(args)-1].(socket.Ack)
		if wanted {
			args = args[:len(args)-1]
		}
		tell("received", args)
		if wanted {
			ack([]any{"seen by go"}, nil)
		}
	})
	os.Stdin.Read(make([]byte, 1)) // until the test closes it
}
