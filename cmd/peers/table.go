package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// compare measures all programs on each capture.
func (b *bench) compare(ctx context.Context, all []workload, w io.Writer) error {
	t := newTable("capture", "command", "CPU ns/packet", "wall s", "peak MiB", "CPU / floor", "CPU / tcpdump", "less than connrace")
	err := b.each(ctx, all, func(s *sample, rs []result) {
		base, least, own := find(rs, tcpdump), find(rs, floor), find(rs, alone)
		title := s.title()
		for _, r := range rs {
			ahead := ""
			if r.cpu < own.cpu && !r.ours {
				ahead = "yes"
			}
			t.row(title, r.name, s.perPacket(r.cpu), fmt.Sprintf("%.2f", r.wall.Seconds()), mebibytes(r.peak), ratio(r.cpu, least.cpu), ratio(r.cpu, base.cpu), ahead)
			title = ""
		}
	})
	if err != nil {
		return err
	}
	return b.write(t, w)
}

// growth measures connrace beside tcpdump on captures of more and more connections and
// packets.
func (b *bench) growth(ctx context.Context, all []workload, w io.Writer) error {
	t := newTable("connections", "packets", "tcpdump ns/packet", "connrace ns/packet", "CPU / tcpdump", "connrace peak MiB")
	b.slow, b.peers = false, false
	err := b.each(ctx, all, func(s *sample, rs []result) {
		base, own := find(rs, tcpdump), find(rs, connrace)
		t.row(thousands(s.flows), thousands(s.workload.packets), s.perPacket(base.cpu), s.perPacket(own.cpu),
			ratio(own.cpu, base.cpu), mebibytes(own.peak))
	})
	if err != nil {
		return err
	}
	return b.write(t, w)
}

// mounting measures connrace where trouble grows: what a further packet costs must not grow with
// it, and memory must be bounded.
func (b *bench) mounting(ctx context.Context, all []workload, w io.Writer) error {
	t := newTable("capture", "packets", "CPU ns/packet", "CPU ns/further packet", "peak MiB")
	b.slow, b.peers = false, false
	var before sample // and what it cost, of the same kind
	var cost time.Duration
	err := b.each(ctx, all, func(s *sample, rs []result) {
		own := find(rs, alone)
		further := "-"
		if more := s.packets - before.packets; more > 0 && before.packets > 0 {
			further = fmt.Sprintf("%.0f", float64(own.cpu-cost)/float64(more))
		}
		before, cost = *s, own.cpu
		t.row(s.name, thousands(s.packets), s.perPacket(own.cpu), further, mebibytes(own.peak))
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, t.String())
	return err
}

// each makes the captures one after another, and gives what was measured.
func (b *bench) each(ctx context.Context, all []workload, show func(*sample, []result)) error {
	for _, w := range all {
		s, err := b.make(ctx, w)
		if err != nil {
			return err
		}
		rs, err := b.measure(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.title(), err)
		}
		show(s, rs)
		if err := os.Remove(s.file); err != nil {
			return err
		}
	}
	return nil
}

// write writes the table, and below it what is not in it.
func (b *bench) write(t *table, w io.Writer) error {
	text := t.String()
	for _, n := range b.notes {
		text += "\nNot measured: " + n + "."
	}
	if len(b.notes) > 0 {
		text += "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// find is the result of a command, or zero.
func find(rs []result, name string) (r result) {
	for _, r := range rs {
		if r.name == name {
			return r
		}
	}
	return r
}

// title says what the capture is, as measured.
func (s *sample) title() string {
	return fmt.Sprintf("%.2g M %s, %.3g GB, %s connections", float64(s.packets)/1e6, s.name, float64(s.octets)/1e9, thousands(s.flows))
}

func (s *sample) perPacket(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", float64(d)/float64(s.packets))
}

func ratio(a, b time.Duration) string {
	if a == 0 || b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}

// mebibytes says no more than is known: a program starts as a copy of this one, and the
// kernel counts that, too.
func mebibytes(n int64) string {
	if n == 0 {
		return "-"
	}
	s := fmt.Sprintf("%.0f", float64(n)/(1<<20))
	if n <= ownPeak() {
		return "≤ " + s
	}
	return s
}

// thousands writes 1000000 as 1,000,000.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// table is one in Markdown, readable as it is.
type table struct {
	b strings.Builder
	w *tabwriter.Writer
}

func newTable(head ...string) *table {
	t := &table{}
	t.w = tabwriter.NewWriter(&t.b, 0, 0, 1, ' ', 0)
	t.row(head...)
	rule := make([]string, len(head))
	for i, h := range head {
		if rule[i] = "---:"; h == "capture" || h == "command" || h == "form" || h == "program" || h == "less than connrace" {
			rule[i] = "---"
		}
	}
	t.row(rule...)
	return t
}

func (t *table) row(cells ...string) {
	fmt.Fprintf(t.w, "| %s\t|\n", strings.Join(cells, "\t| "))
}

func (t *table) String() string {
	t.w.Flush()
	return t.b.String()
}
