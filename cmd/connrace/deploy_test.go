package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"connrace/cmd/connrace/internal/live"
	"connrace/detect"
)

func deployed(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// unit are the settings of a systemd unit's [Service], each with all its values.
func unit(t *testing.T) map[string][]string { return settingsOf(t, "connrace.service") }

func settingsOf(t *testing.T, name string) map[string][]string {
	settings := map[string][]string{}
	section := ""
	for line := range strings.Lines(deployed(t, name)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = line
		case section == "[Service]":
			key, value, ok := strings.Cut(line, "=")
			if !ok {
				t.Fatalf("what is %q?", line)
			}
			settings[key] = append(settings[key], value)
		}
	}
	return settings
}

func TestUnit(t *testing.T) {
	u := unit(t)
	for key, want := range map[string]string{
		"DynamicUser": "yes", "AmbientCapabilities": "CAP_NET_RAW", "CapabilityBoundingSet": "CAP_NET_RAW", "NoNewPrivileges": "yes",
		"ProtectSystem": "strict", "RestrictNamespaces": "yes",
	} {
		if got := u[key]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s=%v, want %s", key, got, want)
		}
	}
	for _, call := range []string{"capset", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp"} {
		if last := u["SystemCallFilter"][len(u["SystemCallFilter"])-1]; !slices.Contains(strings.Fields(last), call) {
			t.Errorf("to give up rights needs %s", call)
		}
	}
	families := strings.Fields(u["RestrictAddressFamilies"][0])
	for _, f := range []string{"AF_PACKET", "AF_NETLINK", "AF_INET", "AF_INET6", "AF_UNIX"} {
		if !slices.Contains(families, f) {
			t.Errorf("a capture needs %s", f)
		}
	}
}

// The drop-in gives what the kernel's events take, and the helper what it keeps.
func TestDropIn(t *testing.T) {
	u := settingsOf(t, "connrace-processes.conf")
	want := "CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_BPF CAP_PERFMON CAP_NET_ADMIN"
	for _, key := range []string{"AmbientCapabilities", "CapabilityBoundingSet"} {
		if got := u[key]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s=%v", key, got)
		}
	}
	if u["SystemCallFilter"][0] != "bpf" || u["ProtectProc"][0] != "default" {
		t.Errorf("%v", u)
	}
	for key := range u {
		if key != "LimitMEMLOCK" && unit(t)[key] == nil {
			t.Errorf("%s is new", key)
		}
	}
}

// systemd reads the unit without a complaint, and rates it well.
func TestSystemdAnalyze(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze (of Debian's package systemd)")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "connrace.service")
	dropIn := filepath.Join(name+".d", "processes.conf")
	if err := errors.Join(os.Mkdir(name+".d", 0o700), os.WriteFile(dropIn, []byte(deployed(t, "connrace-processes.conf")), 0o600)); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(deployed(t, "connrace.service"), "/usr/local/bin/connrace", self)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", name).CombinedOutput()
	if err != nil || strings.Contains(string(out), "connrace.service") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	os.Remove(dropIn) // with which it is rated as what it is: one that looks into processes
	help, _ := exec.Command(analyze, "--help").Output()
	if !strings.Contains(string(help), "--offline") {
		t.Skip("this systemd-analyze rates only what is installed")
	}
	if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", name).CombinedOutput(); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}

// What is started is started with flags that live has.
func TestDeployedCommands(t *testing.T) {
	commands := map[string][]string{}
	words := strings.Fields(unit(t)["ExecStart"][0])
	commands["connrace.service"] = slices.DeleteFunc(words[1:], func(w string) bool { return w == "$CONNRACE_OPTS" })
	commands["daemonset.yaml"] = readDaemonSet(t, "daemonset.yaml").Spec.Template.Spec.Containers[0].Args
	commands["daemonset-processes.yaml"] = readDaemonSet(t, "daemonset-processes.yaml").Spec.Template.Spec.Containers[0].Args
	commands["daemonset-pods.yaml"] = append([]string{"live", "--netns", "/run/netns/a"}, readDaemonSet(t, "daemonset-pods.yaml").Spec.Template.Spec.Containers[0].Args...)
	cmd := regexp.MustCompile(`(?m)^CMD (.*)$`).FindStringSubmatch(deployed(t, "Dockerfile"))
	var inImage []string
	if err := yaml.Unmarshal([]byte(cmd[1]), &inImage); err != nil {
		t.Fatal(err)
	}
	commands["Dockerfile"] = inImage
	for _, m := range regexp.MustCompile(`(?m)\bconnrace (live .*)$| -- (live .*)$`).FindAllStringSubmatch(deployed(t, "README.md"), -1) {
		commands["README.md: "+m[0]] = strings.Fields(m[1] + m[2])
	}
	if len(commands) < 7 {
		t.Errorf("only %d commands", len(commands))
	}
	for where, args := range commands {
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "$(NODE_IP)", "192.0.2.1")
		}
		l, fs := live.NewFlags()
		err := fs.Parse(args[1:])
		if args[0] != "live" || err != nil {
			t.Errorf("%s: %v: %v", where, args, err)
		} else if wrong := l.Wrong(fs); wrong != "" {
			t.Errorf("%s: %v: %s", where, args, wrong)
		}
	}
}

// registryHost is the host of an image's name: Docker takes the first part for one if it
// has a dot or a port.
var registryHost = regexp.MustCompile(`^[^/]*[.:][^/]*/`)

func TestDockerfile(t *testing.T) {
	known := []string{"FROM", "WORKDIR", "COPY", "RUN", "ENTRYPOINT", "CMD", "ARG", "USER"}
	stages := map[string]bool{}
	images := map[string]string{} // by the arguments that name them
	var base, entry, user string  // of the last stage
	text := strings.ReplaceAll(deployed(t, "Dockerfile"), "\\\n", " ")
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if !slices.Contains(known, words[0]) {
			t.Errorf("what is %q?", line)
		}
		switch words[0] {
		case "FROM":
			base, entry, user = os.Expand(words[1], func(arg string) string { return images[arg] }), "", ""
			if registryHost.MatchString(base) {
				t.Errorf("%s names a registry", base)
			}
			if _, tag, _ := strings.Cut(base, ":"); base != "scratch" && (tag == "" || tag == "latest") {
				t.Errorf("%s: without a version", base)
			}
			if len(words) == 4 && words[2] == "AS" {
				stages[words[3]] = true
			}
		case "ENTRYPOINT":
			entry = strings.Join(words[1:], " ")
		case "ARG":
			name, image, _ := strings.Cut(words[1], "=")
			images[name] = image
		case "USER":
			user = words[1]
		case "COPY":
			checkCopy(t, words[1:], stages)
		case "RUN":
			if strings.Contains(line, "go build") && (!strings.Contains(line, "CGO_ENABLED=0") || !strings.Contains(line, "./cmd/connrace")) {
				t.Errorf("%q: not a static build of this program", line)
			}
		}
	}
	if base != "scratch" || entry != `["/connrace"]` || user == "" || strings.HasPrefix(user, "0") || strings.HasPrefix(user, "root") {
		t.Errorf("the image is made from %s and runs %s as %q", base, entry, user)
	}
	if !stages["build"] || !stages["pods"] {
		t.Errorf("stages %v", stages)
	}
}

// checkCopy sees to it that what is copied is there.
func checkCopy(t *testing.T, args []string, stages map[string]bool) {
	from := ""
	for len(args) > 0 && strings.HasPrefix(args[0], "--") {
		if s, ok := strings.CutPrefix(args[0], "--from="); ok {
			from = s
		}
		args = args[1:]
	}
	if from != "" {
		if !stages[from] {
			t.Errorf("no stage %s", from)
		}
		return
	}
	for _, a := range args[:len(args)-1] {
		if _, err := os.Stat(filepath.Join("../..", a)); err != nil {
			t.Error(err)
		}
	}
}

// daemonSet is what the manifests use of Kubernetes's API. A field that is not here is a
// mistake in the manifest, or missing here.
type daemonSet struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   metadata
	Spec       struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		UpdateStrategy struct {
			Type          string
			RollingUpdate struct {
				MaxUnavailable string `yaml:"maxUnavailable"`
			} `yaml:"rollingUpdate"`
		} `yaml:"updateStrategy"`
		Template struct {
			Metadata metadata
			Spec     podSpec
		}
	}
}

type metadata struct {
	Name, Namespace     string
	Labels, Annotations map[string]string
}

type podSpec struct {
	HostNetwork                   bool   `yaml:"hostNetwork"`
	HostPID                       bool   `yaml:"hostPID"`
	DNSPolicy                     string `yaml:"dnsPolicy"`
	AutomountServiceAccountToken  *bool  `yaml:"automountServiceAccountToken"`
	EnableServiceLinks            *bool  `yaml:"enableServiceLinks"`
	TerminationGracePeriodSeconds int    `yaml:"terminationGracePeriodSeconds"`
	SecurityContext               struct {
		SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Containers []container
	Volumes    []struct {
		Name     string
		EmptyDir *struct {
			SizeLimit string `yaml:"sizeLimit"`
		} `yaml:"emptyDir"`
		HostPath *struct{ Path, Type string } `yaml:"hostPath"`
	}
}

type container struct {
	Name, Image string
	Args        []string
	Env         []struct {
		Name      string
		ValueFrom struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	}
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	LivenessProbe *struct {
		HTTPGet          struct{ Path, Port string } `yaml:"httpGet"`
		PeriodSeconds    int                         `yaml:"periodSeconds"`
		FailureThreshold int                         `yaml:"failureThreshold"`
	} `yaml:"livenessProbe"`
	Resources       struct{ Requests, Limits map[string]string }
	SecurityContext struct {
		RunAsUser                int   `yaml:"runAsUser"`
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop, Add []string }
	} `yaml:"securityContext"`
	VolumeMounts []struct {
		Name             string
		MountPath        string `yaml:"mountPath"`
		ReadOnly         bool   `yaml:"readOnly"`
		MountPropagation string `yaml:"mountPropagation"`
	} `yaml:"volumeMounts"`
}

// readDaemonSet reads a manifest of a Namespace and a DaemonSet in it.
func readDaemonSet(t *testing.T, name string) (d daemonSet) {
	t.Helper()
	var ns struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
	}
	dec := yaml.NewDecoder(strings.NewReader(deployed(t, name)))
	dec.KnownFields(true)
	if err := dec.Decode(&ns); err != nil {
		t.Fatal(err)
	}
	if err := dec.Decode(&d); err != nil {
		t.Fatal(err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("%s: more than two documents", name)
	}
	if ns.Kind != "Namespace" || ns.APIVersion != "v1" || d.Kind != "DaemonSet" || d.APIVersion != "apps/v1" || d.Metadata.Namespace != ns.Metadata.Name {
		t.Errorf("%s: %+v, %+v", name, ns, d.Metadata)
	}
	return d
}

func TestDaemonSets(t *testing.T) {
	for _, tt := range []struct {
		file                 string
		hostNetwork, hostPID bool
		capabilities         []string
	}{
		{"daemonset.yaml", true, false, []string{"NET_RAW", "SETUID", "SETGID"}},
		{"daemonset-processes.yaml", true, true, []string{"NET_RAW", "SETUID", "SETGID", "SYS_PTRACE", "DAC_READ_SEARCH", "BPF", "PERFMON", "NET_ADMIN"}},
		{"daemonset-pods.yaml", false, false, []string{"NET_RAW", "SYS_ADMIN"}},
	} {
		d := readDaemonSet(t, tt.file)
		pod := d.Spec.Template.Spec
		for k, v := range d.Spec.Selector.MatchLabels {
			if d.Spec.Template.Metadata.Labels[k] != v {
				t.Errorf("%s: the selector does not select its own pods", tt.file)
			}
		}
		if pod.HostNetwork != tt.hostNetwork || pod.HostPID != tt.hostPID || pod.SecurityContext.SeccompProfile.Type != "RuntimeDefault" ||
			pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken || len(pod.Containers) != 1 {
			t.Errorf("%s: %+v", tt.file, pod)
		}
		c := pod.Containers[0]
		if sc := c.SecurityContext; sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation || !sc.ReadOnlyRootFilesystem ||
			!slices.Equal(sc.Capabilities.Drop, []string{"ALL"}) || !slices.Equal(sc.Capabilities.Add, tt.capabilities) {
			t.Errorf("%s: %+v", tt.file, sc)
		}
		for _, r := range []string{"cpu", "memory"} {
			if c.Resources.Limits[r] == "" || c.Resources.Requests[r] == "" {
				t.Errorf("%s: no bound for %s", tt.file, r)
			}
		}
		if registryHost.MatchString(c.Image) {
			t.Errorf("%s names a registry", c.Image)
		}
		volumes := map[string]bool{}
		for _, v := range pod.Volumes {
			volumes[v.Name] = (v.EmptyDir != nil) != (v.HostPath != nil)
		}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("%s: no volume %s", tt.file, m.Name)
			}
		}
		if p := c.LivenessProbe; p != nil && (p.HTTPGet.Path != "/healthz" || p.HTTPGet.Port != c.Ports[0].Name) {
			t.Errorf("%s: %+v", tt.file, p)
		}
	}
}

// connrace-pods runs one connrace for each namespace, starts again what has ended, and
// stops what has no namespace any more.
func TestPodsScript(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	script, err := filepath.Abs("../../deploy/pods.sh")
	if err != nil {
		t.Fatal(err)
	}
	ns, run, bin := t.TempDir(), t.TempDir(), t.TempDir()
	log := filepath.Join(bin, "log")
	fake := "#!/bin/sh\ntrap 'echo \"stop $3\" >>" + log + "; exit' TERM\necho \"start $*\" >>" + log + "\nwhile :; do sleep 0.02; done\n"
	if err := os.WriteFile(filepath.Join(bin, "connrace"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	touch := func(name string) {
		if err := os.WriteFile(filepath.Join(ns, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines := func(want string) (n int) {
		b, _ := os.ReadFile(log)
		return strings.Count(string(b), want+"\n")
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				b, _ := os.ReadFile(log)
				t.Fatalf("not %s:\n%s", what, b)
			}
		}
	}
	touch("cni-a")
	cmd := exec.Command(sh, script, "-i", "any")
	cmd.Env = append(os.Environ(), "NETNS_DIR="+ns, "RUN_DIR="+run, "EVERY=0.02", "PATH="+bin+":"+os.Getenv("PATH"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	startedA, startedB := "start live --netns "+ns+"/cni-a -i any", "start live --netns "+ns+"/cni-b -i any"
	until("started", func() bool { return lines(startedA) == 1 })
	touch("cni-b")
	until("a second one", func() bool { return lines(startedB) == 1 })
	os.Remove(filepath.Join(ns, "cni-a"))
	until("stopped with its namespace", func() bool { return lines("stop "+ns+"/cni-a") == 1 })
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if lines("stop "+ns+"/cni-b") != 1 || lines(startedA) != 1 || lines(startedB) != 1 {
		b, _ := os.ReadFile(log)
		t.Errorf("at the end:\n%s", b)
	}
}

// The alerts on findings name the rules that their traits say. UPDATE=1 writes them.
func TestAlertsNameRules(t *testing.T) {
	var silent, targets []string // those that alone are no race, and those about a target as a whole
	for _, r := range detect.Rules {
		if r.About == detect.AboutTarget {
			targets = append(targets, r.ID)
		}
		if r.About == detect.AboutTarget || r.Mildest == detect.Info {
			silent = append(silent, r.ID)
		}
	}
	slices.Sort(silent)
	alerts, name := deployed(t, "alerts.yml"), "../../deploy/alerts.yml"
	want := regexp.MustCompile(`\{rule!~"[^"]*"\}`).ReplaceAllLiteralString(alerts, `{rule!~"`+strings.Join(silent, "|")+`"}`)
	want = regexp.MustCompile(`\{rule=~"[^"]*"\}`).ReplaceAllLiteralString(want, `{rule=~"`+strings.Join(targets, "|")+`"}`)
	switch {
	case want == alerts && strings.Contains(want, "rule!~") && strings.Contains(want, "rule=~"):
	case os.Getenv("UPDATE") == "":
		t.Error("deploy/alerts.yml names other rules (UPDATE=1 writes it)")
	default:
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Error(err)
		}
	}
}
