package lblog

import "strings"

// gcpDetails are the statusDetails of Google Cloud's Application Load Balancers that tell of a failure between it and a
// backend or a client ("Global external Application Load Balancer logging and monitoring", failure messages).
var gcpDetails = map[string]struct {
	failure Failure
	why     string
}{
	"backend_connection_closed_before_data_sent_to_client":  {Closed, ""},
	"backend_connection_closed_after_partial_response_sent": {Truncated, ""},
	"backend_timeout":                              {ReadTimeout, ""},
	"failed_to_connect_to_backend":                 {ConnectError, ""}, // by a time-out, too
	"failed_to_pick_backend":                       {Local, "the load balancer found no healthy backend"},
	"failed_to_negotiate_alpn":                     {Closed, "the load balancer and the backend agreed on no protocol (ALPN)"},
	"backend_early_response_with_non_error_status": {BadAnswer, "the backend answered before it had the whole request"},
	"backend_interim_response_not_supported":       {BadAnswer, "the backend sent an interim answer where none may be"},
	"backend_response_corrupted":                   {BadAnswer, "the backend's answer was damaged, in its chunks perhaps"},
	"backend_response_headers_too_long":            {BadAnswer, "the header of the backend's answer is too large"},
	"client_disconnected_before_any_response":      {ClientGone, ""},
	"client_disconnected_after_partial_response":   {ClientGone, ""},
	"client_timed_out":                             {ClientGone, ""},
	"config_not_found":                             {Local, "the load balancer had no configuration for it yet"},
	"internal_error":                               {Local, "an internal error of the load balancer"},
	"retriable_error":                              {Local, "an error of the load balancer's infrastructure"},
	"request_loop_detected":                        {Local, "the backend sent the request back to the load balancer"},
	"direct_response":                              {Local, "the load balancer answered by itself"},
	"fault_filter_abort":                           {Local, "a fault was injected"},
}

// gcpFailure finds out what statusDetails say.
func (e *Entry) gcpFailure(details string) {
	e.Says = "statusDetails " + details
	is, known := gcpDetails[details]
	switch {
	case known && (is.failure != Local || e.Status >= 500):
		e.Failure, e.Why = is.failure, is.why
	case e.Status < 500:
	case details == "response_sent_by_backend":
		e.answered(e.Status)
	case strings.HasPrefix(details, "server_cert_"), strings.HasPrefix(details, "ssl_certificate_"):
		e.Failure, e.Why = Closed, "the load balancer does not accept the backend's certificate"
	case strings.HasSuffix(details, "_by_security_policy"), strings.HasSuffix(details, "_by_identity_aware_proxy"):
		e.Failure, e.Why = Local, "the load balancer denied it"
	default:
		e.Failure = Unsaid
	}
}
