package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"connrace/cmd/connrace/internal/annotate"
	"connrace/cmd/connrace/internal/baseline"
	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/html"
	"connrace/cmd/connrace/internal/lblog"
	"connrace/cmd/connrace/internal/metrics"
	"connrace/cmd/connrace/internal/otlp"
	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
	"connrace/tcpstate"
)

// dice are bytes that decide what a random value is; behind their end all are zero.
type dice struct{ data []byte }

func (d *dice) octet() (b byte) {
	if len(d.data) > 0 {
		b, d.data = d.data[0], d.data[1:]
	}
	return b
}

func (d *dice) of(n int) int { return int(d.octet()) % n }

// number is one at an edge more often than not.
func (d *dice) number() uint64 {
	edges := [...]uint64{
		0, 1, math.MaxInt64, 1 << 63, math.MaxUint64, math.MaxInt64 - 1, math.MaxUint32, 1e9, 2, 1 << 62, 1.6e18, 1.6e18 + 1, 1.7e18,
	}
	if i := d.of(2 * len(edges)); i < len(edges) {
		return edges[i]
	}
	var b [8]byte
	d.data = d.data[copy(b[:], d.data):]
	return binary.LittleEndian.Uint64(b[:]) >> (d.octet() % 64)
}

var randomTexts = []string{
	"", "GET", "/a?b=c", "idle-timeout", "certain", `<script>"'&</script>`, "\x1b[31m\x00\xff\u202e", "10.0.0.1:80", "`", "a|b\n\r\n,\"c",
	strings.Repeat("very long ", 300), "keepalive-mismatch", "\U0010ffff日本",
}

var randomRoles = []detect.Role{
	"", detect.RoleSYN, detect.RoleSYNACK, detect.RoleACK, detect.RoleRequest, detect.RoleRequestRest, detect.RoleAnswer, detect.RoleLastAnswer,
	detect.RoleCloseNotify, detect.RoleFIN, detect.RoleRST, detect.RoleLBFIN, detect.RoleLBRST, detect.RoleRepeat, detect.RoleStalledRequest,
	detect.RoleNewHandshake, detect.RoleOldConnection, "unheard of",
}

// fill makes a value a random one, and all that is in it. Only what the type of a value
// does not say is said here: the number of names that an enumeration has, rules, endpoints.
func (d *dice) fill(v reflect.Value) {
	switch p := v.Addr().Interface().(type) {
	case **detect.Rule:
		*p = detect.Rules[d.of(len(detect.Rules))]
		return
	case *detect.Role:
		*p = randomRoles[d.of(len(randomRoles))]
		return
	case *detect.Severity:
		*p = detect.Severity(d.of(3))
		return
	case *detect.Confidence:
		*p = detect.Confidence(d.of(3))
		return
	case *lblog.Key:
		*p = lblog.Key(d.of(int(lblog.ByTime) + 1))
		return
	case *lblog.Reason:
		*p = lblog.Reason(d.of(len(lblog.Join{}.ByReason)))
		return
	case *lblog.Kind:
		*p = lblog.Kind(d.of(len(lblog.KindNames()) + 1))
		return
	case *lblog.Failure:
		*p = lblog.Failure(d.of(int(lblog.Local) + 1))
		return
	case *tcpstate.State:
		*p = tcpstate.State(d.of(12))
		return
	case *tcpstate.Addr:
		if *p = (tcpstate.Addr{}); d.of(4) > 0 {
			*p = tcpstate.Addr4([]byte{10, 0, 0, d.octet()})
		}
		return
	case *time.Location:
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(d.octet()&1 != 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(d.number()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(d.number())
	case reflect.Float64:
		v.SetFloat([]float64{0, 1, 0.5, -1, math.MaxFloat64, math.SmallestNonzeroFloat64, 1e9}[d.of(7)])
	case reflect.String:
		v.SetString(randomTexts[d.of(len(randomTexts))])
	case reflect.Pointer:
		if d.octet()&1 != 0 {
			v.Set(reflect.New(v.Type().Elem()))
			d.fill(v.Elem())
		}
	case reflect.Slice:
		n := d.of(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			d.fill(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			if d.of(16) == 1 || v.Len() <= 16 { // most of a histogram is empty
				d.fill(v.Index(i))
			}
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range d.of(3) {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			d.fill(key)
			d.fill(elem)
			v.SetMapIndex(key, elem)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				d.fill(f)
			}
		}
	}
}

// randomReport is a report as no capture would make it, but one that could be: findings
// have rules, and captures that there are.
func randomReport(d *dice) *report.Report {
	r := &report.Report{}
	d.fill(reflect.ValueOf(r).Elem())
	r.Baseline = nil
	if len(r.Captures) == 0 {
		r.Captures = make([]report.Capture, 1)
	}
	for i := range r.Analyses {
		a := &r.Analyses[i]
		a.FirstID = i * 10
		for k := range a.Captures {
			a.Captures[k] = k % len(r.Captures)
		}
		if len(a.Captures) == 0 {
			a.Captures = []int{0}
		}
		if a.Result == nil {
			a.Result = &detect.Result{}
		}
		var fs []*detect.Finding
		for _, f := range a.Result.Findings {
			if f == nil {
				continue
			}
			fs = append(fs, f)
			f.ID = len(fs)
			within := func(capture *int) { *capture = int(uint(*capture) % uint(len(a.Captures))) }
			within(&f.Capture)
			for k := range f.Evidence {
				within(&f.Evidence[k].Capture)
			}
			if f.IdleFrom != nil {
				within(&f.IdleFrom.Capture)
			}
			if e := a.Files[f.ID]; e == nil {
				delete(a.Files, f.ID)
			}
		}
		a.Result.Findings = fs
		a.Result.Totals.Leaps.Capture = 0
	}
	if j := r.Log; j != nil {
		for i := range j.Joined {
			if j.Joined[i].Entry == nil {
				j.Joined[i].Entry = &lblog.Entry{}
			}
		}
		for i := range j.Unexplained {
			if j.Unexplained[i].Entry == nil {
				j.Unexplained[i].Entry = &lblog.Entry{}
			}
		}
		var entries []*lblog.Entry
		for i := range j.Joined {
			entries = append(entries, j.Joined[i].Entry)
		}
		for i := range j.Unexplained {
			entries = append(entries, j.Unexplained[i].Entry)
		}
		if len(j.Files) == 0 {
			j.Files = make([]lblog.File, 1)
		}
		for _, e := range entries {
			e.File = int(uint(e.File) % uint(len(j.Files)))
		}
	}
	return r
}

// FuzzRender writes reports of any content in every format that there is: none panics,
// and what must be JSON is.
func FuzzRender(f *testing.F) {
	for i := range uint64(100) {
		seed := make([]byte, 2000)
		for rnd, k := rand.New(rand.NewPCG(i, 1)), 0; k < len(seed); k++ {
			seed[k] = byte(rnd.Uint32())
		}
		f.Add(seed)
	}
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	f.Cleanup(collector.Close)
	endpoint, err := otlp.Endpoint(collector.URL)
	if err != nil {
		f.Fatal(err)
	}
	exporter, err := otlp.Start(otlp.Options{Endpoint: endpoint, Store: metrics.NewStore(cli.RuleIDs(), 10), Version: "fuzz"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		exporter.Close(ctx)
	})

	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			return
		}
		d := &dice{data}
		zones := []*time.Location{time.UTC, time.FixedZone("east", 14*3600), time.FixedZone("west", -12*3600)}
		o := &report.Options{
			ShowQuery: d.of(2) == 1, Streams: d.of(2) == 1, Verbose: d.of(2) == 1, Color: d.of(2) == 1, Location: zones[d.of(len(zones))],
		}
		r := randomReport(d)
		if d.of(2) == 1 {
			run := &baseline.Run{}
			d.fill(reflect.ValueOf(run).Elem())
			r.Baseline = baseline.Compare("before.json", run, r.Figures())
		}
		renderAll(t, r, o)
		for i := range r.Analyses {
			for _, x := range r.Analyses[i].Result.Findings {
				exporter.Finding(nil, x)
				exporter.Update(nil, x)
			}
		}
		joinAll(r, d)
	})
}

// renderAll writes a report in every format.
func renderAll(t *testing.T, r *report.Report, o *report.Options) {
	var b strings.Builder
	must := func(what string, err error) {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	verbose := *o
	verbose.Verbose = !o.Verbose
	must("table", report.Table(&b, r, o))
	must("table", report.Table(&b, r, &verbose))
	must("markdown", report.Markdown(&b, r, o))
	must("csv", report.CSV(&b, r, o))
	b.Reset()
	must("html", html.Write(&b, r, o))
	for _, bad := range []string{"NaN", "ZgotmplZ", "%!"} {
		if strings.Contains(b.String(), bad) {
			i := strings.Index(b.String(), bad)
			t.Errorf("html: %s", b.String()[max(0, i-200):min(i+100, b.Len())])
		}
	}
	b.Reset()
	must("json", report.JSON(&b, r, o))
	if !json.Valid([]byte(b.String())) {
		t.Errorf("no JSON: %s", b.String())
	}
	b.Reset()
	lines, running := report.NewLines(&b, o), report.NewRunning(io.Discard, o)
	for i := range r.Analyses {
		a := &r.Analyses[i]
		for _, f := range a.Result.Findings {
			rep := &report.Repeated{Rule: f.Rule, Severity: f.Severity, Target: f.TargetName(), Count: f.Frame, First: f.Time, Last: f.Time}
			lines.Finding(a, f)
			lines.Update(a, f)
			lines.Repeated(rep)
			running.Finding(a, f)
			running.Update(a, f)
			running.Repeated(rep)
		}
	}
	must("jsonl", lines.Summary(r))
	must("jsonl", lines.Err())
	must("running", running.Err())
	for l := range strings.Lines(b.String()) {
		if !json.Valid([]byte(l)) {
			t.Errorf("no JSON: %s", l)
		}
	}
	for i := range r.Captures {
		annotate.For(r, o, i)
	}
}

// joinAll joins logs of any time to the findings.
func joinAll(r *report.Report, d *dice) {
	c := lblog.Capture{Spans: []lblog.Span{{First: int64(d.number()), Last: int64(d.number())}}}
	for i := range r.Analyses {
		a := &r.Analyses[i]
		for _, f := range a.Result.Findings {
			c.Findings = append(c.Findings, lblog.Finding{ID: a.FirstID + f.ID, Finding: f})
		}
		c.Targets = append(c.Targets, a.Result.Targets...)
		c.Exchanges = append(c.Exchanges, a.Result.Exchanges)
	}
	j := lblog.NewJoiner(c, lblog.Unknown, time.UTC)
	var b strings.Builder
	for range d.of(8) {
		year := 1600 + d.of(4)*250
		fmt.Fprintf(&b, "%d/01/26 00:01:02 [error] 1#1: *1 upstream prematurely closed connection while reading response header from upstream, "+
			"client: 1.2.3.4, server: x, request: \"GET /a?b=c HTTP/1.1\", upstream: \"http://10.0.0.%d:80/a?b=c\", host: \"x\"\n", year, d.octet())
	}
	j.Read(context.Background(), "error.log", strings.NewReader(b.String()))
	j.Finish()
}
