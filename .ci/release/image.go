package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// netRaw is the file capability cap_net_raw=p (VFS_CAP_REVISION_2: magic, then permitted and
// inheritable, low words and high). It is permitted, not effective: connrace takes it up
// itself, and starts where nobody may have it, too.
var netRaw = []byte{0, 0, 0, 2, 0, 1 << (13 - 8), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// descriptor points to a blob. https://github.com/opencontainers/image-spec
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    map[string]string `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

const mediaType = "application/vnd.oci.image."

// image writes the programs for Linux that were built as one image for several platforms: an
// OCI layout in a tar. It holds the program and nothing else, and runs as nobody.
func (r *release) image() error {
	files := []file{{name: "oci-layout", mode: 0o644, data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
	blob := func(kind string, data []byte) descriptor {
		sum := sha256.Sum256(data)
		digest := hex.EncodeToString(sum[:])
		files = append(files, file{name: "blobs/sha256/" + digest, mode: 0o644, data: data})
		return descriptor{MediaType: mediaType + kind, Digest: "sha256:" + digest, Size: len(data)}
	}
	marshal := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // maps, lists and strings
		}
		return b
	}
	var platforms []descriptor
	for _, t := range all {
		program, err := os.ReadFile(filepath.Join(r.work, t.os+"_"+t.arch, "connrace"))
		if t.os != "linux" || os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		platform := map[string]string{"os": t.os, "architecture": t.arch}
		if t.arch == "arm" {
			platform["variant"] = "v7"
		}
		content := []file{{name: "connrace", mode: 0o755, data: program, caps: netRaw}}
		for _, p := range papers[:3] {
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			content = append(content, file{name: "licenses/" + p, mode: 0o644, data: data})
		}
		layer, err := tarred(content, r.date)
		if err != nil {
			return err
		}
		config := map[string]any{
			"created": r.date.Format(time.RFC3339),
			"config": map[string]any{
				"User": "65534:65534", "Entrypoint": []string{"/connrace"}, "Cmd": []string{"live", "-i", "any", "--format", "jsonl"},
				"Labels": map[string]string{
					"org.opencontainers.image.title": "connrace", "org.opencontainers.image.version": r.version,
					"org.opencontainers.image.revision": r.commit, "org.opencontainers.image.licenses": "Apache-2.0",
				},
			},
			"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
			"history": []map[string]string{{"created": r.date.Format(time.RFC3339), "created_by": "go run ./.ci/release"}},
		}
		for k, v := range platform {
			config[k] = v
		}
		manifest := blob("manifest.v1+json", marshal(map[string]any{
			"schemaVersion": 2, "mediaType": mediaType + "manifest.v1+json",
			"config": blob("config.v1+json", marshal(config)),
			"layers": []descriptor{blob("layer.v1.tar+gzip", squeezed(layer))},
		}))
		manifest.Platform = platform
		platforms = append(platforms, manifest)
	}
	if len(platforms) == 0 {
		return nil
	}
	index := blob("index.v1+json", marshal(map[string]any{"schemaVersion": 2, "mediaType": mediaType + "index.v1+json", "manifests": platforms}))
	index.Annotations = map[string]string{"org.opencontainers.image.ref.name": "connrace:" + r.version}
	files = append(files, file{name: "index.json", mode: 0o644, data: marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{index}})})
	b, err := tarred(files, r.date)
	if err != nil {
		return err
	}
	return r.write(fmt.Sprintf("connrace_%s_oci.tar", r.version), b)
}
