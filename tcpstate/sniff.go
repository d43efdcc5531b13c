package tcpstate

// beginsRequest reports whether a payload looks like the start of an HTTP/1 request line.
func beginsRequest(p []byte) bool {
	for i, c := range p {
		switch {
		case c >= 'A' && c <= 'Z' || c == '-':
			if i > 20 {
				return false
			}
		case c == ' ':
			return i >= 3 && (len(p) == i+1 || p[i+1] == '/' || p[i+1] == '*' || p[i+1] == 'h')
		default:
			return false
		}
	}
	return false
}

// beginsResponse reports whether a payload looks like the start of an HTTP/1 status line.
func beginsResponse(p []byte) bool { return len(p) >= 7 && string(p[:7]) == "HTTP/1." }
