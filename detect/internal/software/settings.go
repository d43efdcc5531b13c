package software

import "encoding/binary"

// Settings of HTTP/2 (RFC 9113 §6.5.2, RFC 8441 §3) belong to one hop, and which of them a program sends first, in
// which order, is written in the source of its library. Most send few, or in the order of their numbers, as others
// do: those are not told apart. docs/rules.md has them.
const (
	tableSize  = 1
	enablePush = 2
	maxStreams = 3
	windowSize = 4
	frameSize  = 5
	listSize   = 6
	connect    = 8
)

// setting is one of them.
type setting struct {
	id    uint16
	value uint32
}

// settings are those in the payload of a frame; nil: there is none, or more than programs send.
func settings(p []byte) (all []setting) {
	if len(p)%6 != 0 || len(p) > 8*6 {
		return nil
	}
	for ; len(p) > 0; p = p[6:] {
		all = append(all, setting{binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])})
	}
	return all
}

// begin reports whether the settings begin with these, by number.
func begin(all []setting, ids ...uint16) bool {
	if len(all) < len(ids) {
		return false
	}
	for i, id := range ids {
		if all[i].id != id {
			return false
		}
	}
	return true
}

// inOrder reports whether all are some of these, in their order.
func inOrder(all []setting, ids ...uint16) bool {
	for _, id := range ids {
		if len(all) > 0 && all[0].id == id {
			all = all[1:]
		}
	}
	return len(all) == 0
}

// OfClientSettings tells the load balancer by the payload of the first SETTINGS frame that it sends to a target.
// Libraries that other clients use, too, name none.
func OfClientSettings(p []byte) Software {
	switch all := settings(p); {
	case begin(all, enablePush, connect) && all[0].value == 0 && all[1].value == 1 && inOrder(all[2:], tableSize, windowSize, maxStreams, frameSize):
		// h2c_send_settings: ENABLE_CONNECT_PROTOCOL is for servers to send
		return Software{Name: "HAProxy", Basis: "its HTTP/2 settings, ENABLE_CONNECT_PROTOCOL of a client", Likely: true}
	case len(all) == 3 && all[0] == setting{tableSize, 0} && all[1] == setting{enablePush, 0} && all[2] == setting{windowSize, 1<<31 - 1}:
		// ngx_http_grpc_create_request; what is made of nginx sends the same
		return Software{Name: "nginx", Basis: "its HTTP/2 settings, no table and the largest window", Likely: true}
	}
	return Software{}
}

// OfServerSettings tells the server by the payload of the first SETTINGS frame that it sends, and by whether it answers gRPC.
func OfServerSettings(p []byte, grpc bool) Software {
	switch all := settings(p); {
	case begin(all, frameSize, maxStreams, listSize) && inOrder(all[3:], tableSize, windowSize, connect) && len(all) > 3:
		// serverConn.serve
		return Software{Name: "Go", Basis: "its HTTP/2 settings, in the order of net/http", Likely: true}
	case grpc && begin(all, frameSize) && all[0].value == 1<<14 && inOrder(all[1:], maxStreams, windowSize, listSize, tableSize):
		// NewServerTransport: MAX_FRAME_SIZE first, though it is what counts without it
		return Software{Name: "grpc-go", Basis: "its HTTP/2 settings, MAX_FRAME_SIZE of 16384 first", Likely: true}
	}
	return Software{}
}

// madeWithGo are programs that answer with net/http, and name themselves.
const madeWithGo = "Caddy"

// OfHTTP2 tells the server by what it says of itself (OfField) and by its settings, which no proxy passes on.
// Where they are of two programs, the one passed on what the other wrote.
func OfHTTP2(field, settings Software) Software {
	switch {
	case settings.Name == "" || field.Name == settings.Name || settings.Name == "Go" && field.Name == madeWithGo:
		return field
	case field.Name == "":
		return settings
	}
	return Other
}
