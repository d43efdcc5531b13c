package pcaps

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"
)

//go:embed *.pcap *.json *.log real
var captures embed.FS

// Real is a capture of real programs on a real kernel, with the truth: what the load
// balancer's log and the application's log say happened, never what packets suggest.
type Real struct {
	File  string   `json:"-"` // name for File
	Logs  []string `json:"-"` // the load balancer's own logs, names for File
	Scene string   `json:"scenario"`
	About string   `json:"about"`

	LB      string  `json:"lb"` // the program, as Target
	Target  string  `json:"target"`
	Vantage string  `json:"vantage"`  // where it was captured: "lb" or "target"
	DelayMS [2]int  `json:"delay_ms"` // of the path, LB to target and back
	LBAddr  string  `json:"lb_address"`
	Address string  `json:"target_address"`              // ip:port
	Closes  float64 `json:"target_closes_after_seconds"` // idle; 0: never

	Requests     int      `json:"requests"`
	SlowConnects int      `json:"slow_connects"` // requests that were answered, over a connection whose SYN was sent again
	Dropped      int      `json:"capture_dropped"`
	Failed       []Failed `json:"failed"`
}

// Failed is a request that failed between the load balancer and the target.
type Failed struct {
	ID      string    `json:"id"`     // as in its path, mostly /r/ID
	Method  string    `json:"method"` // empty: GET
	Target  string    `json:"target"` // empty: that of the capture
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds"` // until the client had its answer
	Status  int       `json:"status"`
	Class   string    `json:"class"`
	Rules   []string  `json:"rules"` // any of which explains the class
	Frame   uint64    `json:"frame"` // of the request; 0: not in the capture in clear text
	Port    uint16    `json:"port"`  // of the load balancer; 0: its log does not tell
	Log     string    `json:"log"`   // what the load balancer made of it
}

// Reals are all real captures.
var Reals = sync.OnceValues(func() ([]Real, error) {
	var out []Real
	err := fs.WalkDir(captures, ".", func(path string, _ fs.DirEntry, err error) error {
		base, ok := strings.CutSuffix(path, ".json")
		if err != nil || !ok {
			return err
		}
		text, err := captures.ReadFile(path)
		if err != nil {
			return err
		}
		var r Real
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r.beside(base)
		out = append(out, r)
		return nil
	})
	return out, err
})

// beside finds the capture and the logs of a description.
func (r *Real) beside(base string) {
	for _, end := range []string{".pcap", ".pcapng"} {
		if _, err := fs.Stat(captures, base+end); err == nil {
			r.File = base + end
		}
	}
	r.Logs, _ = fs.Glob(captures, base+".*.log")
}

// File is an embedded capture or log by its path below pcaps/, as crowder.pcap.
func File(name string) ([]byte, error) { return captures.ReadFile(name) }
