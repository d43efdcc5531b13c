package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Whatever a command does, all packages are initialised before: what is seldom needed and takes time or
// memory to be made, as regular expressions, is made when it is. A package of which this fails says with
// GODEBUG=inittrace=1 what it takes.
func TestStartsWithLittle(t *testing.T) {
	most := 24 << 10 // bytes; a regular expression has some 10,000, or more
	if raced {
		most *= 2
	}
	cmd := exec.Command("connrace-measured", "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^init (\S+) .* (\d+) bytes, \d+ allocs$`).FindAllStringSubmatch(string(said), -1)
	if len(all) == 0 {
		t.Fatalf("%s", said)
	}
	for _, m := range all {
		name := m[1]
		bytes, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		product := strings.HasPrefix(name, "connrace/") && name != "connrace/pcaps" && name != "connrace/cmd/connrace"
		if product && bytes > most {
			t.Errorf("%s begins with %d bytes", name, bytes)
		}
		if name == "github.com/cilium/ebpf/rlimit" {
			t.Errorf("%s asks the kernel for a map whenever the program starts", name)
		}
	}
}
