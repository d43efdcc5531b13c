// Package join makes one case of several captures of the same connections, taken at different
// points of the path: at the load balancer, at a node, at the target.
//
// Of two captures each was analysed by itself, so each has findings of the same incidents. What
// is primary, and how the others are merged:
//
//   - An incident is a connection, by its initial sequence numbers or by segments that the
//     captures share, and in it a request, by the sequence number of its first octet, or the
//     set-up. All findings of an incident become one.
//   - Of these the finding is kept of whoever knew best: the graver one; then one that says
//     what was lost; then one that rests on a close, which its sender's end shows for certain;
//     and where they say the same, that of the point nearest to the LB, where the failure was
//     felt. What it shows of frames, streams and times stays that of its capture.
//   - The connection is then compared segment by segment (Look). Of each segment of evidence
//     Evidence.Seen says where it was, which nothing else sets; from that follows a
//     detect.Proof, which alone may change a verdict (verdict.go).
//   - Figures of traffic are those of the point nearest to the LB, and of connections that only
//     others have, theirs.
//
// All captures have been read when it begins. From the detector it has of each connection the
// SYNs and a few segments that begin messages (detect.Connection); only of those that findings
// are about are the captures read once more, around the time of the finding.
package join
