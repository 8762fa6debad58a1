// An HTTP client: Go's own, over connections of the networking ABI.
//
//	go_client ADDRESS PATH [COUNT]
//
// Prints the status and body of each answer. The exit code is 0 if every status is below 400.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"guestnet.test/guests/networking"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: go_client ADDRESS PATH [COUNT]")
	}
	count := 1
	if len(os.Args) > 3 {
		var err error
		if count, err = strconv.Atoi(os.Args[3]); err != nil {
			log.Fatal(err)
		}
	}
	client := &http.Client{
		Transport: &http.Transport{DialContext: networking.DialContext},
		Timeout:   time.Minute,
	}
	failed := false
	for i := 0; i < count; i++ {
		answer, err := client.Get("http://" + os.Args[1] + os.Args[2])
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(answer.StatusCode)
		if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
			log.Fatal(err)
		}
		answer.Body.Close()
		failed = failed || answer.StatusCode >= 400
	}
	if failed {
		os.Exit(1)
	}
}
