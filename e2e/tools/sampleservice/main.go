// Command sampleservice is the HTTP server that stands for every container image in the local control plane.
//
// Its behaviour is set by environment variables of the pod template, so that a change of the template really is a
// change of behaviour:
//
//	ERROR_PERCENT        share of business requests answered 500 (default 0)
//	LATENCY_MS           median latency of a business request (default 2), log-normal around it
//	SLOW_PERCENT         share of business requests that take SLOW_MS instead (default 0)
//	SLOW_MS              latency of those (default 1500)
//	FAULT_ABOVE_RPS      requests per second of this process above which FAULT_ERROR_PERCENT applies (default: never)
//	FAULT_ERROR_PERCENT  share of requests answered 500 while above it (default 50)
//	NEVER_READY          "true": the readiness path answers 503 for ever
//	START_DELAY_SECONDS  the readiness path answers 503 for that long (default 0)
//	CRASH_AFTER_SECONDS  the process ends with exit code 1 after that time (default: never)
//	DRAIN_SECONDS        after SIGTERM it goes on serving for that long (default 1)
//
// It serves / and /pay (business), /healthz (readiness) and /metrics. It listens on loopback only, and ends when its
// standard input is closed, so it cannot outlive the node agent that started it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// settings is the behaviour asked for by the environment.
type settings struct {
	errorShare, slowShare, faultShare float64
	faultAboveRPS                     float64
	latency, slow, startDelay         time.Duration
	crashAfter, drain                 time.Duration
	neverReady                        bool
}

func main() {
	address := flag.String("address", "", "loopback host:port to listen on")
	flag.Parse()
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)

	s, err := readSettings(os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := listenOnLoopback(*address)
	if err != nil {
		log.Fatal(err)
	}
	go endWithStandardInput()
	if s.crashAfter > 0 {
		time.AfterFunc(s.crashAfter, func() { log.Fatalf("crashing after %s, as CRASH_AFTER_SECONDS asks", s.crashAfter) })
	}

	server := &http.Server{Handler: newService(s, time.Now()).handler(), ReadHeaderTimeout: 10 * time.Second}
	go drainOnTerm(server, s.drain)
	if err := server.Serve(listener); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // the last answers leave before the process does
}

// endWithStandardInput ends the process once nobody holds the other end of its standard input.
func endWithStandardInput() {
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func drainOnTerm(server *http.Server, drain time.Duration) {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	<-term
	time.Sleep(drain)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Fatalf("requests still running 5 s after draining: %v", err)
	}
}

func listenOnLoopback(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("-address %q is not host:port: %w", address, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("-address %q is not a loopback address; this service listens on 127.0.0.0/8 only", address)
	}
	return net.Listen("tcp", address)
}

func readSettings(env func(string) string) (settings, error) {
	var firstError error
	number := func(name string, fallback, limit float64) float64 {
		text := env(name)
		if text == "" {
			return fallback
		}
		value, err := strconv.ParseFloat(text, 64)
		if (err != nil || !(value >= 0 && value <= limit)) && firstError == nil {
			firstError = fmt.Errorf("%s=%q: want a number from 0 to %g", name, text, limit)
		}
		return value
	}
	const day = 86400
	share := func(name string, fallback float64) float64 { return number(name, fallback, 100) / 100 }
	span := func(name string, fallback float64, unit time.Duration) time.Duration {
		return time.Duration(number(name, fallback, day) * float64(unit))
	}
	s := settings{
		errorShare:    share("ERROR_PERCENT", 0),
		slowShare:     share("SLOW_PERCENT", 0),
		faultShare:    share("FAULT_ERROR_PERCENT", 50),
		faultAboveRPS: number("FAULT_ABOVE_RPS", 0, 1e6),
		latency:       span("LATENCY_MS", 2, time.Millisecond),
		slow:          span("SLOW_MS", 1500, time.Millisecond),
		startDelay:    span("START_DELAY_SECONDS", 0, time.Second),
		crashAfter:    span("CRASH_AFTER_SECONDS", 0, time.Second),
		drain:         span("DRAIN_SECONDS", 1, time.Second),
	}
	if text := env("NEVER_READY"); text != "" {
		value, err := strconv.ParseBool(text)
		if err != nil && firstError == nil {
			firstError = fmt.Errorf("NEVER_READY=%q: want true or false", text)
		}
		s.neverReady = value
	}
	return s, firstError
}
