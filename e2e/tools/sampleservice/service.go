package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

const (
	latencySpread = 0.25 // sigma of the log-normal latency: 95 % of requests within 0.6 to 1.6 times the median
	loadWindow    = 5    // whole seconds over which this process measures its own load
)

var bucketBounds = []float64{0.05, 0.1, 0.3, 1}

// service answers business requests and counts them the way Prometheus expects it.
type service struct {
	settings
	started time.Time

	mu       sync.Mutex
	requests map[[2]string]uint64 // by code and route
	routes   map[string]*histogram
	perTick  [loadWindow]uint64 // arrivals by second, a ring
	second   int64
}

type histogram struct {
	buckets [5]uint64 // cumulative only when written out; the last one is +Inf
	count   uint64
	sum     float64
}

func newService(s settings, now time.Time) *service {
	return &service{settings: s, started: now, requests: map[[2]string]uint64{}, routes: map[string]*histogram{}}
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", s.health)
	mux.HandleFunc("/metrics", s.metrics)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) { s.business(w, "/") })
	mux.HandleFunc("/pay", func(w http.ResponseWriter, r *http.Request) { s.business(w, "/pay") })
	return mux
}

func (s *service) health(w http.ResponseWriter, _ *http.Request) {
	if s.neverReady || time.Since(s.started) < s.startDelay {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *service) business(w http.ResponseWriter, route string) {
	began := time.Now()
	share := s.errorShare
	if rps := s.arrived(began); s.faultAboveRPS > 0 && rps > s.faultAboveRPS {
		share = max(share, s.faultShare)
	}
	time.Sleep(s.drawLatency())
	code := http.StatusOK
	if rand.Float64() < share {
		code = http.StatusInternalServerError
	}
	s.finished(route, code, time.Since(began).Seconds())
	w.WriteHeader(code)
	fmt.Fprintln(w, http.StatusText(code))
}

func (s *service) drawLatency() time.Duration {
	if rand.Float64() < s.slowShare {
		return s.slow
	}
	return time.Duration(float64(s.latency) * math.Exp(latencySpread*rand.NormFloat64()))
}

// arrived counts one arrival and returns this process's load in requests per second over the last whole seconds.
func (s *service) arrived(now time.Time) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	second := now.Unix()
	for ; s.second < second; s.second++ {
		if second-s.second > loadWindow {
			s.second = second - loadWindow
		}
		s.perTick[(s.second+1)%loadWindow] = 0
	}
	var seen uint64 // the current second is not over yet and is left out
	for i, n := range s.perTick {
		if int64(i) != second%loadWindow {
			seen += n
		}
	}
	s.perTick[second%loadWindow]++
	whole := math.Min(loadWindow-1, math.Max(1, math.Floor(now.Sub(s.started).Seconds())))
	return float64(seen) / whole
}

func (s *service) finished(route string, code int, seconds float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[[2]string{fmt.Sprint(code), route}]++
	h := s.routes[route]
	if h == nil {
		h = &histogram{}
		s.routes[route] = h
	}
	h.buckets[sort.SearchFloat64s(bucketBounds, seconds)]++
	h.count++
	h.sum += seconds
}

func (s *service) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprint(w, s.exposition())
}

// exposition is the state of all counters in Prometheus's text format, sorted.
func (s *service) exposition() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out, lines strings.Builder
	out.WriteString("# HELP http_requests_total Business requests answered.\n# TYPE http_requests_total counter\n")
	keys := make([]string, 0, len(s.requests))
	for k, n := range s.requests {
		keys = append(keys, fmt.Sprintf("http_requests_total{code=%q,route=%q} %d\n", k[0], k[1], n))
	}
	sort.Strings(keys)
	out.WriteString(strings.Join(keys, ""))

	names := make([]string, 0, len(s.routes))
	for route := range s.routes {
		names = append(names, route)
	}
	sort.Strings(names)
	for _, route := range names {
		writeHistogram(&lines, route, s.routes[route])
	}
	out.WriteString("# HELP http_request_duration_seconds Latency of business requests.\n")
	out.WriteString("# TYPE http_request_duration_seconds histogram\n")
	out.WriteString(lines.String())
	return out.String()
}

func writeHistogram(out *strings.Builder, route string, h *histogram) {
	const name = "http_request_duration_seconds"
	var below uint64
	for i, n := range h.buckets {
		below += n
		bound := "+Inf"
		if i < len(bucketBounds) {
			bound = fmt.Sprint(bucketBounds[i])
		}
		fmt.Fprintf(out, "%s_bucket{route=%q,le=%q} %d\n", name, route, bound, below)
	}
	fmt.Fprintf(out, "%s_sum{route=%q} %g\n%s_count{route=%q} %d\n", name, route, h.sum, name, route, h.count)
}
