package trace

import (
	"bytes"
	"encoding/binary"

	"github.com/cilium/ebpf/asm"

	"connrace/tcpstate"
)

// The states of TCP that events are about (Linux's include/net/tcp_states.h).
const (
	established = 1
	synReceived = 3
	finWait1    = 4
	closed      = 7
	closeWait   = 8
	lastACK     = 9
	listen      = 10
)

// Flags of a task and of a group of them (Linux's include/linux/sched.h and sched/signal.h).
const (
	exiting      = 0x4      // PF_EXITING
	kernelThread = 0x200000 // PF_KTHREAD
	groupExit    = 0x4      // SIGNAL_GROUP_EXIT
)

const nameSize = 16 // TASK_COMM_LEN

// ofTask are the fields that tell a task, from where they are read along pointers.
func ofTask(from func(...string) source) []field {
	return []field{
		{"pid", 4, from("task_struct.tgid"), nil},
		{"parent", 4, from("task_struct.real_parent", "task_struct.tgid"), nil},
		{"start", 8, optional(from("task_struct.group_leader", "task_struct.start_boottime")), nil},
		{"flags", 4, from("task_struct.flags"), nil},
		{"code", 4, from("task_struct.exit_code"), nil},
		{"groupFlags", 4, from("task_struct.signal", "signal_struct.flags"), nil},
		{"groupCode", 4, from("task_struct.signal", "signal_struct.group_exit_code"), nil},
		{"name", nameSize, from("task_struct.group_leader", "task_struct.comm"), nil},
	}
}

// ofSocket are the fields that tell a socket in an argument, but for its own port: inet_sport,
// which stays where skc_num is taken away before the socket is closed (inet_put_port).
func ofSocket(n int) []field {
	return []field{
		{"family", 2, read(n, "sock.__sk_common.skc_family"), nil},
		{"remotePort", 2, read(n, "sock.__sk_common.skc_dport"), nil},
		{"local4", 4, read(n, "sock.__sk_common.skc_rcv_saddr"), nil},
		{"remote4", 4, read(n, "sock.__sk_common.skc_daddr"), nil},
		{"local6", 16, optional(read(n, "sock.__sk_common.skc_v6_rcv_saddr")), nil},
		{"remote6", 16, optional(read(n, "sock.__sk_common.skc_v6_daddr")), nil},
	}
}

func netOfSocket(n int) source { return read(n, "sock.__sk_common.skc_net.net", "net.ns.inum") }
func netOfPacket(n int) source {
	return read(n, "sk_buff.dev", "net_device.nd_net.net", "net.ns.inum")
}

func task(n int) func(...string) source {
	return func(members ...string) source { return read(n, members...) }
}

func fields(groups ...[]field) (all []field) {
	for i, g := range groups {
		if i == 0 {
			all = append(all, field{"time", 8, call(asm.FnKtimeGetNs), nil})
		}
		all = append(all, g...)
	}
	return all
}

// kinds are the programs and what their records become. A record's first field says its kind.
var kinds = []struct {
	what string // is seen by it
	program
	event func(*record) any
}{
	{"who closes", program{"inet_sock_set_state", fields([]field{
		{"old", 4, argument(1), among(established, synReceived, closeWait, listen)},
		{"new", 4, argument(2), among(finWait1, lastACK, closed)},
		{"port", 2, read(0, "inet_sock.inet_sport"), watched},
		{"netns", 4, netOfSocket(0), here(false)},
		{"protocol", 2, read(0, "sock.sk_protocol"), equals(6)},
		{"shutdown", 1, read(0, "sock.sk_shutdown"), nil},
	}, ofSocket(0), ofTask(current))}, func(r *record) any {
		c := &Close{Time: r.time(), Listener: r.u32("old") == listen, Task: r.task(), Exiting: r.u32("flags")&exiting != 0}
		c.Local, c.Remote = r.ends()
		const both = 3 // SHUTDOWN_MASK: close() was called, or shutdown() for both directions
		c.ByCall = r.at("shutdown", 1)[0] == both
		if state := r.u32("new"); r.u32("flags")&kernelThread != 0 || state == closed && !c.ByCall && !c.Listener {
			c.Task = Task{} // the network did, in the middle of whatever ran
		}
		return c
	}},
	{"who listens", program{"inet_sock_set_state", fields([]field{
		{"new", 4, argument(2), equals(listen)},
		{"netns", 4, netOfSocket(0), here(false)},
		{"protocol", 2, read(0, "sock.sk_protocol"), equals(6)},
		{"port", 2, read(0, "inet_sock.inet_sport"), watch},
	}, ofSocket(0), ofTask(current))}, func(r *record) any {
		l := &Listen{Time: r.time(), Task: r.task()}
		l.Local, _ = r.ends()
		return l
	}},
	{"how processes end", program{"sched_process_exit", fields([]field{
		{"live", 4, read(0, "task_struct.signal", "signal_struct.live"), equals(0)},
	}, ofTask(task(0)))}, func(r *record) any {
		return &Exit{Time: r.time(), Task: r.task()}
	}},
	{"who kills", program{"signal_generate", fields([]field{
		{"signal", 4, argument(0), among(1, 2, 3, 6, 9, 10, 12, 15)},
		{"info", 8, argument(1), nil},
		{"result", 4, argument(4), equals(0)},
		{"victim", 4, read(2, "task_struct.tgid"), nil},
		{"victimStart", 8, optional(read(2, "task_struct.group_leader", "task_struct.start_boottime")), nil},
	}, ofTask(current))}, func(r *record) any {
		const private = 1 // SEND_SIG_PRIV: the kernel sent it
		return &Signal{Time: r.time(), Number: int(r.u32("signal")), To: int(r.u32("victim")), ToStart: r.start("victimStart"), From: r.task(), Kernel: binary.NativeEndian.Uint64(r.at("info", 8)) == private}
	}},
	{"who is out of memory", program{"mark_victim", fields([]field{
		{"victim", 4, victim, nil},
	})}, func(r *record) any {
		return &OOM{Time: r.time(), PID: int(r.u32("victim"))}
	}},
	{"why packets are dropped", program{"kfree_skb", fields([]field{
		{"reason", 4, argument(2), named("skb_drop_reason", dropPrefix, dropReasons...)},
		{"protocol", 2, read(0, "sk_buff.protocol"), internet},
		{"port", 2, header(0, "sk_buff.transport_header", 2), watched},
		{"netns", 4, netOfPacket(0), here(true)},
		{"ip", 40, header(0, "sk_buff.network_header", 0), nil},
		{"tcp", 20, header(0, "sk_buff.transport_header", 0), nil},
	})}, func(r *record) any {
		d := &Drop{Time: r.time(), reason: r.u32("reason")}
		if !d.parse(r.at("ip", 40), r.at("tcp", 20)) {
			return nil
		}
		return d
	}},
	{"why connections are reset", program{"tcp_send_reset", fields([]field{
		{"reason", 4, argument(2), nil},
		{"netns", 4, optional(netOfSocket(0)), here(true)},
		{"netns2", 4, optional(netOfPacket(1)), here(true)},
		// That of the segment that is answered, if one is.
		{"port", 2, or(read(0, "inet_sock.inet_sport"), 1, header(1, "sk_buff.transport_header", 2)), watched},
	}, ofSocket(0), []field{
		{"ip", 40, header(1, "sk_buff.network_header", 0), nil},
		{"tcp", 20, header(1, "sk_buff.transport_header", 0), nil},
	})}, func(r *record) any {
		x := &Reset{Time: r.time(), reason: r.u32("reason")}
		if d := (Drop{}); d.parse(r.at("ip", 40), r.at("tcp", 20)) { // the segment that is answered
			x.Local, x.Remote = d.To, d.From
		} else {
			x.Local, x.Remote = r.ends()
		}
		return x
	}},
}

// What the names of reasons begin with.
const (
	dropPrefix  = "SKB_DROP_REASON_"
	resetPrefix = "SK_RST_REASON_"
)

// dropReasons are those that tell what somebody can change: a filter, or a full queue. Packets are
// dropped for many others, most of them every day.
var dropReasons = []string{"NETFILTER_DROP", "XDP", "TC_INGRESS", "IP_RPFILTER", "SOCKET_FILTER", "XFRM_POLICY", "SECURITY_HOOK", "TCP_LISTEN_OVERFLOW"}

// internet keeps packets of IP.
func internet(*layout) asm.Instructions {
	const v4, v6 = 0x0800, 0x86dd
	return asm.Instructions{
		asm.HostTo(asm.BE, asm.R1, asm.Half), asm.JEq.Imm(asm.R1, v4, "ip"), asm.JNE.Imm(asm.R1, v6, done), asm.Mov.Imm(asm.R0, 0).WithSymbol("ip"),
	}
}

// victim is a process out of memory, which is handed over as a task, or as its number (before
// Linux 6.9).
func victim(l *layout, at, size int) (asm.Instructions, error) {
	if l.args["mark_victim"] < 2 {
		return argument(0)(l, at, size)
	}
	return read(0, "task_struct.tgid")(l, at, size)
}

// record is what a program wrote.
type record struct {
	offsets map[string]int
	data    []byte
	boot    int64 // what is added to the kernel's times
}

func (r *record) at(field string, size int) []byte { return r.data[r.offsets[field]:][:size] }
func (r *record) u32(field string) uint32          { return binary.NativeEndian.Uint32(r.at(field, 4)) }

func (r *record) time() int64 { return int64(binary.NativeEndian.Uint64(r.at("time", 8))) + r.boot }

// start is when a process began, as Task.Start.
func (r *record) start(field string) uint64 {
	const tick = 1e9 / 100 // USER_HZ, in which /proc/PID/stat counts
	return binary.NativeEndian.Uint64(r.at(field, 8)) / tick
}

func (r *record) task() Task {
	name, _, _ := bytes.Cut(r.at("name", nameSize), []byte{0})
	t := Task{
		PID: int(r.u32("pid")), Parent: int(r.u32("parent")), Name: string(name), Code: r.u32("code"),
		Start: r.start("start"),
	}
	if r.u32("groupFlags")&groupExit != 0 {
		t.Code = r.u32("groupCode")
	}
	return t
}

// ends are the two ends of the socket.
func (r *record) ends() (local, remote tcpstate.Endpoint) {
	const inet = 2
	if binary.NativeEndian.Uint16(r.at("family", 2)) == inet {
		local.Addr, remote.Addr = tcpstate.Addr4(r.at("local4", 4)), tcpstate.Addr4(r.at("remote4", 4))
	} else {
		local.Addr, remote.Addr = tcpstate.Addr16(r.at("local6", 16)).Unmap(), tcpstate.Addr16(r.at("remote6", 16)).Unmap()
	}
	local.Port, remote.Port = binary.BigEndian.Uint16(r.at("port", 2)), binary.BigEndian.Uint16(r.at("remotePort", 2))
	return local, remote
}

// parse reads the headers of a segment.
func (d *Drop) parse(ip, tcp []byte) bool {
	const protocol = 6
	switch {
	case ip[0]>>4 == 4 && ip[9] == protocol:
		d.From.Addr, d.To.Addr = tcpstate.Addr4(ip[12:]), tcpstate.Addr4(ip[16:])
	case ip[0]>>4 == 6: // extension headers may follow: the ports have been looked at
		d.From.Addr, d.To.Addr = tcpstate.Addr16(ip[8:]), tcpstate.Addr16(ip[24:])
	default:
		return false
	}
	d.From.Port, d.To.Port = binary.BigEndian.Uint16(tcp), binary.BigEndian.Uint16(tcp[2:])
	d.Seq, d.Flags = tcpstate.Seq(binary.BigEndian.Uint32(tcp[4:])), tcp[13]
	return true
}
