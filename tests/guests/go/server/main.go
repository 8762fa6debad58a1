// An HTTP server: Go's own, over a listener of the networking ABI.
//
//	go_server [BIND|fd:NAME [FOLDER [REQUESTS]]]
//
// Without a folder it answers every path with the method and the path. After REQUESTS requests it ends; 0 is never.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"

	"guestnet.test/guests/networking"
)

func argument(index int, otherwise string) string {
	if index < len(os.Args) {
		return os.Args[index]
	}
	return otherwise
}

func main() {
	log.SetFlags(0)
	requests, err := strconv.ParseInt(argument(3, "0"), 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	var handler http.Handler = http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		fmt.Fprintf(answer, "%s %s\n", request.Method, request.URL.Path)
	})
	if folder := argument(2, ""); folder != "" {
		handler = http.FileServer(http.Dir(folder))
	}
	listener, err := networking.Listen(argument(1, "0.0.0.0:80"))
	if err != nil {
		log.Fatal(err)
	}
	var served atomic.Int64
	done := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		handler.ServeHTTP(answer, request)
		if served.Add(1) == requests {
			close(done)
		}
	})}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	<-done
	if err := server.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("served %d requests\n", served.Load())
}
