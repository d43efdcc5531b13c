package lblog

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"connrace/detect"
	"connrace/pcaps"
)

// gaveUp makes a finding of an LB that gave up.
func gaveUp(id int, at time.Time, path string) Finding {
	f := try1(id, detect.LBClosedWithRequestOutstanding, at, path, "")
	f.Evidence[0].Role = detect.RoleLBFIN
	return f
}

// accessed is a line of nginx's access log, whose times are of whole seconds.
func accessed(at time.Time, path string, status int) string {
	return fmt.Sprintf("1.2.3.4 - - [%s] \"GET %s HTTP/1.1\" %d 0 \"-\" \"-\"\n", at.Format("02/Jan/2006:15:04:05 -0700"), path, status)
}

// results are what became of the lines of a log, whatever their numbers.
func results(o *Join, lines []string) string {
	var out []string
	line := func(e *Entry) string {
		if e.MergedLine != 0 {
			return lines[e.Line-1] + " and " + lines[e.MergedLine-1]
		}
		return lines[e.Line-1]
	}
	for _, e := range o.Joined {
		out = append(out, fmt.Sprintf("%s: #%d by %s among %v after %v, contested %v", line(e.Entry), e.Finding, e.By, e.Among, e.Tries, e.Contested))
	}
	for _, u := range o.Unexplained {
		out = append(out, fmt.Sprintf("%s: %s, %s", line(u.Entry), u.Reason, u.Why))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// Whatever the order of the lines, they are joined to the same findings.
func TestOrderOfLines(t *testing.T) {
	type one struct {
		name string
		analysed
		log string
	}
	var all []one
	for _, a := range reals(t) {
		if len(a.Failed) > 0 {
			all = append(all, one{a.File + ", as an ALB logs it", a, albLog(&a.Real, false)})
		}
		logs := ""
		for _, name := range a.Logs {
			log, err := pcaps.File(name)
			if err != nil {
				t.Fatal(err)
			}
			logs += string(log)
			all = append(all, one{name, a, string(log)})
			a.capture.Findings = blind(a.capture.Findings)
			all = append(all, one{name + ", by time", a, string(log)})
		}
		if len(a.Logs) > 1 {
			all = append(all, one{a.File + " with both logs in one file", a, logs})
		}
	}
	// Many of a few paths within a second or two, some with the same words.
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 30 {
		var fs []Finding
		log := ""
		at := func() time.Time { return noon.Add(time.Duration(r.IntN(2000)) * time.Millisecond) }
		for i := range 3 + r.IntN(6) {
			fs = append(fs, gaveUp(i+1, at(), []string{"", "/a", "/b"}[r.IntN(3)]))
		}
		for range 3 + r.IntN(8) {
			log += accessed(at(), []string{"/a", "/b"}[r.IntN(2)], []int{499, 502, 504}[r.IntN(3)])
		}
		all = append(all, one{fmt.Sprint("made up ", n), analysed{capture: around(fs...)}, log})
	}
	for _, x := range all {
		var want string
		for i := range 6 {
			lines := strings.Split(strings.TrimSuffix(x.log, "\n"), "\n")
			if i == 1 {
				slices.Reverse(lines)
			} else if i > 1 {
				r.Shuffle(len(lines), func(i, k int) { lines[i], lines[k] = lines[k], lines[i] })
			}
			got := results(x.join(t, strings.Join(lines, "\n")+"\n"), lines)
			if want = cmp.Or(want, got); got != want {
				t.Fatalf("%s: joined\n%s\nin another order\n%s", x.name, want, got)
			}
		}
	}
}

// Entries that contradict each other and fit a finding equally well leave it undecided; a better key, or
// a time that fits better, decides.
func TestContested(t *testing.T) {
	haproxy := func(at time.Time, state string, status int) string {
		return fmt.Sprintf("10.9.9.9:1 [%s] f b/s 0/0/0/-1/0 %d 209 - - %s 1/1/0/0/0 0/0 \"GET /a HTTP/1.1\"\n", at.Format(haproxyTime), status, state)
	}
	for _, c := range []struct {
		name, path, log, want string
	}{
		{"the client's and the LB's", "", accessed(noon, "/a", 499) + accessed(noon, "/b", 504), "contested"},
		{"the client's and one that says nothing", "", accessed(noon, "/a", 499) + accessed(noon, "/b", 502), "contested"},
		{"by path", "/a", accessed(noon, "/a", 504) + accessed(noon, "/a", 499), "contested"},
		{"they agree", "", accessed(noon, "/a", 499) + accessed(noon, "/b", 499), "of the client"},
		{"the path decides", "/b", accessed(noon, "/a", 499) + accessed(noon, "/b", 504), "of the LB"},
		{"the time decides", "", haproxy(noon.Add(300*time.Millisecond), "sH--", 504) + haproxy(noon.Add(time.Millisecond), "CH--", 499), "of the client"},
		{"as far as it is known", "", haproxy(noon.Add(9*time.Millisecond), "sH--", 504) + haproxy(noon.Add(time.Millisecond), "CH--", 499), "contested"},
	} {
		lines := strings.SplitAfter(c.log, "\n")
		for _, log := range []string{c.log, lines[1] + lines[0]} {
			a := analysed{capture: around(gaveUp(1, noon.Add(500*time.Microsecond), c.path))}
			o := a.join(t, log)
			if len(o.Joined) != 1 || len(o.Unexplained) != 1 {
				t.Fatalf("%s: %d joined, %d not", c.name, len(o.Joined), len(o.Unexplained))
			}
			got := []string{"unsaid", "of the client", "of the LB"}[o.Joined[0].WhoseWait()]
			if o.Joined[0].Contested {
				got = "contested"
			}
			if got != c.want {
				t.Errorf("%s: %s, want %s\n%s", c.name, got, c.want, log)
			}
		}
	}
}

// What the error log says of a client that went away is merged with the 499 of the access log, whatever
// comes first.
func TestMergeAgrees(t *testing.T) {
	gone := fmt.Sprintf("%s [info] 1#1: *2 epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while sending request to upstream, client: 1.2.3.4, server: , "+
		"request: \"GET /a HTTP/1.1\", upstream: \"http://10.0.0.5:80/a\"\n", noon.Format(nginxTime))
	lines := []string{gone, accessed(noon, "/a", 499), accessed(noon, "/a", 504)}
	for _, log := range []string{lines[0] + lines[1] + lines[2], lines[2] + lines[1] + lines[0], lines[1] + lines[2] + lines[0]} {
		a := analysed{capture: around(gaveUp(1, noon.Add(100*time.Millisecond), "/a"), gaveUp(2, noon.Add(200*time.Millisecond), "/a"))}
		o := a.join(t, log)
		if len(o.Joined) != 2 || o.Merged != 1 {
			t.Fatalf("%d joined, %d merged", len(o.Joined), o.Merged)
		}
		for _, e := range o.Joined {
			if e.Failure == ClientGone && e.Status != 499 {
				t.Errorf("a client that went away got %d\n%s", e.Status, log)
			}
		}
	}
}

// A finding whose time fits and that may be about the path goes before one of the path that is seconds away,
// which clocks that differ would explain.
func TestTimeBeforePathSecondsAway(t *testing.T) {
	refused := try1(1, detect.ConnectionRefused, noon, "", "")
	refused.Request = nil
	away := try1(2, detect.FINRequestCrossing, noon.Add(3*time.Second), "/a", "")
	for _, c := range []struct {
		findings []Finding
		want     int
		by       Key
	}{{[]Finding{refused, away}, 1, ByTime}, {[]Finding{away}, 2, ByPath}} {
		a := analysed{capture: around(c.findings...)}
		if o := a.join(t, accessed(noon, "/a", 502)); len(o.Joined) != 1 || o.Joined[0].Finding != c.want || o.Joined[0].By != c.by {
			t.Errorf("%+v, want #%d by %s", o.Joined, c.want, c.by)
		}
	}
}
