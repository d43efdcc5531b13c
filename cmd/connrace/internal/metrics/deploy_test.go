package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const deploy = "../../../../deploy/"

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(deploy + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// full is a store that has a value for each metric.
func full() *Store {
	s := NewStore(rules, 1)
	s.Publish(Snapshot{Targets: []Target{{Name: "a:1", IdleTimeout: 1, Queue: Queue{Known: true}}}})
	return s
}

var metricName = regexp.MustCompile(`\bconnrace_[a-z0-9_]+\b`)

// What is said about metrics is said about those that exist, and of each something is.
func TestNamesInDeploy(t *testing.T) {
	var have []string
	for name := range families(string(page(full(), Build{}))) {
		if strings.HasPrefix(name, "connrace_") {
			have = append(have, name)
		}
	}
	named := map[string]bool{}
	for _, file := range []string{"grafana-dashboard.json", "alerts.yml", "alerts_test.yml", "README.md"} {
		for _, name := range metricName.FindAllString(read(t, file), -1) {
			named[name] = true
			if !slices.Contains(have, name) {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
	}
	for _, name := range have {
		if !named[name] {
			t.Errorf("%s is in no panel and no alert", name)
		}
	}
}

// dashboard is what of a Grafana dashboard can be checked without Grafana.
type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct{ Name, Type string }
	}
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, RefID string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	if err := json.Unmarshal([]byte(read(t, "grafana-dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" || len(d.Panels) < 10 {
		t.Fatalf("%q %q, %d panels", d.UID, d.Title, len(d.Panels))
	}
	variables := []string{"__range", "__rate_interval", "__interval"}
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: id %d is another panel's", p.Title, p.ID)
		}
		ids[p.ID] = true
		if len(p.Targets) == 0 {
			t.Errorf("%s: shows nothing", p.Title)
		}
		for _, q := range p.Targets {
			for _, v := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(q.Expr, -1) {
				if !slices.Contains(variables, v[1]) {
					t.Errorf("%s: no variable %s", p.Title, v[1])
				}
			}
		}
		g := p.GridPos
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("%s lies on %s, or beyond the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// alerts are Prometheus's rules.
type alerts struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

func TestAlerts(t *testing.T) {
	var a alerts
	dec := yaml.NewDecoder(strings.NewReader(read(t, "alerts.yml")))
	dec.KnownFields(true)
	if err := dec.Decode(&a); err != nil {
		t.Fatal(err)
	}
	tested := read(t, "alerts_test.yml")
	for _, g := range a.Groups {
		for _, r := range g.Rules {
			if !strings.HasPrefix(r.Alert, "Connrace") || r.Expr == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%+v", r)
			}
			if !strings.Contains(tested, r.Alert) && r.Alert != "ConnraceForgetsConnections" && r.Alert != "ConnraceKeepAliveTooShort" {
				t.Errorf("%s: not in alerts_test.yml", r.Alert)
			}
		}
	}
}

// Prometheus's own tool reads the alerts, tries them, and reads the dashboard's queries.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool (of Debian's package prometheus)")
	}
	var b strings.Builder
	b.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			expr := strings.NewReplacer("$__range", "1h", "$__rate_interval", "1m", "$__interval", "1m").Replace(q.Expr)
			fmt.Fprintf(&b, "  - record: panel:%d:%s\n    expr: %q\n", p.ID, q.RefID, expr)
		}
	}
	queries := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(queries, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml", queries}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = deploy
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
