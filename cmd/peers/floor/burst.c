// burst sends the frames of a classic little-endian pcap file to an interface, so many in a second,
// whatever their times, and says how many it sent.
//
// Written for this project, to measure with; under its license. gcc -O2 -o burst burst.c
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64 };

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) { // DEVICE FILE RATE
	if (argc != 4) return 2;
	double rate = atof(argv[3]);
	int fd = open(argv[2], O_RDONLY), s = socket(AF_PACKET, SOCK_RAW, 0), one = 1;
	struct stat st;
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(argv[1])};
	if (fd < 0 || s < 0 || fstat(fd, &st) || !to.sll_ifindex || bind(s, (struct sockaddr *)&to, sizeof to)) return perror("burst"), 1;
	setsockopt(s, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
	uint8_t *b = mmap(0, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (b == MAP_FAILED) return perror("burst"), 1;
	struct mmsghdr m[BATCH];
	struct iovec v[BATCH];
	unsigned long sent = 0;
	double began = now();
	for (off_t at = 24; at + 16 <= st.st_size;) {
		int n = 0;
		memset(m, 0, sizeof m);
		for (; n < BATCH && at + 16 <= st.st_size; n++) {
			uint32_t len;
			memcpy(&len, b + at + 8, 4);
			if (at + 16 + len > st.st_size) return 1;
			v[n] = (struct iovec){b + at + 16, len};
			m[n].msg_hdr.msg_iov = v + n, m[n].msg_hdr.msg_iovlen = 1;
			at += 16 + len;
		}
		for (int k = 0; k < n;) {
			int done = sendmmsg(s, m + k, n - k, 0);
			if (done > 0) k += done;
		}
		sent += n;
		while (now() - began < sent / rate) // no sleep is as short as that
			;
	}
	printf("%lu %.3f\n", sent, now() - began);
}
