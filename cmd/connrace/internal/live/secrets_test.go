package live

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
	"connrace/pcaps"
)

const planted = "s3cr3t"

// secretTargets are request targets that have the secret where such are known to be.
var secretTargets = []string{
	"/a?token=" + planted, "/a/b;jsessionid=" + planted + "/c", "/a%3Ftoken=" + planted, "/a%3ftoken=" + planted,
	"/a%253ftoken=" + planted, "/a%3Bjsessionid=" + planted, "/a#" + planted, "/a%23" + planted, "http://user:" + planted + "@host/a",
	"user:" + planted + "@host:443", "//user:" + planted + "@host/a", "/fetch/https://user:" + planted + "@host/a",
}

// secretCapture is a connection whose first exchange has the secret in every place of a
// request and of an answer, and whose second request, with as many, crosses the target's FIN.
func secretCapture(t *testing.T, target string) []byte {
	t.Helper()
	request := "POST " + target + " HTTP/1.1\r\nHost: " + planted + "\r\nAuthorization: Basic " + planted + "\r\nCookie: s=" + planted +
		"\r\nUser-Agent: " + planted + "\r\nReferer: http://x/?" + planted + "\r\nX-Api-Key: " + planted + "\r\n" + planted + ": 1\r\nExpect: " + planted +
		"\r\nConnection: " + planted + "\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n6;ext=" + planted + "\r\n" + planted + "\r\n0;" + planted + "\r\nX-Sum: " + planted + "\r\n\r\n"
	answer := "HTTP/1.1 200 " + planted + "\r\nServer: " + planted + "\r\nSet-Cookie: s=" + planted + "\r\nLocation: /?" + planted + "\r\nVia: " + planted +
		"\r\nKeep-Alive: timeout=5, x=" + planted + "\r\nWWW-Authenticate: " + planted + "\r\nTransfer-Encoding: chunked\r\n\r\n6;ext=" + planted + "\r\n" + planted + "\r\n0\r\nX-Sum: " + planted + "\r\n\r\n"
	m, n := 1+len(request), 1+len(answer)
	text := fmt.Sprintf(`# A secret in every place.
-- hosts --
lb     10.0.0.2:41000
target 10.0.1.9:8080
-- packets --
 0.010000 lb     > target S  0:0(0) mss 1460 wscale 7 sackOK
 0.010040 target > lb     S. 0:0(0) ack 1 mss 1460 wscale 7 sackOK
 0.030080 lb     > target .  1:1(0) ack 1
 0.031080 lb     > target P. 1:%[1]d(%[2]d) ack 1 %[5]q
 0.033080 target > lb     P. 1:%[3]d(%[4]d) ack %[1]d %[6]q
 0.053110 lb     > target .  %[1]d:%[1]d(0) ack %[3]d
 5.034480 target > lb     F. %[3]d:%[3]d(0) ack %[1]d
 5.045380 lb     > target P. %[1]d:%[7]d(%[2]d) ack %[3]d %[5]q
 5.045400 target > lb     R  %[3]d:%[3]d(0)
 5.054780 lb     > target F. %[7]d:%[7]d(0) ack %[8]d
 5.054800 target > lb     R  %[8]d:%[8]d(0)
`, m, len(request), n, len(answer), request, answer, m+len(request), n+1)
	s, err := pcaps.Parse("secrets", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WritePCAP(&b, pcaps.FileFormat{NG: true}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSecrets: what of a request and of its answer is known to be secret is in nothing that
// is written besides the packets themselves, unless it is asked for: in no report, page,
// comment, file's name, metric or message. The script for Wireshark shows only what is in
// the JSON.
func TestSecrets(t *testing.T) {
	log := "2024/01/01 00:00:05 [error] 7#7: *1 upstream prematurely closed connection while reading response header from upstream, client: 1.2.3.4, " +
		"server: x, request: \"POST %[1]s HTTP/1.1\", upstream: \"http://10.0.1.9:8080%[1]s\", host: \"x\", referrer: \"http://x/?%[2]s\"\n" +
		"2024/01/01 00:00:02 [error] 7#7: *2 recv() failed (104: Connection reset by peer) while reading response header from upstream, client: 1.2.3.4, " +
		"server: x, request: \"POST %[1]s HTTP/1.1\", upstream: \"http://10.0.1.9:8080%[1]s\", host: \"x\", referrer: \"http://x/?%[2]s\"\n"
	for i, target := range secretTargets {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			dir := t.TempDir()
			name, logName := filepath.Join(dir, "x.pcapng"), filepath.Join(dir, "error.log")
			data := secretCapture(t, target)
			for path, b := range map[string][]byte{name: data, logName: fmt.Appendf(nil, log, target, planted)} {
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			clean := func(what string, b []byte) {
				t.Helper()
				if at := bytes.Index(b, []byte(planted)); at >= 0 {
					t.Errorf("%s: %q", what, b[max(at-100, 0):min(at+40, len(b))])
				}
			}
			packets := func(paths ...string) {
				t.Helper()
				for _, path := range paths {
					clean("a file's name", []byte(filepath.Base(path)))
					b, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					texts, err := clitest.Comments(b)
					if err != nil || len(texts) == 0 {
						t.Fatalf("%s: %d comments, %v", path, len(texts), err)
					}
					for _, c := range texts {
						clean("a comment", []byte(c.Text))
					}
				}
			}
			file := func(path string) {
				t.Helper()
				b, err := os.ReadFile(path)
				if err != nil || len(b) == 0 {
					t.Fatal(err)
				}
				clean(filepath.Base(path), b)
			}

			for _, format := range []string{"table", "markdown", "csv", "json", "jsonl"} {
				for _, verbose := range []bool{true, false} {
					sub := filepath.Join(dir, fmt.Sprint(format, verbose))
					args := []string{
						"--format", format, "--streams", "--log", logName, "--html", sub + ".html", "--annotate", sub + ".pcapng", "--evidence", sub, name,
					}
					if format != "json" && format != "jsonl" {
						args = append(args[:2], args[3:]...)
					}
					if verbose {
						args = append(args, "-v")
					}
					status, out, errs := analyzed(t, args...)
					if status != 0 || !strings.Contains(out, "fin-request-crossing") {
						t.Fatalf("status %d, %s\n%s", status, errs, out)
					}
					clean(format, []byte(out))
					clean("messages", []byte(errs))
					file(sub + ".html")
					evidence, _ := filepath.Glob(filepath.Join(sub, "*.pcapng"))
					packets(append(evidence, sub+".pcapng")...)
				}
			}
			_, shown, _ := analyzed(t, "--format", "json", "--show-query", name)
			if got, want := strings.Contains(shown, planted), !strings.Contains(target, "@"); got != want {
				t.Errorf("--show-query shows it: %v, want %v", got, want)
			}

			for _, format := range []string{"table", "json", "jsonl"} {
				sub := filepath.Join(dir, "live-"+format)
				var mu sync.Mutex
				var sent bytes.Buffer
				collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					io.Copy(&sent, r.Body)
				}))
				w := watchFake(t, fakeCapture(t, "secrets", bytes.NewReader(data)), func(w *watch) {
					w.observers = append(w.observers, each(func() {
						_, page := fetch(t, "http://"+w.exports.server.Addr()+"/metrics")
						clean("metrics", []byte(page))
					}))
				}, "--format", format, "--otlp", collector.URL, "--metrics", "127.0.0.1:0", "--evidence", sub, "--html", sub+".html", "--log", logName)
				collector.Close()
				if w.code != cli.ExitOK || !strings.Contains(w.stdout, "fin-request-crossing") || !bytes.Contains(sent.Bytes(), []byte("fin-request-crossing")) {
					t.Fatalf("live: status %d, %d octets sent, %s\n%s", w.code, sent.Len(), w.stderr, w.stdout)
				}
				clean("live, "+format, []byte(w.stdout))
				clean("live, messages", []byte(w.stderr))
				clean("OTLP", sent.Bytes())
				file(sub + ".html")
				evidence, _ := filepath.Glob(filepath.Join(sub, "*.pcapng"))
				if len(evidence) == 0 {
					t.Error("no evidence")
				}
				packets(evidence...)
			}
		})
	}
}
