package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// DescribeBuild says which module version or revision this is, and what built it.
func DescribeBuild(info *debug.BuildInfo) string {
	if info == nil {
		info = &debug.BuildInfo{GoVersion: runtime.Version()}
	}
	v := info.Main.Version
	if v == "" {
		v = "(devel)"
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	if rev := set["vcs.revision"]; rev != "" {
		v += fmt.Sprintf(", revision %.12s", rev)
		if set["vcs.modified"] == "true" {
			v += " with changes"
		}
		if t := set["vcs.time"]; t != "" {
			v += " of " + t
		}
	}
	return fmt.Sprintf("%s, %s %s/%s", v, info.GoVersion, runtime.GOOS, runtime.GOARCH)
}
