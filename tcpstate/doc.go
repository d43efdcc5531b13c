// Package tcpstate rebuilds from segments what the two ends of each TCP connection
// knew: who sent what first, what each side had seen when it sent it, which requests
// are outstanding, how the connection closed. It knows nothing of files or findings.
package tcpstate
