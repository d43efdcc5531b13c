package metrics

import (
	"bytes"
	"strconv"
	"strings"
)

// contentType is of the form that Prometheus and all who can read it understand.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// exposition is a page of figures.
type exposition struct{ bytes.Buffer }

// label escapes what may not stand in a label's value as it is.
var label = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// family begins the figures of a name. Its help is one line without backslashes.
func (e *exposition) family(name string, gauge bool, help string) {
	kind := " counter\n"
	if gauge {
		kind = " gauge\n"
	}
	e.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + kind)
}

// figure is a value; labels are names and values by turns.
func (e *exposition) figure(name string, v float64, labels ...string) {
	e.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		e.WriteByte("{,"[min(i, 1)])
		e.WriteString(labels[i] + `="`)
		label.WriteString(e, strings.ToValidUTF8(labels[i+1], "\uFFFD"))
		e.WriteByte('"')
	}
	if len(labels) > 0 {
		e.WriteByte('}')
	}
	e.WriteByte(' ')
	e.Write(strconv.AppendFloat(e.AvailableBuffer(), v, 'g', -1, 64))
	e.WriteByte('\n')
}

// only is a family of one figure.
func (e *exposition) only(name string, gauge bool, help string, v float64, labels ...string) {
	e.family(name, gauge, help)
	e.figure(name, v, labels...)
}

// page has the figures of a store, of the program, and of its process.
func page(s *Store, b Build) []byte {
	var e exposition
	snap, counts := s.View()
	for _, t := range Totals {
		e.only("connrace_"+t.prometheus(), t.Gauge, t.Help, float64(*t.Of(&snap)))
	}
	e.family("connrace_findings_total", false, "Findings, by rule and target.")
	for _, n := range counts {
		e.figure("connrace_findings_total", float64(n.N), "rule", n.Rule, "target", n.Target)
	}
	e.family("connrace_process_findings_total", false, "Findings about processes of this host, by the process's program.")
	for program, n := range s.Programs() {
		e.figure("connrace_process_findings_total", float64(n), "process", program)
	}
	e.family("connrace_idle_timeout_seconds", true, "Idle timeout of the target, as inferred from its closes.")
	for _, t := range snap.Targets {
		if t.IdleTimeout > 0 {
			e.figure("connrace_idle_timeout_seconds", t.IdleTimeout.Seconds(), "target", t.Name)
		}
	}
	for _, q := range []struct {
		name, help string
		of         func(*Queue) uint32
	}{
		{"connrace_accept_queue", "Connections that wait for the target to accept() them.", func(q *Queue) uint32 { return q.Len }},
		{"connrace_accept_queue_limit", "Backlog of the target's listening socket, as the kernel clamped it.", func(q *Queue) uint32 { return q.Limit }},
	} {
		e.family(q.name, true, q.help)
		for i := range snap.Targets {
			if t := &snap.Targets[i]; t.Queue.Known {
				e.figure(q.name, float64(q.of(&t.Queue)), "target", t.Name)
			}
		}
	}
	e.only("connrace_build_info", true, "What was built, from what, and by what; always 1.", 1,
		"goversion", b.Go, "revision", b.Revision, "version", b.Version)
	e.process()
	return e.Bytes()
}
