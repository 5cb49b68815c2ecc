// Command web is the lab's web server: it says to every request which pod on which node answers, and whom it
// sees as the client. At /kubernetes it says what the API server tells the pod's ServiceAccount about itself. Told to
// end, it goes on for as long as the environment variable LINGER says, such as 10s.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(log.LstdFlags | log.LUTC)
	pod, err := os.Hostname()
	if err != nil {
		log.Fatalf("asking for the pod's name: %v", err)
	}
	node := os.Getenv("NODE_NAME") // by the downward API; empty without it
	mux := http.NewServeMux()
	mux.HandleFunc("/kubernetes", kubernetes)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		client, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			client = r.RemoteAddr
		}
		fmt.Fprintf(w, "pod=%s node=%s client=%s\n", pod, node, client)
		log.Printf("answered %s on %s", client, r.Host)
	})
	server := &http.Server{Addr: ":8080", Handler: mux}
	linger, err := time.ParseDuration(cmp.Or(os.Getenv("LINGER"), "0s"))
	if err != nil {
		log.Fatalf("reading LINGER: %v", err)
	}

	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-end
		time.Sleep(linger)
		_ = server.Close() // its listener is closed either way, and that ends the program
	}()
	log.Printf("pod %s on node %q listens on %s", pod, node, server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatalf("serving: %v", err)
	}
}
