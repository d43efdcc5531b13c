package pipeline

import (
	"time"

	"connrace/capture"
	"connrace/tcpstate"
)

// decoded is what a stretch of frames was decoded to.
type decoded struct {
	segs []tcpstate.Segment
	gaps []gap // the first is the place before all of them
	took time.Duration
	last uint64 // the number of the last frame
}

// gap is a place in front of a frame where others are, or may be, missing.
type gap struct {
	within bool // the capture says so; else it may be one between two files
	segs   int  // that lie before it
	frame  uint64
	time   int64
}

func (x *decoded) reset() { x.segs, x.gaps = x.segs[:0], x.gaps[:0] }

// decode adds the segments of frames.
func (x *decoded) decode(d *capture.Decoder, frames []capture.Frame) {
	from := 0
	if len(x.gaps) == 0 && len(frames) > 0 && !frames[0].AfterGap {
		x.gaps = append(x.gaps, gap{false, len(x.segs), frames[0].Number, frames[0].Time})
	}
	for i := range frames {
		if f := &frames[i]; f.AfterGap {
			x.segs = d.DecodeAll(frames[from:i], x.segs)
			x.gaps = append(x.gaps, gap{true, len(x.segs), f.Number, f.Time})
			from = i
		}
	}
	x.segs = d.DecodeAll(frames[from:], x.segs)
	if n := len(frames); n > 0 {
		x.last = frames[n-1].Number
	}
}

// Frames may be read and decoded in a goroutine of its own, while the detector works on those
// before. What it is ahead by stays within the processor's cache.
const (
	aheadReads   = 4 // are handed over together
	aheadBatches = 3 // exist: one is filled, one waits, one is worked on
	aheadKeep    = aheadReads * aheadBatches
)

// Where records have fewer bytes in the file on average, reading is so small a part of the
// work that handing frames from one processor to the other costs more than it saves.
const (
	aheadOctets = 400
	aheadAfter  = 4 * batchSize // frames that the average is of at least
)

// trial is what reading ahead takes: how long frames are read and decoded, how long others
// are analysed meanwhile, and how long that waits for frames.
type trial struct{ reading, working, waiting time.Duration }

// aheadTrial is how many times frames are handed over until it shows whether that pays.
const aheadTrial = 32

// worthwhile reports whether it takes a fifth less time than one thing after the other would.
// It does not where there is little to analyse: both processors then wait for each other.
func (t trial) worthwhile() bool { return t.working+t.waiting < (t.working+t.reading)*4/5 }

// ReadLoop reads the rest of a capture, of which the first n frames have been read. It
// returns the error that ended it.
func (s *Session) ReadLoop(src *capture.File, in *Input, n int) (err error) {
	_, size := src.Progress()
	slow := size < 0 || src.Info().Compression != "" // waiting for a pipe, inflating
	ahead, tried := slow, s.Workers < 2
	read, begun := 0, s.Batch[0].Offset
	for n > 0 {
		if ahead && !tried {
			tried, in.Ahead = true, true
			if err = s.ahead(src, in, n, slow); err != nil || s.Stopped() {
				break
			}
			n, err = src.Read(s.Batch)
			continue
		}
		read += n
		ahead = ahead || read >= aheadAfter && s.Batch[n-1].Offset-begun >= int64(read)*aheadOctets
		s.Feed(in, s.Batch[:n]) // what has been read is analysed, as it is counted
		if s.Stopped() {
			break
		}
		n, err = src.Read(s.Batch)
	}
	return err
}

// ahead is ReadLoop with a goroutine that reads ahead. It ends without an error where that does
// not pay, unless it must.
func (s *Session) ahead(src *capture.File, in *Input, n int, must bool) error {
	reads := aheadReads
	if _, size := src.Progress(); size < 0 {
		reads = 1 // more may not come for long
	}
	src.Keep(aheadKeep)
	defer src.Keep(0)
	full, free := make(chan *decoded, aheadBatches), make(chan *decoded, aheadBatches)
	for range aheadBatches {
		free <- new(decoded)
	}
	var err error
	go func() {
		defer close(full)
		for x := range free {
			begun := time.Now()
			x.reset()
			x.decode(in.Decoder, s.Batch[:n])
			for i := 1; i < reads; i++ {
				if n, err = src.Read(s.Batch); n == 0 {
					break
				}
				x.decode(in.Decoder, s.Batch[:n])
			}
			x.took = time.Since(begun)
			full <- x // before more is waited for
			if n > 0 {
				n, err = src.Read(s.Batch)
			}
			if n == 0 {
				return
			}
		}
		x := new(decoded) // the end was asked for: these have been counted as read
		x.decode(in.Decoder, s.Batch[:n])
		full <- x
	}()
	var t trial
	taken, over := 0, false
	for begun := time.Now(); ; taken++ {
		x, more := <-full
		if !more {
			return err
		}
		got := time.Now()
		s.analyse(in, x)
		done := time.Now()
		t.reading += x.took
		t.waiting += got.Sub(begun)
		t.working += done.Sub(got)
		begun = done
		switch {
		case over:
		case s.Stopped(), taken == aheadTrial && !must && !t.worthwhile():
			over, in.Ahead = true, false
			close(free)
		default:
			free <- x
		}
	}
}
