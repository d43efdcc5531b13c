package procs

import (
	"os"
	"strings"
	"testing"
)

func TestPlace(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for _, tt := range []struct{ groups, container, pod, unit string }{
		{"0::/system.slice/docker-" + id + ".scope\n", id, "", ""},
		{"0::/system.slice/nginx.service\n", "", "", "nginx.service"},
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/app.service\n", "", "", "app.service"},
		{"12:memory:/docker/" + id + "\n1:name=systemd:/docker/" + id + "\n0::/\n", id, "", ""},
		{
			"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b2c3d4e_0000_1111_2222_0123456789ab.slice/cri-containerd-" + id + ".scope\n",
			id, "1b2c3d4e-0000-1111-2222-0123456789ab", "",
		},
		{"4:cpu:/kubepods/besteffort/pod1b2c3d4e-0000-1111-2222-0123456789ab/" + id + "\n", id, "1b2c3d4e-0000-1111-2222-0123456789ab", ""},
		{"0::/kubepods.slice/kubepods-pod1b2c3d4e_0000_1111_2222_0123456789ab.slice/crio-" + id + ".scope/container\n", id, "1b2c3d4e-0000-1111-2222-0123456789ab", ""},
		{"0::/machine.slice/libpod-" + id + ".scope/container\n", id, "", ""},
		// Seen from a cgroup namespace, as in a container.
		{
			"0::/../../kubepods-besteffort.slice/kubepods-besteffort-pod1b2c3d4e_0000_1111_2222_0123456789ab.slice/cri-containerd-" + id + ".scope\n",
			id, "1b2c3d4e-0000-1111-2222-0123456789ab", "",
		},
		{"0::/../docker-" + id + ".scope\n", id, "", ""},
		// systemd's names without systemd.
		{
			"0::/system.slice/containerd.service/kubepods-burstable-pod1b2c3d4e_0000_1111_2222_0123456789ab.slice:cri-containerd:" + id + "\n",
			id, "1b2c3d4e-0000-1111-2222-0123456789ab", "",
		},
		// kind, a static pod, ECS, Docker in a container.
		{
			"0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod1b2c3d4e_0000_1111_2222_0123456789ab.slice/cri-containerd-" + id + ".scope\n",
			id, "1b2c3d4e-0000-1111-2222-0123456789ab", "",
		},
		{"9:memory:/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" + id + "\n", id, "0123456789abcdef0123456789abcdef", ""},
		{"4:cpu:/ecs/cd189a933e5849daa93386466019ab50/" + id + "\n", id, "", ""},
		{"4:cpu:/docker/" + strings.Repeat("f", 64) + "/docker/" + id + "\n", id, "", ""},
		// Who minds a container is not in it.
		{"0::/machine.slice/libpod-conmon-" + id + ".scope\n", "", "", ""},
		{"0::/system.slice/crio-conmon-" + id + ".scope\n", "", "", ""},
		{"0::/\n", "", "", ""},
		{"", "", "", ""},
		{"rubbish\n::\n0::/" + id[1:] + "\n", "", "", ""},
	} {
		container, pod, unit := place([]byte(tt.groups))
		if container != tt.container || pod != tt.pod || unit != tt.unit {
			t.Errorf("%q: %q, %q, %q", tt.groups, container, pod, unit)
		}
	}
}

// What stands behind the program may be secret.
func TestProgram(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/bin/java\x00-Dpassword=x\x00-jar\x00app.jar\x00":          "/usr/bin/java",
		"nginx: worker process":                                         "nginx",
		"postgres: secretuser secretdb 10.0.0.1(4000) idle\x00\x00\x00": "postgres",
		"":                        "",
		strings.Repeat("x", 1000): strings.Repeat("x", 256),
	} {
		if got := program([]byte(line)); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	name, parent, start, err := parseStat([]byte("17 (a) b (c) S 4711 17 17 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2\n"))
	if name != "a) b (c" || parent != 4711 || start != 987654 || err != nil {
		t.Errorf("%q, %d, %d, %v", name, parent, start, err)
	}
	for _, bad := range []string{"", "17 (a", ")(", "17 (a) S 1", "17 (a) S x 17 17 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 y"} {
		if _, _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is one", bad)
		}
	}
	p, err := readProcess("/proc", os.Getpid())
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	if p.parent != os.Getppid() || p.start == 0 || p.Command != os.Args[0] {
		t.Errorf("%+v", p)
	}
}
