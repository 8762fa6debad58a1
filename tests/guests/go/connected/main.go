// A client of Go's own net package: it talks over a descriptor that the host connected.
//
//	go_connected NAME [MESSAGE]
//
// NAME is looked up among NETWORKING_FDS.
package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"guestnet.test/guests/networking"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: go_connected NAME [MESSAGE]")
	}
	message := "hello"
	if len(os.Args) > 2 {
		message = os.Args[2]
	}
	peer, err := networking.Connected(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	if err := peer.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(peer, message); err != nil {
		log.Fatal(err)
	}
	back := make([]byte, len(message))
	if _, err := io.ReadFull(peer, back); err != nil {
		log.Fatal(err)
	}
	if string(back) != message {
		log.Fatalf("%q came back as %q", message, back)
	}
	fmt.Printf("echoed %d bytes\n", len(back))
}
