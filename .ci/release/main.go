// Release makes what users install, all of it reproducible: the same commit and Go make the
// same bytes, wherever and whenever.
//
//	go run ./.ci/release [-version V] [-targets OS/ARCH,…] DIR
//
// DIR gets for each target an archive with the program, manual pages and completions; for
// Linux a .deb and an .rpm; an OCI image (a layout in a tar, for skopeo, podman and docker
// load); a bill of materials (CycloneDX); and SHA256SUMS.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// target is what is built for.
type target struct{ os, arch string }

var all = []target{
	{"linux", "amd64"},
	{"linux", "arm64"},
	{"linux", "386"},
	{"linux", "arm"},
	{"darwin", "amd64"},
	{"darwin", "arm64"},
	{"windows", "amd64"},
}

// release is what is being made.
type release struct {
	version, commit string
	date            time.Time // of the commit: the time of everything
	dir, work       string    // for what is published, and for what is not
	man, shell      []file
	wireshark       []file
}

// file is one that goes into archives and packages.
type file struct {
	name string
	mode int64
	data []byte
	caps []byte // the extended attribute security.capability
}

func main() {
	log.SetFlags(0)
	version := flag.String("version", "", "version (default: git describe)")
	targets := flag.String("targets", "", "only these, as OS/ARCH,OS/ARCH")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: go run ./.ci/release [-version V] [-targets OS/ARCH,…] DIR")
	}
	if err := run(*version, *targets, flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

func run(version, targets, dir string) error {
	work, err := os.MkdirTemp("", "connrace-release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	r := &release{version: version, dir: dir, work: work}
	if err := errors.Join(os.MkdirAll(dir, 0o755), r.describe()); err != nil {
		return err
	}
	host, err := r.build(target{runtime.GOOS, runtime.GOARCH})
	if err != nil {
		return err
	}
	if r.man, err = manual(host, r.version, r.date); err != nil {
		return err
	}
	if r.shell, err = completions(host); err != nil {
		return err
	}
	if r.wireshark, err = helpers(host, filepath.Join(work, "wireshark")); err != nil {
		return err
	}
	var programs []string
	for _, t := range all {
		if targets != "" && !slices.Contains(strings.Split(targets, ","), t.os+"/"+t.arch) {
			continue
		}
		log.Printf("%s/%s", t.os, t.arch)
		program, err := r.build(t)
		if err != nil {
			return err
		}
		programs = append(programs, program)
		if err := r.archive(t, program); err != nil {
			return err
		}
		if t.os == "linux" {
			if err := r.packages(t, program); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(r.image(), r.bill(programs)); err != nil {
		return err
	}
	return r.sums()
}

// describe finds out what is released. Where there is no history, as in an archive of the
// source, the version has to be given, and SOURCE_DATE_EPOCH says the time.
func (r *release) describe() error {
	git := func(args ...string) string {
		b, _ := exec.Command("git", args...).Output()
		return strings.TrimSpace(string(b))
	}
	if r.version == "" {
		r.version = git("describe", "--tags", "--match", "v[0-9]*")
	}
	r.commit = git("rev-parse", "HEAD")
	if r.version == "" { // before the first release
		r.version = "v0.0.0"
		if r.commit != "" {
			r.version += "-" + r.commit[:12]
		}
	}
	r.version = strings.TrimPrefix(r.version, "v")
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		seconds = git("log", "-1", "--format=%ct")
	}
	var n int64
	if _, err := fmt.Sscan(seconds, &n); err != nil {
		return errors.New("no commit to take the time from: set SOURCE_DATE_EPOCH")
	}
	r.date = time.Unix(n, 0).UTC()
	return nil
}

// build builds the program for a target and returns its path.
func (r *release) build(t target) (string, error) {
	out := filepath.Join(r.work, t.os+"_"+t.arch, "connrace")
	if t.os == "windows" {
		out += ".exe"
	}
	if _, err := os.Stat(out); err == nil {
		return out, nil // for this host, already
	}
	const pkg = "connrace/cmd/connrace/internal/cli."
	flags := fmt.Sprintf("-s -w -buildid= -X %sversion=v%s -X %scommit=%s -X %sdate=%s", pkg, r.version, pkg, r.commit, pkg, r.date.Format(time.RFC3339))
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-pgo=auto", "-ldflags", flags, "-o", out, "./cmd/connrace")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch, "GOARM=7", "GO386=sse2", "GOAMD64=v1", "GOFLAGS=")
	cmd.Stderr = os.Stderr
	return out, cmd.Run()
}

// completions are the scripts for shells, under the names that the shells look for.
func completions(program string) (files []file, err error) {
	for _, s := range [][2]string{{"bash", "connrace"}, {"zsh", "_connrace"}, {"fish", "connrace.fish"}, {"powershell", "connrace.ps1"}} {
		b, err := exec.Command(program, "completion", s[0]).Output()
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: s[0] + "/" + s[1], mode: 0o644, data: b})
	}
	return files, nil
}

// helpers are what Wireshark needs, as the program installs it.
func helpers(program, dir string) (files []file, err error) {
	if b, err := exec.Command(program, "wireshark", "install", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, b)
	}
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, path))
		files = append(files, file{name: path, mode: 0o644, data: b})
		return err
	})
	return files, err
}

// sums writes the checksums of all that was made.
func (r *release) sums() error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, e := range entries {
		if e.IsDir() || e.Name() == "SHA256SUMS" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(r.dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), e.Name())
	}
	return os.WriteFile(filepath.Join(r.dir, "SHA256SUMS"), []byte(b.String()), 0o644)
}

// write writes what is published.
func (r *release) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(r.dir, name), data, 0o644)
}
