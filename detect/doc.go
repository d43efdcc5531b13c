// Package detect decides, from the facts that tcpstate keeps, which failure a
// connection shows, and proves it with frames.
//
// The way of the data:
//
//	event     tcpstate.Tracker calls a handler of Detector (detector.go) when a fact changes;
//	          it updates the figures of the connection's target (target.go)
//	facts     when a connection or a handshake is settled, its facts are resolved (facts.go)
//	rule      the rules about that subject are asked in the order of Rules; the first that
//	          has an answer decides (one file each; closerace.go and syn.go are shared)
//	pending   its finding waits for what belongs to it: a retry, a new handshake, the kernel's
//	          word, the fate of other connections; then it is enriched (pending.go)
//	finding   and emitted, once. Cause and fix follow why the target closed (closecause.go)
//
// What infers idle timeouts and what keeps a kernel's samples knows nothing of findings:
// internal/idle and internal/kernel.
//
// # How to add a rule
//
//  1. Write some_rule.go with var SomeRule = &Rule{ID: "some-rule", …}: the doc comment says
//     what decides and cites the RFC section or kernel function, Diagram shows it, once.
//  2. Set About to what it is about, and Match to a function that reads Facts and returns nil
//     or a Finding; begin that with Facts.lost, exchange, handshake, finding or ofTarget, which
//     know roles, evidence and confidence.
//  3. Set the other traits as their comments in rule.go say. Nothing outside of the file asks
//     which rule it is; TestTraits names what is missing or contradicts itself.
//  4. Add one line to Rules (rules.go), behind all that must be asked before it.
//  5. Write three scripts (package pcaps): one that shows it, a near miss, a healthy
//     look-alike. A "# want some-rule" stands on the line of the decisive segment, of a rule
//     about a target on the target's line under hosts. go test ./pcaps -update brings them
//     into their form.
//  6. UPDATE=1 go test ./detect ./cmd/connrace -run 'README|Alerts' writes what lists rules: the
//     tables of docs/rules.md and pcaps/README.md, the expressions of deploy/alerts.yml.
//  7. go test ./detect ./pcaps ./cmd/... names whatever is still missing.
//
// If a fact is missing: what one segment changes is a field of tcpstate.Half or Notes (a Flow
// stays at 256 octets; times move in Shift, too). What a target shows over time is in told
// (target.go), its times in shift there. Connections that closed in order are not asked about
// (Detector.inOrder).
package detect
