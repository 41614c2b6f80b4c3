// Command loadgen sends HTTP requests to loopback endpoints at given rates and counts the results by pod.
//
// Each line of standard input is the whole desired state, a JSON list of
//
//	{"name": "shop/web", "path": "/", "rps": 60, "endpoints": [{"pod": "web-1", "address": "127.16.0.1:8080"}]}
//
// It ends when standard input is closed, on SIGTERM, or after -max-seconds. Counts are written to the -stats file twice
// a second and at the end: {"shop/web": {"unserved": 0, "pods": {"web-1": {"sent": 1, "failed": 0}}}}.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	statsEvery = 500 * time.Millisecond
	longestRun = time.Hour
	maxLine    = 16 << 20
)

type endpoint struct {
	Pod     string `json:"pod"`
	Address string `json:"address"`
}

type target struct {
	Name      string     `json:"name"`
	Path      string     `json:"path"`
	RPS       float64    `json:"rps"`
	Endpoints []endpoint `json:"endpoints"`
}

func main() {
	statsFile := flag.String("stats", "", "file to write the counts to")
	maxSeconds := flag.Float64("max-seconds", 0, "end after this long; at most an hour")
	flag.Parse()
	limit := time.Duration(*maxSeconds * float64(time.Second))
	if *statsFile == "" || limit <= 0 || limit > longestRun {
		log.Fatalf("want -stats FILE and -max-seconds above 0 and at most %g", longestRun.Seconds())
	}

	senders := newSenders()
	orders := make(chan []target)
	go readOrders(orders)
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	tick := time.NewTicker(statsEvery)
	over := time.After(limit)
	for running := true; running; {
		select {
		case targets, open := <-orders:
			if !open {
				running = false
				break
			}
			senders.set(targets)
		case <-tick.C:
			writeStats(*statsFile, senders)
		case <-over:
			log.Printf("ending after %s, as -max-seconds asks", limit)
			running = false
		case <-end:
			running = false
		}
	}
	senders.stop()
	writeStats(*statsFile, senders)
}

func readOrders(orders chan<- []target) {
	defer close(orders)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		targets, err := parseOrder(lines.Bytes())
		if err != nil {
			log.Fatal(err)
		}
		orders <- targets
	}
	if err := lines.Err(); err != nil {
		log.Fatalf("reading standard input: %v", err)
	}
}

func parseOrder(line []byte) ([]target, error) {
	var targets []target
	if err := json.Unmarshal(line, &targets); err != nil {
		return nil, fmt.Errorf("an order is not a JSON list of targets: %w", err)
	}
	for _, t := range targets {
		if !(t.RPS >= 0 && t.RPS <= 5000) {
			return nil, fmt.Errorf("%s: rps %g is not within 0 to 5000", t.Name, t.RPS)
		}
		for _, e := range t.Endpoints {
			host, _, err := net.SplitHostPort(e.Address)
			if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
				return nil, fmt.Errorf("%s: %q is not a loopback host:port; load goes to 127.0.0.0/8 only", t.Name, e.Address)
			}
		}
	}
	return targets, nil
}

func writeStats(path string, senders *senders) {
	content, err := json.Marshal(senders.snapshot())
	if err == nil {
		partial := path + ".partial"
		if err = os.WriteFile(partial, content, 0o600); err == nil {
			err = os.Rename(partial, path)
		}
	}
	if err != nil {
		log.Fatalf("writing the counts: %v", err)
	}
}
