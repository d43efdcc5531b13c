// Licenses writes the licences of all that is linked into connrace, on any of the platforms
// that releases are made for, with the notices that go with them: THIRD_PARTY_LICENSES.
//
//	go run ./.ci/licenses > THIRD_PARTY_LICENSES
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// platforms are those whose packages differ.
var platforms = []string{"linux/amd64", "linux/arm", "darwin/arm64", "windows/amd64"}

// isLicense finds files that belong to a licence by their names.
var isLicense = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|copyright)([-.].*)?$`)

func main() {
	log.SetFlags(0)
	if err := write(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func write(w io.Writer) error {
	dirs, err := linked()
	if err != nil {
		return err
	}
	who := map[string][]string{} // text → who is under it
	for module, of := range dirs {
		found := false
		for _, dir := range slices.Sorted(maps.Keys(of)) {
			entries, err := os.ReadDir(dir)
			if err != nil {
				return err
			}
			for _, e := range entries {
				if e.IsDir() || !isLicense.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
					continue
				}
				b, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil {
					return err
				}
				found = true
				text := tidy(b)
				who[text] = append(who[text], filepath.ToSlash(filepath.Join(module, of[dir], e.Name())))
			}
		}
		if !found {
			return fmt.Errorf("%s has no licence", module)
		}
	}
	texts := slices.Collect(maps.Keys(who))
	for _, t := range texts {
		slices.Sort(who[t])
	}
	slices.SortFunc(texts, func(a, b string) int { return strings.Compare(who[a][0], who[b][0]) })
	out := bufio.NewWriter(w)
	fmt.Fprint(out, "What is linked into connrace besides its own code, and under which licences.\nWritten by: go run ./.ci/licenses > THIRD_PARTY_LICENSES\n")
	for _, t := range texts {
		fmt.Fprintf(out, "\n%s\n\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(who[t], "\n"), t)
	}
	return out.Flush()
}

// linked are the directories, between each linked package and the root of its module, whose
// licences hold for it: by module, with their place in it. The standard library is "go".
func linked() (map[string]map[string]string, error) {
	dirs := map[string]map[string]string{"go": {runtime.GOROOT(): ""}}
	for _, p := range platforms {
		goos, goarch, _ := strings.Cut(p, "/")
		list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}\t{{$.Dir}}{{end}}{{end}}", "./cmd/connrace")
		list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
		list.Stderr = os.Stderr
		b, err := list.Output()
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Split(strings.TrimSpace(line), "\t")
			if len(f) != 3 {
				continue
			}
			module, root, dir := f[0], f[1], f[2]
			if dirs[module] == nil {
				dirs[module] = map[string]string{}
			}
			for {
				rel, err := filepath.Rel(root, dir)
				if err != nil || strings.HasPrefix(rel, "..") {
					return nil, errors.Join(err, fmt.Errorf("%s is not below %s", dir, root))
				}
				dirs[module][dir] = rel
				if rel == "." {
					break
				}
				dir = filepath.Dir(dir)
			}
		}
	}
	return dirs, nil
}

// tidy is a text without what differs between copies of the same licence and means nothing.
func tidy(b []byte) string {
	var lines []string
	for line := range bytes.Lines(b) {
		lines = append(lines, strings.TrimRight(string(line), " \t\r\n"))
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
