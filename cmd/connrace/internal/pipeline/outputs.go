package pipeline

import (
	"io"
	"os"
	"path/filepath"
)

// Output is a file that a flag names, "" if it was not given.
type Output struct{ Flag, Path string }

// Overwritten says where outputs would overwrite each other, or what the flags beside read;
// "": nowhere.
func (b *Compare) Overwritten(outs ...Output) string {
	for i, o := range outs {
		for _, in := range b.Logs {
			if SameFile(in, o.Path, nil) {
				return o.Flag + " " + o.Path + " is the file of --log; name another file"
			}
		}
		if b.Baseline != "" && SameFile(b.Baseline, o.Path, nil) {
			return o.Flag + " " + o.Path + " is the file of --baseline; name another file"
		}
		for _, other := range outs[:i] {
			st, err := os.Stat(o.Path)
			if o.Path != "" && filepath.Clean(o.Path) == filepath.Clean(other.Path) && (err != nil || st.Mode().IsRegular()) ||
				SameFile(other.Path, o.Path, nil) {
				return other.Flag + " and " + o.Flag + " name the same file"
			}
		}
	}
	return ""
}

// SameFile reports whether both names are of one file, "-" that of standard input.
func SameFile(in, out string, stdin io.Reader) bool {
	b, err := os.Stat(out)
	if err != nil || !b.Mode().IsRegular() {
		return false
	}
	a, err := os.Stat(in)
	if h, is := stdin.(*os.File); in == "-" && is {
		a, err = h.Stat()
	}
	return err == nil && os.SameFile(a, b)
}
