// hashicorp's yamux, which shares nothing with ours, as a server that echoes every stream, or as a client that has several
// of them echoed at once. scripts/test compiles it with Debian's package.
//
//	yamux_peer server ADDRESS            echoes until the session ends; prints how many streams there were
//	yamux_peer client ADDRESS STREAMS BYTES
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

func must(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	must("listen", err)
	connection, err := listener.Accept()
	must("accept", err)
	session, err := yamux.Server(connection, nil)
	must("server", err)
	count := 0
	var streams sync.WaitGroup
	for {
		stream, err := session.Accept()
		if err != nil {
			break
		}
		count++
		streams.Add(1)
		go func() {
			defer streams.Done()
			io.Copy(stream, stream)
			stream.Close()
		}()
	}
	streams.Wait()
	fmt.Printf("%d streams\n", count)
}

func talk(address string, streams, size int) {
	connection, err := net.DialTimeout("tcp", address, 10*time.Second)
	must("dial", err)
	session, err := yamux.Client(connection, nil)
	must("client", err)
	_, err = session.Ping()
	must("ping", err)
	var all sync.WaitGroup
	for number := 0; number < streams; number++ {
		stream, err := session.OpenStream()
		must("open", err)
		sent := bytes.Repeat([]byte{byte(number)}, size)
		all.Add(2)
		go func() {
			defer all.Done()
			_, err := stream.Write(sent)
			must("write", err)
		}()
		go func() {
			defer all.Done()
			got := make([]byte, size)
			_, err := io.ReadFull(stream, got)
			must("read", err)
			if !bytes.Equal(got, sent) {
				must("compare", fmt.Errorf("other bytes came back"))
			}
			// A stream that is closed here reads nothing more: it has no half that stays open.
			must("close", stream.Close())
		}()
	}
	all.Wait()
	must("session", session.Close())
	fmt.Printf("%d streams of %d bytes came back\n", streams, size)
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "server" {
		serve(os.Args[2])
		return
	}
	if len(os.Args) != 5 || os.Args[1] != "client" {
		fmt.Fprintln(os.Stderr, "usage: yamux_peer server ADDRESS | client ADDRESS STREAMS BYTES")
		os.Exit(2)
	}
	streams, err := strconv.Atoi(os.Args[3])
	must("STREAMS", err)
	size, err := strconv.Atoi(os.Args[4])
	must("BYTES", err)
	talk(os.Args[2], streams, size)
}
