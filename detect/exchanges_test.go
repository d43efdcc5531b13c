package detect_test

import (
	"testing"

	"connrace/detect"
	"connrace/pcaps"
)

func TestExchanges(t *testing.T) {
	s, err := pcaps.Parse("exchanges", []byte(`# One answer good, one a 503, then a pause.
-- hosts --
lb     10.0.0.2:41000 isn 1000
target 10.0.1.9:8080  isn 2000
-- packets --
0.000000 lb     > target S  0:0(0)
0.000100 target > lb     S. 0:0(0) ack 1
0.000200 lb     > target .  1:1(0) ack 1
0.001000 lb     > target P. 1:33(32) ack 1 "GET /r/1 HTTP/1.1\r\nHost: app\r\n\r\n"
0.002000 target > lb     P. 1:41(40) ack 33 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
5.001000 lb     > target P. 33:65(32) ack 41 "GET /r/2 HTTP/1.1\r\nHost: app\r\n\r\n"
5.002000 target > lb     P. 41:85(44) ack 65 "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
`))
	if err != nil {
		t.Fatal(err)
	}
	if r := analyse(s.Segments(), detect.Options{}); r.Exchanges != nil {
		t.Error("exchanges without having asked for them")
	}
	x := analyse(s.Segments(), detect.Options{Exchanges: true}).Exchanges
	if len(x.Errors) != 1 || x.Incomplete {
		t.Fatalf("%+v", x)
	}
	e := x.Errors[0]
	if e.Status != 503 || e.Frame != 7 || e.Stream != 0 || e.Target.String() != "10.0.1.9:8080" ||
		e.Request.Path != "/r/2" || e.Request.Frame != 6 {
		t.Errorf("%+v", e)
	}
	if s := x.Seconds[e.Target]; len(s) != 2 || s[1]-s[0] != 5 {
		t.Errorf("seconds %v", s)
	}
}
