package detect

// What is said of an LB that repeats requests is the same wherever it is said: what helps, and what it may cost.

// mayRunTwice is what repeating costs where a request is not idempotent (RFC 9110 §9.2.2).
const mayRunTwice = "a POST that is repeated may run twice"

// repeatIdempotent goes on in a sentence about what helps until, or unless, the target's close can be helped.
const repeatIdempotent = "let the load balancer repeat idempotent requests, elsewhere if it can (" + mayRunTwice + ")"
