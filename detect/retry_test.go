package detect_test

import (
	"fmt"
	"testing"

	"connrace/pcaps"
)

// The same request on another connection is a retry only if it comes behind the loss.
func TestRetried(t *testing.T) {
	const script = `-- hosts --
lb     10.0.0.2:41000 isn 885211976
target 10.0.1.9:8080  isn 3412115714
lb2    10.0.0.2:41001 isn 3810935477
lb3    10.0.0.2:41002 isn 100
-- packets --
0.010000 lb     > target S  0:0(0)
0.010040 target > lb     S. 0:0(0) ack 1
0.030080 lb     > target .  1:1(0) ack 1
0.035000 lb2    > target S  0:0(0)
0.035040 target > lb2    S. 0:0(0) ack 1
0.055000 lb2    > target .  1:1(0) ack 1
0.056000 lb3    > target S  0:0(0)
0.056040 target > lb3    S. 0:0(0) ack 1
0.057000 lb3    > target .  1:1(0) ack 1
0.060000 lb     > target P. 1:33(32) ack 1 "GET /poll HTTP/1.1\r\nHost: ab\r\n\r\n"
%[1]s0.600000 target > lb     F. 1:1(0) ack 33
0.620000 lb     > target F. 33:33(0) ack 2
0.620030 target > lb     .  2:2(0) ack 34
%[2]s%[3]s0.900000 target > lb2    P. 1:41(40) ack 33 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
`
	again := func(lb string) string {
		return lb + `    > target P. 1:33(32) ack 1 "GET /poll HTTP/1.1\r\nHost: ab\r\n\r\n"` + "\n"
	}
	for _, c := range []struct {
		before, behind, later string
		want                  uint64 // the retry's frame; 0: none
	}{
		{"0.100000 " + again("lb2"), "", "", 0},
		{"", "0.640000 " + again("lb2"), "", 14},
		{"", "0.640000 " + again("lb2"), "0.660000 " + again("lb3"), 14}, // the first one
		{"", "", "0.660000 " + again("lb3"), 14},
	} {
		s, err := pcaps.Parse("retry", fmt.Appendf(nil, script, c.before, c.behind, c.later))
		if err != nil {
			t.Fatal(err)
		}
		fs := run(s).Findings
		if len(fs) != 1 || fs[0].Measures.RetryFrame != c.want || fs[0].Measures.Retried != (c.want > 0) {
			t.Errorf("%s%s%s: %d findings, retried %v, want 1, %v", c.before, c.behind, c.later, len(fs), len(fs) > 0 && fs[0].Measures.Retried, c.want)
		}
	}
}

// Behind the translation of an address another interface shows the same request on other ends: that is no retry.
func TestRetriedNotBehindNAT(t *testing.T) {
	const script = `-- hosts --
lb     10.0.0.2:41000 isn 885211976
target 10.0.1.9:80    isn 3412115714
again  10.0.0.2:41000 isn %d
pod    10.9.1.9:8080  isn 3412115714
-- packets --
0.010000 lb     > target S  0:0(0)
0.010010 again  > pod    S  0:0(0)
0.010040 pod    > again  S. 0:0(0) ack 1
0.010050 target > lb     S. 0:0(0) ack 1
0.030080 lb     > target .  1:1(0) ack 1
0.030090 again  > pod    .  1:1(0) ack 1
0.060000 pod    > again  F. 1:1(0) ack 1
0.060010 target > lb     F. 1:1(0) ack 1
0.070000 lb     > target P. 1:33(32) ack 1 "GET /poll HTTP/1.1\r\nHost: ab\r\n\r\n"
0.070010 again  > pod    P. 1:33(32) ack 1 "GET /poll HTTP/1.1\r\nHost: ab\r\n\r\n"
0.070040 pod    > again  R  2:2(0)
0.070050 target > lb     R  2:2(0)
`
	for isn, retried := range map[uint32]bool{885211976: false, 12345: true} {
		s, err := pcaps.Parse("nat", fmt.Appendf(nil, script, isn))
		if err != nil {
			t.Fatal(err)
		}
		fs := run(s).Findings
		if len(fs) != 2 {
			t.Fatalf("%d findings", len(fs))
		}
		got := false
		for _, f := range fs {
			got = got || f.Measures.Retried
		}
		if got != retried {
			t.Errorf("isn %d: retried %v", isn, got)
		}
	}
}
