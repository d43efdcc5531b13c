package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path"
	"slices"
	"time"
)

// papers go with every copy of the program.
var papers = []string{"LICENSE", "NOTICE", "THIRD_PARTY_LICENSES", "README.md", "CHANGELOG.md", "SECURITY.md"}

// archive writes the program with what belongs to it: a zip for Windows, else a tar.
func (r *release) archive(t target, program string) error {
	data, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("connrace_%s_%s_%s", r.version, t.os, t.arch)
	files := []file{{name: "connrace", mode: 0o755, data: data}}
	if t.os == "windows" {
		files[0].name = "connrace.exe"
	}
	for _, p := range papers {
		if data, err = os.ReadFile(p); err != nil {
			return err
		}
		files = append(files, file{name: p, mode: 0o644, data: data})
	}
	for _, f := range r.man {
		f.name = "man/" + f.name
		files = append(files, f)
	}
	for _, f := range r.shell {
		f.name = "completion/" + f.name
		files = append(files, f)
	}
	for i := range files {
		files[i].name = name + "/" + files[i].name
	}
	if t.os == "windows" {
		b, err := zipped(files, r.date)
		if err != nil {
			return err
		}
		return r.write(name+".zip", b)
	}
	b, err := tarred(files, r.date)
	if err != nil {
		return err
	}
	return r.write(name+".tar.gz", squeezed(b))
}

// tarred makes a tar whose bytes depend on nothing but its arguments.
func tarred(files []file, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{}
	for _, f := range files {
		var dirs []string
		for d := path.Dir(f.name); d != "." && !made[d]; d = path.Dir(d) {
			made[d] = true
			dirs = append(dirs, d)
		}
		slices.Reverse(dirs)
		for _, d := range dirs {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d + "/", Mode: 0o755, ModTime: at}); err != nil {
				return nil, err
			}
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: at}
		if f.caps != nil {
			h.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": string(f.caps)}
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func zipped(files []file, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at}
		h.SetMode(os.FileMode(f.mode))
		to, err := w.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := to.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func squeezed(data []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	w.Write(data)
	w.Close()
	return b.Bytes()
}
