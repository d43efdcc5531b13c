// Command pcapgen writes a capture of traffic between load balancers and their targets,
// for benchmarks: healthy keep-alive connections, and among them connections of the
// project's scripts, in which something breaks. The same flags always give the same bytes.
//
//	pcapgen -packets 10000000 -flows 10000 >small.pcap
//	pcapgen -packets 1000000 -response 1000-60000 -faults 200 -wants wants.txt >http.pcap
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"connrace/pcaps"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pcapgen:", err)
		os.Exit(2)
	}
}

func run(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("pcapgen", flag.ContinueOnError)
	var c config
	fs.IntVar(&c.packets, "packets", 1_000_000, "how many packets, at least")
	fs.IntVar(&c.flows, "flows", 1000, "connections open at a time")
	fs.IntVar(&c.requests, "requests", 20, "requests on a connection, on average")
	fs.BoolVar(&c.http2, "http2", false, "HTTP/2 in clear text, with requests side by side, instead of HTTP/1")
	fs.IntVar(&c.faults, "faults", 100, "connections in which something breaks, at most 16384")
	fs.DurationVar(&c.duration, "duration", 100*time.Second, "capture time that the packets are spread over")
	fs.IntVar(&c.snaplen, "snaplen", 0, "bytes kept of each packet; 0: all")
	fs.Uint64Var(&c.seed, "seed", 1, "of the random numbers")
	var o outage
	fs.IntVar(&o.stalled, "stalled", 0, "another capture: of an outage with so many requests that have no answer")
	fs.IntVar(&o.syns, "syns", 0, "the same, with so many connections that are asked for in vain")
	fs.IntVar(&o.slow, "slow", 0, "another capture: of so many connections with answers that are late")
	fs.IntVar(&o.rounds, "rounds", 40, "with -slow: answers on each")
	fs.IntVar(&o.targets, "targets", 1, "with -stalled, -syns, -slow: targets that connections are dealt to, up to 1000000")
	fs.DurationVar(&o.late, "late", 300*time.Millisecond, "with -slow: how late, below 500ms")
	response := fs.String("response", "100-1000", "bytes of an answer, `FROM-TO`")
	format := fs.String("format", "pcap", "pcap or pcapng")
	nano := fs.Bool("nano", false, "times in nanoseconds instead of microseconds")
	out := fs.String("o", "-", "the capture `FILE`; -: standard output")
	wants := fs.String("wants", "", "a `FILE` for what is to be found: a rule and how often, line by line")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if _, err := fmt.Sscanf(*response, "%d-%d", &c.from, &c.to); err != nil {
		return fmt.Errorf("-response %s: want FROM-TO", *response)
	}
	if *format != "pcap" && *format != "pcapng" {
		return fmt.Errorf("-format %s: want pcap or pcapng", *format)
	}
	c.format = pcaps.FileFormat{NG: *format == "pcapng", Nano: *nano}
	w := stdout
	if *out != "-" {
		f, err := os.Create(*out)
		if err != nil {
			return err
		}
		defer f.Close()
		w = f
	}
	b := bufio.NewWriterSize(w, 1<<20)
	if o.stalled > 0 || o.syns > 0 || o.slow > 0 {
		if o.targets < 1 || o.targets > 1_000_000 {
			return fmt.Errorf("-targets %d: want 1 to 1000000", o.targets)
		}
		if err := o.write(b, c.format); err != nil {
			return err
		}
		return b.Flush()
	}
	found, err := generate(c, b)
	if err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	if *wants == "" {
		return nil
	}
	var lines []string
	for rule, n := range found {
		lines = append(lines, fmt.Sprintf("%s %d\n", rule, n))
	}
	slices.Sort(lines)
	return os.WriteFile(*wants, []byte(strings.Join(lines, "")), 0o666)
}
