// Command web is the lab's web server: it says to every request which pod on which node answers, and whom it
// sees as the client. At /kubernetes it says what the API server tells the pod's ServiceAccount about itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
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

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { server.Close() })
	log.Printf("pod %s on node %q listens on %s", pod, node, server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatalf("serving: %v", err)
	}
}
