package software

import (
	"encoding/binary"
	"testing"
)

// sent are the settings that programs send first, as number and value in turn.
type sent struct {
	by   string
	all  []uint32
	want string
}

func (s *sent) payload() (p []byte) {
	for i := 0; i+1 < len(s.all); i += 2 {
		p = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(p, uint16(s.all[i])), s.all[i+1])
	}
	return p
}

// clients' were taken from what the programs send to a target, but for those with a setting of their own.
var clients = []sent{
	{"HAProxy 2.6", []uint32{2, 0, 8, 1, 3, 100}, "HAProxy"},
	{"HAProxy with other windows and buffers", []uint32{2, 0, 8, 1, 1, 8192, 4, 131072, 3, 100, 5, 32768}, "HAProxy"},
	{"HAProxy without WebSocket", []uint32{2, 0, 3, 100}, ""},
	{"nginx 1.22, grpc_pass", []uint32{1, 0, 2, 0, 4, 2147483647}, "nginx"},
	{"Go 1.26", []uint32{2, 0, 4, 4194304, 5, 16384, 6, 10485760}, ""},
	{"Caddy 2.6", []uint32{2, 0, 4, 4194304, 6, 10485760}, ""},
	{"Apache 2.4.71, mod_proxy_http2", []uint32{2, 0, 4, 32767}, ""},
	{"curl 7.88", []uint32{3, 100, 4, 33554432, 2, 0}, ""},
	{"Node.js 20", nil, ""},
	{"a table of nginx's without its window", []uint32{1, 0, 2, 0, 4, 65535}, ""},
	{"HAProxy and more", []uint32{2, 0, 8, 1, 3, 100, 6, 65536}, ""},
	{"a client that pushes", []uint32{2, 1, 8, 1}, ""},
}

var servers = []sent{
	{"Go 1.26", []uint32{5, 1048576, 3, 250, 6, 1048896, 1, 4096, 4, 1048576}, "Go"},
	{"Go with GODEBUG=http2xconnect=1", []uint32{5, 1048576, 3, 250, 6, 1048896, 1, 4096, 4, 1048576, 8, 1}, "Go"},
	{"Go 1.19", []uint32{5, 1048576, 3, 250, 6, 1048896, 4, 1048576}, "Go"},
	{"grpc-go", []uint32{5, 16384}, "grpc-go"},
	{"grpc-go with limits", []uint32{5, 16384, 3, 100, 4, 1048576, 6, 8192}, "grpc-go"},
	{"Node.js 20", nil, ""},
	{"HAProxy 2.6", []uint32{8, 1, 3, 100}, ""},
	{"nginx 1.22", []uint32{3, 128, 4, 65536, 5, 16777215}, ""},
	{"Apache 2.4.71, Varnish 7.1", []uint32{3, 100}, ""},
	{"lighttpd 1.4.69", []uint32{3, 8, 4, 65536, 6, 65535, 8, 1, 9, 1}, ""},
	{"Hypercorn 0.13, h2", []uint32{1, 4096, 2, 0, 4, 65535, 5, 16384, 8, 1, 3, 100, 6, 65536}, ""},
	{"the order of Go with what it does not send", []uint32{5, 1048576, 3, 250, 6, 1048896, 9, 1}, ""},
	{"three of Go's", []uint32{5, 1048576, 3, 250, 6, 1048896}, ""},
	{"a larger frame first", []uint32{5, 32768}, ""},
}

func TestSettings(t *testing.T) {
	for _, s := range clients {
		if got := OfClientSettings(s.payload()); got.Name != s.want || got.Likely != (s.want != "") {
			t.Errorf("client %s: %+v, want %q", s.by, got, s.want)
		}
	}
	for _, s := range servers {
		if got := OfServerSettings(s.payload(), true); got.Name != s.want || got.Likely != (s.want != "") {
			t.Errorf("server %s: %+v, want %q", s.by, got, s.want)
		}
	}
	if got := OfServerSettings((&sent{all: []uint32{5, 16384}}).payload(), false); got.Name != "" {
		t.Errorf("%+v answers no gRPC", got)
	}
	for _, p := range [][]byte{{0, 5, 0, 0, 64}, make([]byte, 9*6)} {
		if got := OfServerSettings(p, true); got.Name != "" {
			t.Errorf("%x: %+v", p, got)
		}
	}
}

// Settings are of the hop, the field may have been passed on.
func TestOfHTTP2(t *testing.T) {
	of := func(name string) Software { return Software{Name: name} }
	for _, tt := range []struct{ field, settings, want string }{
		{"", "", ""},
		{"nginx", "", "nginx"},
		{"other", "", "other"},
		{"", "Go", "Go"},
		{"Caddy", "Go", "Caddy"},
		{"Caddy", "grpc-go", "other"},
		{"nginx", "Go", "other"}, // through a proxy that is written in Go
		{"other", "Go", "other"},
	} {
		if got := OfHTTP2(of(tt.field), of(tt.settings)).Name; got != tt.want {
			t.Errorf("%q and %q: %q, want %q", tt.field, tt.settings, got, tt.want)
		}
	}
}
