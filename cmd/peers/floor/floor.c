// floor is the least work of a program that follows TCP, as a yardstick: it reads, parses, finds the
// flow, follows sequence numbers and acknowledgments, and looks at heads of HTTP/1 line by line. It
// judges nothing. Its design is what connrace's is, by hand: blocks of 256 KiB, batches of 64 packets
// whose slots and flows are touched in advance, an open table of eight octets a slot, flows of 256
// octets. It reads classic little-endian pcap of Ethernet frames with IPv4 without options.
//
// Written for this project, to measure against; under its license. gcc -O2 -o floor floor.c
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };
enum { BATCH = 64, BLOCK = 256 << 10 };
static const uint64_t MOST = 4000000; // flows

typedef struct {
	uint64_t a, b; // endpoints, the lower first
	uint32_t next[2], ack[2], heard[2];
	uint64_t last;
	uint32_t flags, request;
	uint64_t when;
	uint8_t rest[256 - 72];
} flow;

typedef struct {
	uint64_t a, b, time;
	uint32_t hash, seq, ack, len;
	const uint8_t *payload;
	uint16_t captured;
	uint8_t dir, flags;
} segment;

typedef struct { uint32_t place, hash; } slot; // place 0: it is free

static slot *table;
static flow *flows;
static uint32_t shift = 32 - 6, n, made, *unused, nunused;
static uint64_t requests, answers, crossed, opened, closed;

static uint32_t le32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static uint32_t be32(const uint8_t *p) { return __builtin_bswap32(le32(p)); }
static uint16_t be16(const uint8_t *p) { return p[0] << 8 | p[1]; }

static void *zeroed(size_t size) {
	return mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static uint32_t mask(void) { return (1u << (32 - shift)) - 1; }

static void put(slot s) {
	uint32_t p = s.hash >> shift;
	while (table[p].place) p = (p + 1) & mask();
	table[p] = s;
}

static void grow(void) {
	slot *old = table;
	uint32_t size = mask() + 1;
	shift--;
	table = zeroed(16ull * size < 4096 ? 4096 : 16ull * size);
	for (uint32_t i = 0; i < size; i++)
		if (old[i].place) put(old[i]);
}

static void drop(uint32_t place, uint32_t hash) {
	uint32_t hole = hash >> shift;
	while (table[hole].place != place) hole = (hole + 1) & mask();
	n--;
	for (uint32_t p = (hole + 1) & mask(); table[p].place; p = (p + 1) & mask())
		if (((p - (table[p].hash >> shift)) & mask()) >= ((p - hole) & mask())) {
			table[hole] = table[p];
			hole = p;
		}
	table[hole] = (slot){0, 0};
}

static void payload(flow *f, segment *s) {
	int d = s->dir;
	uint32_t end = s->seq + s->len;
	if ((int32_t)(end - f->next[d]) <= 0) return;
	f->next[d] = end;
	if (s->captured < 4) return;
	uint32_t word = le32(s->payload);
	int request = word == 0x20544547 || word == 0x54534f50 || word == 0x20545550 || word == 0x454c4544 || word == 0x44414548;
	int answer = word == 0x50545448;
	if (!request && !answer) return;
	const uint8_t *c = s->payload, *z = c + s->captured;
	while ((c = memchr(c, '\n', z - c))) {
		c++;
		if (c < z && (*c == '\n' || *c == '\r')) break;
	}
	if (answer) {
		answers++;
		f->flags &= ~256;
		return;
	}
	requests++;
	f->request = s->seq, f->when = s->time, f->flags |= 256;
	if (f->flags & (64 << !d) && (int32_t)(s->ack - f->heard[!d]) <= 0) crossed++;
}

static void track(segment *s) {
	flow *f = 0;
	uint32_t place = 0;
	int d = s->dir;
	for (uint32_t p = s->hash >> shift; table[p].place; p = (p + 1) & mask()) {
		flow *g = flows + table[p].place;
		if (table[p].hash == s->hash && g->a == s->a && g->b == s->b) {
			f = g, place = table[p].place;
			break;
		}
	}
	if (!f) {
		if (4 * (n + 1) > 3 * (mask() + 1)) grow();
		if (!nunused && made + 1 >= MOST) exit(1);
		place = nunused ? unused[--nunused] : ++made;
		f = flows + place;
		memset(f, 0, sizeof *f);
		f->a = s->a, f->b = s->b;
		put((slot){place, s->hash});
		n++, opened++;
	}
	f->last = s->time;
	if (s->flags & SYN) f->next[d] = s->seq + 1, f->flags |= 1 << d;
	if (s->len) payload(f, s);
	if (s->flags & ACK && (int32_t)(s->ack - f->ack[d]) > 0) f->ack[d] = s->ack;
	if (s->flags & FIN) {
		f->flags |= 64 << d, f->heard[d] = s->seq + s->len;
		if ((f->flags & 192) == 192) f->flags |= 1024;
	}
	if (s->flags & RST || (f->flags & 1024 && s->flags == ACK)) {
		drop(place, s->hash);
		unused[nunused++] = place;
		closed++;
	}
}

// parse fills a segment; 0: the frame has none.
static int parse(const uint8_t *f, uint32_t len, uint64_t time, segment *s) {
	if (len < 54 || be16(f + 12) != 0x800 || f[14] != 0x45 || f[23] != 6) return 0;
	uint64_t x = (uint64_t)be32(f + 26) << 16 | be16(f + 34), y = (uint64_t)be32(f + 30) << 16 | be16(f + 36);
	uint32_t header = (f[46] >> 4) * 4;
	s->dir = x > y, s->a = x < y ? x : y, s->b = x < y ? y : x, s->time = time;
	s->seq = be32(f + 38), s->ack = be32(f + 42), s->flags = f[47];
	s->len = be16(f + 16) - 20 - header, s->payload = f + 34 + header;
	s->captured = len > 34 + header ? len - 34 - header : 0;
	if (s->captured > s->len) s->captured = s->len;
	unsigned __int128 m = (unsigned __int128)(s->a ^ 0x9e3779b97f4a7c15ull) * (s->b ^ 0xd6e8feb86659fd93ull);
	s->hash = (uint32_t)(m >> 64) ^ (uint32_t)m;
	return 1;
}

int main(int argc, char **argv) {
	int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
	if (fd < 0) return 2;
	size_t have = 0, at = 24;
	uint8_t *b = malloc(BLOCK);
	uint64_t packets = 0;
	segment batch[BATCH];
	table = zeroed(4096), flows = zeroed(sizeof(flow) * MOST), unused = zeroed(4 * MOST);
	for (ssize_t r; (r = read(fd, b + have, BLOCK - have)) > 0;) {
		have += r;
		for (int more = 1; more;) {
			int k = 0;
			while (k < BATCH) {
				if (at + 16 > have || at + 16 + le32(b + at + 8) > have) {
					more = 0;
					break;
				}
				uint32_t len = le32(b + at + 8);
				uint64_t time = (uint64_t)le32(b + at) * 1000000000 + le32(b + at + 4);
				if (parse(b + at + 16, len, time, batch + k)) __builtin_prefetch(table + (batch[k++].hash >> shift));
				at += 16 + len, packets++;
			}
			for (int i = 0; i < k; i++) {
				const char *f = (char *)(flows + table[batch[i].hash >> shift].place);
				__builtin_prefetch(f), __builtin_prefetch(f + 64);
			}
			for (int i = 0; i < k; i++) track(batch + i);
		}
		memmove(b, b + at, have - at);
		have -= at, at = 0;
	}
	printf("%lu packets, %lu connections, %lu closed, %lu requests, %lu answers, %lu crossed\n", packets, opened, closed, requests, answers, crossed);
}
