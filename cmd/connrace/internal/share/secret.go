package share

import (
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/rand/v2"
	"strings"

	"connrace/tcpstate"
)

// secret is what replacements are made with. It is made for one copy and then forgotten: the
// same octets get the same replacement in all of a copy, and nobody can tell which they were.
type secret struct {
	mac   hash.Hash
	sum   [sha256.Size]byte
	addrs map[tcpstate.Addr]tcpstate.Addr // found before; what is in it can be found again
}

// maxAddrs bounds the memory for addresses.
const maxAddrs = 1 << 16

// readKey reads what nobody can guess.
var readKey = crand.Read

func newSecret() (*secret, error) {
	key := make([]byte, sha256.Size)
	if _, err := readKey(key); err != nil {
		return nil, err
	}
	return &secret{mac: hmac.New(sha256.New, key), addrs: map[tcpstate.Addr]tcpstate.Addr{}}, nil
}

// hash is a keyed hash; kind keeps uses apart. It is valid until the next call.
func (k *secret) hash(kind byte, parts ...[]byte) []byte {
	k.mac.Reset()
	k.mac.Write([]byte{kind})
	for _, p := range parts {
		k.mac.Write(p)
	}
	return k.mac.Sum(k.sum[:0])
}

// letters fills dst with letters that stand for src.
func (k *secret) letters(dst, src []byte) {
	var block [4]byte
	for n := uint32(0); len(dst) > 0; n++ {
		binary.BigEndian.PutUint32(block[:], n)
		h := k.hash('w', block[:], src)
		i := 0
		for ; i < len(h) && i < len(dst); i++ {
			dst[i] = 'a' + h[i]%26
		}
		dst = dst[i:]
	}
}

// mark begins dst with what stands for src, that equal octets stay equal although nobody may see
// them: a request that is sent again is known by that.
func (k *secret) mark(dst, src []byte) {
	const size = 16
	h := k.hash('m', src)
	for i := range min(size, len(src), len(dst)) {
		dst[i] = 'a' + h[i]&15
	}
}

// path fills dst, as long as src, with what stands for the target of a request: its parts
// are replaced one by one, so that equal paths stay equal whatever their queries.
func (k *secret) path(dst, src []byte) {
	for i := 0; i < len(src); {
		n := i
		for n < len(src) && src[n] != '/' && src[n] != '?' && src[n] != ';' && src[n] != '#' {
			n++
		}
		if n-i <= maxShort {
			k.short(dst[i:n], src[i:n])
		} else {
			k.letters(dst[i:n], src[i:n])
		}
		if n < len(src) {
			dst[n] = src[n]
			n++
		}
		i = n
	}
	if len(src) == 1 && src[0] == '*' {
		dst[0] = '*'
	}
}

// maxShort is how long a part of a path is for which there are too few rows of letters: two might
// get the same.
const maxShort = 3

// unreserved are the characters of a path that need no escape (RFC 3986 §2.3).
const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// short fills dst with characters that stand for the few of src and for no others.
func (k *secret) short(dst, src []byte) {
	for i, c := range src {
		order := []byte(unreserved)
		r := rand.New(rand.NewChaCha8([32]byte(k.hash('s', []byte{byte(len(src))}, src[:i]))))
		r.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		if at := strings.IndexByte(unreserved, c); at >= 0 {
			dst[i] = order[at]
		} else {
			dst[i] = order[int(c)%len(order)]
		}
	}
}

// addr is the address that stands for another: the same always, of the same kind (private,
// public, link-local, mapped …), and, of IPv4, no two for one.
func (k *secret) addr(a tcpstate.Addr) tcpstate.Addr {
	if b, ok := k.addrs[a]; ok {
		return b
	}
	b := k.newAddr(a)
	if len(k.addrs) == maxAddrs {
		clear(k.addrs)
	}
	k.addrs[a] = b
	return b
}

// ranges4 are the ranges of IPv4 that addresses stay within, by their first bits (RFC 6890).
// Each leaves an even number of bits.
var ranges4 = []struct {
	first uint32
	bits  int
}{
	{10 << 24, 8},
	{100<<24 | 64<<16, 10},
	{127 << 24, 8},
	{169<<24 | 254<<16, 16},
	{172<<24 | 16<<16, 12},
	{192<<24 | 168<<16, 16},
	{0, 8},
}

// range4 is the range that an address is in; -1: of the others, public or reserved.
func range4(a uint32) int {
	for i, r := range ranges4 {
		if (a^r.first)>>(32-r.bits) == 0 {
			return i
		}
	}
	return -1
}

// reserved4 reports whether an address is a multicast or reserved one.
func reserved4(a uint32) bool { return a>>29 == 7 }

func (k *secret) addr4(a uint32) uint32 {
	switch a {
	case 0, 127<<24 | 1, 0xffffffff: // nobody's
		return a
	}
	if i := range4(a); i >= 0 {
		r := ranges4[i]
		mask := uint32(1)<<(32-r.bits) - 1
		return r.first | k.permute(a&mask, 32-r.bits, uint32(i))
	}
	b := a
	for {
		if b = k.permute(b, 32, uint32(len(ranges4))); range4(b) < 0 && reserved4(b) == reserved4(a) && b != 0xffffffff {
			return b
		}
	}
}

// permute maps numbers of so many bits, an even number, one to one (a Feistel network).
func (k *secret) permute(v uint32, bits int, kind uint32) uint32 {
	const rounds = 6
	half := bits / 2
	mask := uint32(1)<<half - 1
	l, r := v>>half, v&mask
	var in [9]byte
	for i := range rounds {
		in[0] = byte(i)
		binary.BigEndian.PutUint32(in[1:], kind)
		binary.BigEndian.PutUint32(in[5:], r)
		l, r = r, l^binary.BigEndian.Uint32(k.hash('4', in[:]))&mask
	}
	return l<<half | r
}

// Prefixes of IPv6 that stay, as the upper half of an address.
const (
	global6    = 0x2000 << 48 // 2000::/3
	local6     = 0xfe80 << 48 // fe80::/10
	unique6    = 0xfc00 << 48 // fc00::/7
	multicast6 = 0xff00 << 48 // ff00::/8
	nat64      = 0x64ff9b << 32
)

func (k *secret) newAddr(a tcpstate.Addr) tcpstate.Addr {
	low := func() tcpstate.Addr {
		return tcpstate.Addr{Hi: a.Hi, Lo: a.Lo&^0xffffffff | uint64(k.addr4(uint32(a.Lo)))}
	}
	switch {
	case a.Is4(), a.Unmap() != a, a.Hi == nat64 && a.Lo>>32 == 0:
		return low()
	case a.Hi == 0 && a.Lo <= 1: // :: and ::1
		return a
	}
	var in [16]byte
	binary.BigEndian.PutUint64(in[:], a.Hi)
	binary.BigEndian.PutUint64(in[8:], a.Lo)
	h := k.hash('6', in[:])
	b := tcpstate.Addr{Hi: binary.BigEndian.Uint64(h), Lo: binary.BigEndian.Uint64(h[8:])}
	keep := func(bits int, prefix uint64) { b.Hi = prefix&^(1<<(64-bits)-1) | b.Hi&(1<<(64-bits)-1) }
	switch {
	case a.Hi>>54 == local6>>54:
		b.Hi = local6
	case a.Hi>>57 == unique6>>57:
		keep(8, a.Hi)
	case a.Hi>>56 == multicast6>>56:
		keep(16, a.Hi)
	default:
		keep(3, global6)
	}
	return b
}
