package term

import (
	"fmt"
	"io"
	"time"

	"connrace/cmd/connrace/internal/text"
)

const (
	progressAfter = time.Second // work that is done sooner shows none
	progressEvery = 200 * time.Millisecond
)

// Progress shows on a terminal how far reading has come, and of a stream, whose end nobody
// knows, what has been found so far; the function that it returns ends that. Where there is no
// terminal only that is shown, as a Status does.
func Progress(w io.Writer, quiet bool, path string, of func() (read, size int64), found func() string) (stop func()) {
	_, size := of()
	if quiet || !IsTerminal(w) && size >= 0 {
		return func() {}
	}
	if path == "-" {
		path = "standard input"
	}
	status := NewStatus(w, quiet)
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		begun := time.Now()
		wait := progressAfter
		for {
			select {
			case <-quit:
				status.Clear()
				return
			case <-time.After(wait):
				wait = progressEvery
			}
			read, size := of()
			line, so := bar(text.Clean(path), read, size, time.Since(begun)), ""
			if size < 0 {
				so = found()
				line += "  " + so
			}
			status.Text(line, text.Clean(path)+": "+so)
		}
	}()
	return func() { close(quit); <-gone }
}

// bar is one line of progress: how much of how much, rate, and time to go.
func bar(name string, read, size int64, took time.Duration) string {
	const most, cells = 24, 16
	if r := []rune(name); len(r) > most {
		name = "…" + string(r[len(r)-most+1:])
	}
	rate := float64(read) / max(took.Seconds(), 1e-3)
	if size <= 0 {
		return fmt.Sprintf("%s  %s  %s/s", name, bytesText(float64(read)), bytesText(rate))
	}
	part := min(float64(read)/float64(size), 1)
	line := make([]byte, cells)
	for i := range line {
		line[i] = '.'
		if float64(i) < part*cells {
			line[i] = '#'
		}
	}
	left := "?"
	if rate > 0 {
		left = time.Duration(float64(max(size-read, 0)) / rate * float64(time.Second)).Round(time.Second).String()
	}
	return fmt.Sprintf("%s [%s] %3.0f %% of %s  %s/s  %s left", name, line, part*100, bytesText(float64(size)), bytesText(rate), left)
}

func bytesText(n float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	i := 0
	for n >= 999.5 && i < len(units)-1 {
		n /= 1000
		i++
	}
	if n < 9.95 && i > 0 {
		return fmt.Sprintf("%.1f %s", n, units[i])
	}
	return fmt.Sprintf("%.0f %s", n, units[i])
}
