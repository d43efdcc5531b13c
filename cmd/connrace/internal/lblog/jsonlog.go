package lblog

import (
	"strconv"
	"strings"
	"time"
)

// field is what a value of a JSON line is.
type field uint8

const (
	ignored field = iota
	fStatus
	fDownstreamStatus
	fMethod
	fPath
	fOriginalPath // as the client sent it, where fPath may be another
	fRequest      // "METHOD PATH PROTOCOL"
	fStart        // when the request came
	fTime
	fPreciseTime // the same, finer
	fDuration    // in the unit of the product
	fSeconds     // the same in seconds
	fLatency     // ... as 0.5s
	fClient
	fTarget
	fTargetStatus
	fHeaderTime // how long the target took for the header of its answer
	fServiceTime
	fRetries
	fAttempts // retries and the first try
	fFlags
	fDetails
	fReason
	fStatusDetails
	fTermination
	fTimers
	fLogger
	fMessage
	fTraceID
	nFields
)

// keys say what is found under which key, whatever its case and punctuation: "response_code", "ResponseCode". Where two
// of a line are the same field, the first counts.
var keys = map[string]field{
	"status": fStatus, "statuscode": fStatus, "httpstatus": fStatus, "responsecode": fStatus, "downstreamstatus": fDownstreamStatus,
	"method": fMethod, "requestmethod": fMethod, "httpmethod": fMethod,
	"path": fPath, "uri": fPath, "url": fPath, "requestpath": fPath,
	"requesturi": fOriginalPath, "requesturl": fOriginalPath, "xenvoyoriginalpath": fOriginalPath, "xenvoyoriginpath": fOriginalPath,
	"request": fRequest, "requestline": fRequest,
	"starttime": fStart, "startutc": fStart, "startlocal": fStart,
	"time": fTime, "timestamp": fTime, "timeiso8601": fTime, "timelocal": fTime, "date": fTime,
	"msec": fPreciseTime, "ts": fPreciseTime,
	"duration": fDuration, "requesttime": fSeconds, "latency": fLatency,
	"client": fClient, "clientip": fClient, "clientaddr": fClient, "remoteaddr": fClient, "remoteip": fClient, "downstreamremoteaddress": fClient,
	"upstreamhost": fTarget, "upstreamaddr": fTarget, "upstreamaddress": fTarget, "serviceaddr": fTarget,
	"upstreamstatus": fTargetStatus, "originstatus": fTargetStatus,
	"upstreamheadertime": fHeaderTime, "upstreamservicetime": fServiceTime, "xenvoyupstreamservicetime": fServiceTime,
	"retries": fRetries, "retryattempts": fRetries, "upstreamrequestattemptcount": fAttempts,
	"responseflags": fFlags, "responsecodedetails": fDetails, "upstreamtransportfailurereason": fReason,
	"statusdetails": fStatusDetails, "terminationstate": fTermination, "timers": fTimers,
	"logger": fLogger, "msg": fMessage, "xamzntraceid": fTraceID,
}

// fieldOf finds a key in keys.
func fieldOf(key string) field {
	var b [32]byte
	n := 0
	for i := range len(key) {
		c := key[i] | 0x20
		switch {
		case key[i] < '0', key[i] == ':', key[i] == '_', key[i] == '@':
			continue
		case n == len(b):
			return ignored
		}
		b[n] = c
		n++
	}
	return keys[string(b[:n])]
}

// record is a line of JSON.
type record struct {
	v     [nFields]string
	ends  [maxEnds]string // other values that may be ends of connections
	nEnds int
	ids   [maxWords]string
	nIDs  int
}

func (r *record) visit(key, value string, quoted bool) {
	if !quoted && value == "null" || value == "" {
		return
	}
	if f := fieldOf(key); f != ignored {
		if r.v[f] == "" {
			r.v[f] = value
		}
		return
	}
	if !quoted {
		return
	}
	if last := value[len(value)-1]; last >= '0' && last <= '9' && strings.IndexByte(value, ':') > 0 && len(value) < 56 && r.nEnds < len(r.ends) {
		r.ends[r.nEnds] = value
		r.nEnds++
	} else if len(value) >= minID && len(value) < 256 && r.nIDs < len(r.ids) && (strings.Contains(key, "id") || strings.Contains(key, "ID") ||
		strings.Contains(key, "Id") || strings.Contains(key, "race")) {
		r.ids[r.nIDs] = value
		r.nIDs++
	}
}

// product tells by what a line has of which kind it is; JSON: of any other.
func (r *record) product() Kind {
	switch {
	case r.v[fFlags] != "":
		return EnvoyJSON
	case strings.HasPrefix(r.v[fLogger], "http.log."):
		return Caddy
	case r.v[fStatusDetails] != "":
		return GCP
	case r.v[fDownstreamStatus] != "":
		return TraefikJSON
	case r.v[fTermination] != "":
		return HAProxyJSON
	case r.v[fSeconds] != "" || r.v[fTargetStatus] != "":
		return NginxJSON
	}
	return JSON
}

// jsonLine makes the parser of a kind of log that has a JSON object in each line, behind what a container's runtime may have
// put before it.
func jsonLine(kind Kind) func(string, *time.Location) (*Entry, bool) {
	return func(line string, zone *time.Location) (*Entry, bool) {
		open := strings.IndexByte(line, '{')
		if open < 0 || open > 160 {
			return nil, false
		}
		var r record
		p := scanner{s: line[open:], visit: r.visit}
		if !p.object() || r.product() != kind {
			return nil, false
		}
		return r.entry(kind, zone)
	}
}

// entry makes an entry of a line of a kind.
func (r *record) entry(kind Kind, zone *time.Location) (*Entry, bool) {
	e := &Entry{Kind: kind, Status: status(r.v[fStatus] + r.v[fDownstreamStatus]), Retries: -1}
	if said := r.v[fFlags] + r.v[fStatusDetails] + r.v[fTermination]; e.Status == 0 && said == "" {
		return nil, false
	}
	if kind == JSON && (r.v[fTime]+r.v[fPreciseTime]+r.v[fStart] == "" || r.v[fMethod]+r.v[fPath]+r.v[fOriginalPath]+r.v[fRequest] == "") {
		return nil, false // a status of something else
	}
	r.failure(e)
	if e.Failure == NotFailed {
		return nil, true
	}
	if !r.times(e, zone) {
		return nil, false
	}
	e.Client = clientOf(r.v[fClient])
	e.Method, e.Path = r.v[fMethod], path(r.v[fPath])
	if strings.ContainsAny(e.Method, "/?") {
		e.Method = ""
	}
	if original := path(r.v[fOriginalPath]); original != "" && original != e.Path {
		e.Path, e.Alias = original, e.Path
	}
	if e.Path == "" {
		e.request(r.v[fRequest])
	}
	if e.upstream(r.v[fTarget]); kind != NginxJSON { // whose list has an address for each try
		e.Retries = -1
	}
	for _, s := range r.ends[:r.nEnds] {
		e.end(s)
	}
	e.TraceID, e.Words = r.v[fTraceID], r.ids[:r.nIDs:r.nIDs]
	if n, err := strconv.Atoi(r.v[fRetries]); err == nil && n >= 0 {
		e.Retries = n
	} else if n, err := strconv.Atoi(r.v[fAttempts]); err == nil && n > 0 {
		e.Retries = n - 1
	}
	return e, true
}

// failure finds out what a line says of a failure, in whosever words.
func (r *record) failure(e *Entry) {
	v := &r.v
	e.Says = "status " + v[fStatus] + v[fDownstreamStatus]
	switch _, answered := parseSeconds(v[fServiceTime]); {
	case v[fFlags] != "":
		e.envoyFailure(envoyWords{v[fFlags], v[fDetails], v[fReason], answered})
	case v[fStatusDetails] != "":
		e.gcpFailure(v[fStatusDetails])
	case len(v[fTermination]) >= 2:
		e.haproxyFailure(v[fTermination], v[fTimers], "")
	case e.Status == 499 || e.Status == 460:
		e.Failure = ClientGone
	case e.Status < 500:
	case e.Kind == Caddy && v[fLogger] == "http.log.error":
		e.Failure, e.ErrorLog = Unsaid, true
		e.goSays(v[fMessage])
	default:
		e.Failure = Unsaid
		e.upstreamStatus(lastOf(v[fTargetStatus]))
		e.headerTime(lastOf(v[fHeaderTime]))
	}
}

// times reads when a request came and when it was over.
func (r *record) times(e *Entry, zone *time.Location) (ok bool) {
	v := &r.v
	at := v[fTime]
	if v[fPreciseTime] != "" {
		at = v[fPreciseTime]
	}
	if v[fTimers] != "" {
		if e.Start, e.Resolution, ok = parseTime(at, zone); ok {
			e.haproxyTimers(v[fTimers])
		}
		return ok
	}
	took, timed := r.took(e.Kind)
	if start := v[fStart]; start != "" || e.Kind == GCP {
		if start == "" {
			start = at // "the time when the first layer GFE receives the request"
		}
		if e.Start, e.Resolution, ok = parseTime(start, zone); !ok {
			return false
		}
		if e.End = e.Start + took; !timed {
			e.Wait = maxWait
		}
		return true
	}
	if e.End, e.Resolution, ok = parseTime(at, zone); ok && timed {
		e.Start = e.End - took
	}
	return ok
}

// took is how long a request took.
func (r *record) took(kind Kind) (ns int64, ok bool) {
	s, unit := r.v[fSeconds], time.Second
	if s == "" {
		s = r.v[fDuration]
		switch kind {
		case EnvoyJSON:
			unit = time.Millisecond
		case TraefikJSON:
			unit = time.Nanosecond
		case JSON:
			unit = 0 // whatever that may be
		}
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 && n*float64(unit) < 1e18 && unit != 0 {
		return int64(n * float64(unit)), true
	}
	if s == "" {
		s = r.v[fLatency]
	}
	d, err := time.ParseDuration(s)
	return int64(d), err == nil && d >= 0
}

// parseTime reads a time as logs write it: RFC 3339, like CLF, or as a number since the Unix epoch.
func parseTime(s string, zone *time.Location) (ns, resolution int64, ok bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if n, err := strconv.ParseInt(whole, 10, 64); err == nil && len(fraction) <= 9 && n > 0 {
		digits := len(fraction)
		for ; n > 1e11; digits += 3 { // ms, µs or ns
			fraction = whole[len(whole)-3:] + fraction
			n, whole = n/1000, whole[:len(whole)-3]
		}
		f, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
		return n*1e9 + f, resolutionOf(digits), err == nil && n < 9e9
	}
	for _, layout := range []string{time.RFC3339Nano, clfTime, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} {
		if ns, ok = stamp(layout, s, zone); ok {
			return ns, resolutionOf(len(fraction) - len(strings.TrimLeft(fraction, "0123456789"))), true
		}
	}
	return 0, 0, false
}

// resolutionOf is what a time with so many digits behind the second leaves open.
func resolutionOf(digits int) int64 {
	switch {
	case digits == 0:
		return 1e9
	case digits <= 3:
		return 1e6
	}
	return 1e3
}

// clientOf is a client's address without its port.
func clientOf(s string) string {
	if ep, ok := parseEndpoint(s); ok {
		return ep.Addr.String()
	}
	return s
}
