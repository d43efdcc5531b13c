package live

import (
	"sync/atomic"
	"time"

	"connrace/capture"
	"connrace/detect"
	"connrace/tcpstate"
)

// sampler asks the kernel about listeners again and again, beside the capture.
type sampler struct {
	witness *capture.Witness
	options capture.WitnessOptions
	samples chan *detect.KernelSample
	errs    chan error
	kick    chan struct{} // to be quick about the next one
	quit    chan struct{}
	gone    chan struct{}
	urgent  atomic.Bool
	local   atomic.Pointer[map[tcpstate.Addr]bool]
}

const (
	sampleEvery  = 200 * time.Millisecond
	sampleUrgent = 20 * time.Millisecond
	sampleFailed = 5 * time.Second
	localEvery   = 10 * time.Second
)

// newSampler begins to ask. first is the first answer.
func newSampler(o capture.WitnessOptions) (s *sampler, first *detect.KernelSample, err error) {
	w, err := capture.OpenWitness(o)
	if err != nil {
		return nil, nil, err
	}
	s = &sampler{
		witness: w, options: o, samples: make(chan *detect.KernelSample, 64), errs: make(chan error, 1),
		kick: make(chan struct{}, 1), quit: make(chan struct{}), gone: make(chan struct{}),
	}
	s.findLocal()
	answer, err := w.Sample()
	if err != nil {
		w.Close()
		return nil, nil, err
	}
	first = s.sample(&answer) // which the next one overwrites
	go s.run()
	return s, first, nil
}

func (s *sampler) run() {
	defer close(s.gone)
	defer s.witness.Close()
	located := time.Now()
	wait := sampleEvery
	for {
		timer := time.NewTimer(wait)
		select {
		case <-s.quit:
			timer.Stop()
			return
		case <-s.kick:
			timer.Stop()
		case <-timer.C:
		}
		if time.Since(located) >= localEvery {
			s.findLocal()
			located = time.Now()
		}
		wait = sampleEvery
		if s.urgent.Load() {
			wait = sampleUrgent
		}
		answer, err := s.witness.Sample()
		if err != nil {
			wait = sampleFailed
			select {
			case s.errs <- err:
			default:
			}
			continue
		}
		select {
		case s.samples <- s.sample(&answer):
		default: // nobody takes them: the newest matter least then
		}
	}
}

// hurry says whether answers are wanted more often.
func (s *sampler) hurry(urgent bool) {
	if s.urgent.Swap(urgent) != urgent && urgent {
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
}

func (s *sampler) close() {
	close(s.quit)
	<-s.gone
}

// sample is an answer as the detector takes it.
func (s *sampler) sample(a *capture.Sample) *detect.KernelSample {
	k := &detect.KernelSample{
		Time: a.Time, SOMaxConn: a.SomaxConn, Counters: detect.KernelCounters(a.Counters),
		Listeners: make([]detect.KernelListener, len(a.Listeners)),
	}
	for i, l := range a.Listeners {
		k.Listeners[i] = detect.KernelListener(l)
	}
	for _, path := range s.options.Unix {
		x := detect.KernelSocket{Path: path, Missing: true}
		for i := range a.Unix {
			if u := &a.Unix[i]; u.Path == path && (x.Missing || u.Queue > x.Queue) {
				x = detect.KernelSocket{Path: path, Queue: u.Queue, Limit: u.Limit}
			}
		}
		k.Sockets = append(k.Sockets, x)
	}
	return k
}

// findLocal learns which addresses are the host's.
func (s *sampler) findLocal() {
	if local, err := s.witness.LocalAddrs(); err == nil {
		s.local.Store(&local)
	}
}

// isLocal reports whether an address is the host's.
func (s *sampler) isLocal(a tcpstate.Addr) bool {
	local := s.local.Load()
	return local == nil || (*local)[a] || a.Netip().IsLoopback()
}

// serves reports whether connections to one of the host's endpoints that pass match are
// the listener's.
func (s *sampler) serves(l *detect.KernelListener, match func(tcpstate.Endpoint) bool) bool {
	a := l.End.Addr
	if !a.Netip().IsUnspecified() {
		return match(l.End)
	}
	if local := s.local.Load(); local != nil {
		for addr := range *local {
			if (addr.Is4() == a.Is4() || !a.Is4() && !l.V6Only) && match(tcpstate.Endpoint{Addr: addr, Port: l.End.Port}) {
				return true
			}
		}
	}
	return false
}
