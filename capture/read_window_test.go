package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// TestWindow reads files much larger than the window, from readers of all habits.
func TestWindow(t *testing.T) {
	big := pcapWriter{}
	big.header()
	ng := (&ngWriter{big: true}).section().iface(1, 0)
	var want []brief
	for i := range 400 {
		data := bytes.Repeat([]byte{byte(i)}, i*i%70_000)
		big.record(t0sec, uint32(i), data)
		ng.enhanced(0, t0sec*1_000_000+uint64(i), data)
		want = append(want, brief{t0 + int64(i)*1000, uint32(len(data)), len(data), 1, false})
	}
	for name, data := range map[string][]byte{"pcap": big.b, "pcapng": ng.b} {
		for _, chunk := range []int{1 << 30, 100_000, 4096, 1001} {
			f, err := NewFile(name, &chunks{data, chunk}, ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var got []brief
			batch := make([]Frame, 64)
			for {
				n, err := f.Read(batch)
				for _, fr := range batch[:n] {
					if i := len(got); len(fr.Data) > 0 && (fr.Data[0] != byte(i) || fr.Data[len(fr.Data)-1] != byte(i)) {
						t.Fatalf("%s by %d: frame %d has the wrong data", name, chunk, i+1)
					}
					got = append(got, briefs([]Frame{fr})...)
				}
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s by %d: %d frames differ", name, chunk, len(got))
			}
		}
	}
}

// With Keep, data is the frames' own for that many Reads more, from the call before it on.
func TestKeep(t *testing.T) {
	big := pcapWriter{}
	big.header()
	ng := (&ngWriter{big: true}).section().iface(1, 0)
	const records, keep = 900, 3
	for i := range records {
		data := bytes.Repeat([]byte{byte(i)}, 1+i*i%9000)
		if i%300 == 299 {
			data = bytes.Repeat(data[:1], windowSize) // with its header more: the window grows
		}
		big.record(t0sec, uint32(i), data)
		ng.enhanced(0, t0sec*1_000_000+uint64(i), data)
		if i%100 == 50 { // taken off windows, not delivered
			for range (keep + 1) * windowSize / 5000 {
				ng.block(blockNames, make([]byte, 5000))
			}
		}
	}
	for name, data := range map[string][]byte{"pcap": big.b, "pcapng": ng.b} {
		for _, chunk := range []int{1 << 30, 100_000} {
			f, err := NewFile(name, &chunks{data, chunk}, ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var kept [][]Frame
			frames := 0
			for {
				batch := make([]Frame, 16)
				n, err := f.Read(batch)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				frames += n
				if frames < records/4 {
					continue // one buffer, many times
				}
				if kept == nil {
					f.Keep(keep)
				}
				if len(f.w.out) > keep+1 {
					t.Fatalf("%s by %d: after frame %d, %d buffers wait", name, chunk, frames, len(f.w.out))
				}
				if kept = append(kept, batch[:n]); len(kept) > keep+1 {
					kept = kept[1:]
				}
				for _, batch := range kept {
					for _, fr := range batch {
						if n := len(fr.Data); bytes.Count(fr.Data, []byte{byte(fr.Number - 1)}) != n {
							t.Fatalf("%s by %d: after frame %d, frame %d has the wrong data", name, chunk, frames, fr.Number)
						}
					}
				}
			}
			if frames != records {
				t.Errorf("%s by %d: %d frames", name, chunk, frames)
			}
		}
	}
}

// chunks returns at most n bytes at once, and io.EOF together with the last.
type chunks struct {
	b []byte
	n int
}

func (c *chunks) Read(p []byte) (int, error) {
	n := copy(p[:min(c.n, len(p))], c.b)
	c.b = c.b[n:]
	if len(c.b) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func TestReadAllocatesNothing(t *testing.T) {
	for name, data := range map[string][]byte{
		"pcap":   (&pcapWriter{}).file(100_000),
		"pcapng": (&ngWriter{}).file(100_000),
	} {
		f, err := NewFile(name, bytes.NewReader(data), ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		batch := make([]Frame, 64)
		if allocs := testing.AllocsPerRun(1000, func() {
			if _, err := f.Read(batch); err != nil {
				t.Fatal(err)
			}
		}); allocs != 0 {
			t.Errorf("%s: %v allocations per Read", name, allocs)
		}
	}
}

// TestGrowingPipe: what has come in whole is returned at once, as of `tcpdump -U -w -`.
func TestGrowingPipe(t *testing.T) {
	for name, build := range map[string]func() ([]byte, []byte){
		"pcap": func() ([]byte, []byte) {
			w := (&pcapWriter{}).header()
			n := len(w.b)
			w.record(t0sec, 1, payload)
			return w.b[:n], w.b[n:]
		},
		"pcapng": func() ([]byte, []byte) {
			w := (&ngWriter{}).section().iface(1, 0)
			n := len(w.b)
			w.enhanced(0, t0sec, payload)
			return w.b[:n], w.b[n:]
		},
	} {
		t.Run(name, func(t *testing.T) {
			header, record := build()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			r.SetReadDeadline(time.Now().Add(5 * time.Second)) // instead of hanging
			w.Write(header)
			f, err := NewFile("pipe", r, ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			batch := make([]Frame, 10)
			read := func(want int) {
				t.Helper()
				if n, err := f.Read(batch); n != want || err != nil {
					t.Fatalf("Read returned %d, %v; want %d frames", n, err, want)
				}
			}
			w.Write(record)
			read(1)
			w.Write(append(bytes.Clone(record), record...))
			read(2)
			w.Write(append(bytes.Clone(record), record[:20]...)) // one and a piece
			read(1)
			w.Write(record[20:])
			read(1)
			if got, size := f.Progress(); got != int64(len(header)+5*len(record)) || size != -1 {
				t.Errorf("progress %d of %d", got, size)
			}
			w.Close()
			if n, err := f.Read(batch); n != 0 || err != io.EOF {
				t.Errorf("at the end Read returned %d, %v", n, err)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcap")
	data := (&pcapWriter{}).file(10_000)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f, err := NewFile(path, h, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]Frame, 100)
	for range 50 {
		if _, err := f.Read(batch); err != nil {
			t.Fatal(err)
		}
	}
	if got, size := f.Progress(); got <= 0 || got > size || size != int64(len(data)) {
		t.Errorf("progress %d of %d", got, size)
	}
	f.Close()
	if n, err := f.Read(batch); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %d, %v", n, err)
	}
	if _, err := f.Read(nil); err != io.ErrShortBuffer {
		t.Errorf("empty batch: %v", err)
	}
}

// failing fails with err behind its data.
type failing struct {
	r   io.Reader
	err error
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	data := (&pcapWriter{}).file(3)
	f, err := NewFile("x", failing{bytes.NewReader(data), broken}, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]Frame, 10)
	if n, err := f.Read(batch); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	_, err = f.Read(batch)
	if want := fmt.Sprintf("x: disk on fire (frame 4, byte %d)", len(data)); !errors.Is(err, broken) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := NewFile("x", failing{bytes.NewReader(data[:10]), broken}, ReadOptions{}); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := NewFile("x", failing{bytes.NewReader(nil), broken}, ReadOptions{}); !errors.Is(err, broken) {
		t.Error(err)
	}
}
