package detect_test

import (
	"strings"
	"testing"

	"connrace/detect"
	"connrace/pcaps"
)

// Of headers alone it cannot be told that nothing was outstanding where a protocol wants no answers, or where
// a TLS handshake ends with what the load balancer sends: nothing is claimed to have failed. These are no scripts of the
// corpus: where frames are missing that show it, HTTP is assumed.
func TestHeadersOnly(t *testing.T) {
	for name, text := range map[string]string{
		"closed-with-request-outstanding-one-way-snaplen": `
# Headers only, of a protocol in which only the client ever speaks (syslog over TCP, statsd): the target, which
# is restarted, closes. Nothing was outstanding, and it cannot be told.
-- capture --
snaplen 66
-- hosts --
lb     10.0.0.2:41000 isn 885211976 ts 880011
lb1    10.0.0.3:41001 isn 2312812361 ts 9920113
target 10.0.1.9:601   isn 3412115714 ts 2952137
-- packets --
0.010000 lb     > target S  0:0(0) mss 1460 wscale 7 sackOK
0.010040 target > lb     S. 0:0(0) ack 1 mss 1460 wscale 7 sackOK
0.030080 lb     > target .  1:1(0) ack 1
0.031080 lb     > target P. 1:91(90) ack 1 "<34>1 2024-03-01T22:14:15Z app su - ID47 - 'su root' failed"...
0.031100 target > lb     .  1:1(0) ack 91
0.110000 lb1    > target S  0:0(0) mss 1460 wscale 7 sackOK
0.110040 target > lb1    S. 0:0(0) ack 1 mss 1460 wscale 7 sackOK
0.130080 lb1    > target .  1:1(0) ack 1
0.231080 lb1    > target P. 1:101(100) ack 1 "<34>1 2024-03-01T22:14:15Z app su - ID47 - 'su root' failed"...
0.231100 target > lb1    .  1:1(0) ack 101
1.731080 lb     > target P. 91:191(100) ack 1 "<34>1 2024-03-01T22:14:17Z app su - ID47 - 'su root' failed"...
1.731100 target > lb     .  1:1(0) ack 191
5.034280 target > lb     F. 1:1(0) ack 191
5.034300 target > lb1    F. 1:1(0) ack 101
5.054680 lb     > target F. 191:191(0) ack 2
5.054700 target > lb     .  2:2(0) ack 192
5.054800 lb1    > target F. 101:101(0) ack 2
5.054820 target > lb1    .  2:2(0) ack 102
`,
		"closed-with-request-outstanding-tls12-resumed-snaplen": `
# Headers only: a TLS 1.2 session is resumed on a connection that is opened ahead of need and never used. What
# the load balancer sends last is the end of the handshake, 51 octets, and has no answer. Another connection
# shows that the target answers.
-- capture --
snaplen 66
-- hosts --
lb     10.0.0.2:41000 isn 885211976 ts 880011
lb1    10.0.0.2:41001 isn 2312812361 ts 9920113
target 10.0.1.9:8443  isn 3412115714 ts 2952137
-- packets --
0.010000 lb1    > target S  0:0(0) mss 1460 wscale 7 sackOK
0.010040 target > lb1    S. 0:0(0) ack 1 mss 1460 wscale 7 sackOK
0.030080 lb1    > target .  1:1(0) ack 1
0.031080 lb1    > target P. 1:401(400) ack 1 "\x16\x03\x01\x01\x8b\x01\x00\x01"...
0.032080 target > lb1    P. 1:138(137) ack 401 "\x16\x03\x03\x00Q\x02\x00\x00"...
0.052110 lb1    > target P. 401:452(51) ack 138 "\x14\x03\x03\x00\x01\x01\x16\x03"...
0.052210 lb1    > target P. 452:652(200) ack 138 "\x17\x03\x03\x00\xc3\x00\x00\x00"...
0.060000 target > lb1    P. 138:638(500) ack 652 "\x17\x03\x03\x01\xef\x00\x00\x00"...
0.080100 lb1    > target .  652:652(0) ack 638
1.010000 lb     > target S  0:0(0) mss 1460 wscale 7 sackOK
1.010040 target > lb     S. 0:0(0) ack 1 mss 1460 wscale 7 sackOK
1.030080 lb     > target .  1:1(0) ack 1
1.031080 lb     > target P. 1:401(400) ack 1 "\x16\x03\x01\x01\x8b\x01\x00\x01"...
1.032080 target > lb     P. 1:138(137) ack 401 "\x16\x03\x03\x00Q\x02\x00\x00"...
1.052110 lb     > target P. 401:452(51) ack 138 "\x14\x03\x03\x00\x01\x01\x16\x03"...
1.052130 target > lb     .  138:138(0) ack 452
6.053000 target > lb     F. 138:138(0) ack 452
6.073000 lb     > target F. 452:452(0) ack 139
6.073020 target > lb     .  139:139(0) ack 453
`,
		"lb-closed-with-request-outstanding-one-way-snaplen": `
# Headers only, of a protocol in which only the client ever speaks (syslog over TCP, statsd): the client closes
# two seconds behind its last message. It waited for no answer, and that cannot be told.
-- capture --
snaplen 66
-- hosts --
lb     10.0.0.2:41000 isn 885211976 ts 880011
target 10.0.1.9:601   isn 3412115714 ts 2952137
-- packets --
0.010000 lb     > target S  0:0(0) mss 1460 wscale 7 sackOK
0.010040 target > lb     S. 0:0(0) ack 1 mss 1460 wscale 7 sackOK
0.030080 lb     > target .  1:1(0) ack 1
0.031080 lb     > target P. 1:91(90) ack 1 "<34>1 2024-03-01T22:14:15Z app su - ID47 - 'su root' failed"...
0.031100 target > lb     .  1:1(0) ack 91
1.331080 lb     > target P. 91:191(100) ack 1 "<34>1 2024-03-01T22:14:16Z app su - ID47 - 'su root' failed"...
1.331100 target > lb     .  1:1(0) ack 191
2.031080 lb     > target F. 191:191(0) ack 1
2.031120 target > lb     F. 1:1(0) ack 192
2.051160 lb     > target .  192:192(0) ack 2
`,
	} {
		s, err := pcaps.Parse(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		r := run(s)
		if len(r.Findings) == 0 {
			t.Errorf("%s: nothing found", name)
		}
		for _, f := range r.Findings {
			if f.Lost || f.Severity != detect.Warning || f.Confidence != detect.Suspected {
				t.Errorf("%s: %s %s %s, lost %v: %s", name, f.Rule.ID, f.Severity, f.Confidence, f.Lost, f.Grounds)
			}
		}
	}
}

// Requests whose length is by chance that of what ends a handshake are no handshakes where others were as long, or
// the connection has been there for long: what a target that is killed took away is lost.
func TestHeadersOnlyAlike(t *testing.T) {
	const script = `
# Headers only: requests of 75 octets, one soon behind the answer to the other, and a kill.
-- capture --
snaplen 66
-- hosts --
lb     10.0.0.2:41000 isn 885211976 ts 880011
target 10.0.1.9:8080  isn 3412115714 ts 2952137
-- packets --
0.010000 lb     > target S  0:0(0) mss 1460 wscale 7 sackOK
0.010040 target > lb     S. 0:0(0) ack 1 mss 1460 wscale 7 sackOK
0.030080 lb     > target .  1:1(0) ack 1
0.031080 lb     > target P. 1:76(75) ack 1 "GET /r/1 HTTP/1.1\r\n"...
0.035000 target > lb     P. 1:138(137) ack 76 "HTTP/1.1 200 OK\r\n"...
0.056000 lb     > target P. 76:151(75) ack 138 "GET /r/2 HTTP/1.1\r\n"...
0.056040 target > lb     .  138:138(0) ack 151
0.481000 target > lb     F. 138:138(0) ack 151
0.501200 lb     > target F. 151:151(0) ack 139
0.501240 target > lb     .  139:139(0) ack 152
`
	other := strings.NewReplacer("1:76(75)", "1:86(85)", "ack 76", "ack 86", "76:151(75)", "86:161(75)", "ack 151", "ack 161", "151:151", "161:161", "ack 152", "ack 162")
	late := strings.NewReplacer("0.031080", "1.031080", "0.035", "1.035", "0.056", "1.056", "0.481", "1.481", "0.501", "1.501")
	for name, c := range map[string]struct {
		script string
		lost   bool
	}{"alike": {script, true}, "unlike": {other.Replace(script), false}, "late": {late.Replace(other.Replace(script)), true}} {
		s, err := pcaps.Parse(name, []byte(c.script))
		if err != nil {
			t.Fatal(err)
		}
		if fs := run(s).Findings; len(fs) != 1 || fs[0].Lost != c.lost {
			t.Errorf("%s: %d findings", name, len(fs))
		}
	}
}
