package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	requestTimeout = 5 * time.Second
	mostOpen       = 4000 // requests of one service waiting for their answers; more are not sent and count as unserved
	catchUp        = time.Second
)

type podCount struct {
	Sent   uint64 `json:"sent"`
	Failed uint64 `json:"failed"`
}

type serviceCount struct {
	Unserved uint64               `json:"unserved"`
	Pods     map[string]*podCount `json:"pods"`
}

// senders holds one goroutine per service.
type senders struct {
	client *http.Client
	byName map[string]*sender
	done   context.Context
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

type sender struct {
	client *http.Client
	open   sync.WaitGroup

	mu      sync.Mutex
	target  target
	pending int
	count   serviceCount
	changed chan struct{}
}

func newSenders() *senders {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
	done, cancel := context.WithCancel(context.Background())
	return &senders{
		client: &http.Client{Transport: transport, Timeout: requestTimeout},
		byName: map[string]*sender{}, done: done, cancel: cancel,
	}
}

func (s *senders) set(targets []target) {
	for _, t := range targets {
		each := s.byName[t.Name]
		if each == nil {
			each = &sender{client: s.client, count: serviceCount{Pods: map[string]*podCount{}}, changed: make(chan struct{}, 1)}
			s.byName[t.Name] = each
			s.loops.Add(1)
			go func() { defer s.loops.Done(); each.run(s.done) }()
		}
		each.set(t)
	}
}

// stop ends the sending and waits for the answers that are due.
func (s *senders) stop() {
	s.cancel()
	s.loops.Wait()
	for _, each := range s.byName {
		each.open.Wait()
	}
}

func (s *senders) snapshot() map[string]serviceCount {
	all := map[string]serviceCount{}
	for name, each := range s.byName {
		each.mu.Lock()
		pods := map[string]*podCount{}
		for pod, c := range each.count.Pods {
			copied := *c
			pods[pod] = &copied
		}
		all[name] = serviceCount{each.count.Unserved, pods}
		each.mu.Unlock()
	}
	return all
}

func (s *sender) set(t target) {
	s.mu.Lock()
	faster := t.RPS != s.target.RPS
	s.target = t
	s.mu.Unlock()
	if faster {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

// run sends a Poisson stream: exponential gaps from one due time to the next, so that a late wake-up loses nothing.
func (s *sender) run(done context.Context) {
	due := time.Now()
	for done.Err() == nil {
		s.mu.Lock()
		rps := s.target.RPS
		s.mu.Unlock()
		gap := time.Hour
		if rps > 0 {
			gap = time.Duration(rand.ExpFloat64() / rps * float64(time.Second))
		}
		due = due.Add(gap)
		if oldest := time.Now().Add(-catchUp); due.Before(oldest) {
			due = oldest // after a long stall, at most a second of requests is made up for
		}
		select {
		case <-done.Done():
			return
		case <-s.changed:
			due = time.Now()
		case <-time.After(time.Until(due)):
			s.sendOne()
		}
	}
}

func (s *sender) sendOne() {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.target.Endpoints)
	if n == 0 || s.pending >= mostOpen {
		s.count.Unserved++
		return
	}
	chosen := s.target.Endpoints[rand.IntN(n)]
	pod := s.count.Pods[chosen.Pod]
	if pod == nil {
		pod = &podCount{}
		s.count.Pods[chosen.Pod] = pod
	}
	pod.Sent++
	s.pending++
	url := "http://" + chosen.Address + s.target.Path
	s.open.Go(func() {
		failed := !s.succeeds(url)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending--
		if failed {
			pod.Failed++
		}
	})
}

func (s *sender) succeeds(url string) bool {
	response, err := s.client.Get(url)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return false
	}
	return response.StatusCode < http.StatusInternalServerError
}
