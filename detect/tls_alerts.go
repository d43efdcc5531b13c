package detect

import (
	"fmt"
	"strings"
)

// alertName is the name of a TLS alert (RFC 8446 §6, RFC 5246 §7.2).
func alertName(a uint8) string {
	if n := alerts[a]; n != "" {
		return n
	}
	return fmt.Sprint(a)
}

var alerts = map[uint8]string{
	10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow", 40: "handshake_failure",
	42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
	46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
	51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
	86: "inappropriate_fallback", 90: "user_canceled", 109: "missing_extension", 110: "unsupported_extension",
	112: "unrecognized_name", 113: "bad_certificate_status_response", 115: "unknown_psk_identity",
	116: "certificate_required", 120: "no_application_protocol",
}

// alertAdvice says what an alert means (RFC 8446 §6.2) of who sent it and of the other side; nil: no more than
// that the two could not agree.
func alertAdvice(a uint8, who, other string) *advice {
	certificate := "Look at the target's certificate: `openssl s_client -connect TARGET -servername NAME` from the load balancer's host shows it."
	whole, trust := "nginx ssl_certificate", "nginx proxy_ssl_trusted_certificate, HAProxy ca-file"
	if who == "target" { // it asks for one
		certificate = "Look at the client certificate that the load balancer is set to send (nginx proxy_ssl_certificate, HAProxy crt): `openssl x509 -noout -text -in FILE` shows it."
		whole, trust = "nginx proxy_ssl_certificate, HAProxy crt", "nginx ssl_client_certificate"
	}
	switch a {
	case 40, 71: // handshake_failure, insufficient_security
		return say(who, other, "The WHO found nothing to agree on in what the OTHER offered: cipher suites, groups and signature algorithms; or it wants a client certificate.",
			"Compare the cipher suites that both allow (nginx ssl_ciphers and proxy_ssl_ciphers, HAProxy ciphers), and the kind of key of the target's certificate.")
	case 42, 43, 46: // bad_certificate, unsupported_certificate, certificate_unknown
		return say(who, other, "The WHO did not accept the OTHER's certificate: it is broken, of a kind that is not allowed, or for another name.", certificate)
	case 44, 45: // certificate_revoked, certificate_expired
		return say(who, other, "The WHO did not accept the OTHER's certificate: it has expired or was revoked.", "Renew the OTHER's certificate, and look at both clocks. "+certificate)
	case 48: // unknown_ca
		return say(who, other, "The WHO did not accept the OTHER's certificate: it does not know who issued it.",
			"Let the OTHER send the whole chain ("+whole+"), or let the WHO trust its issuer ("+trust+"). "+certificate)
	case 70, 86: // protocol_version, inappropriate_fallback
		return say(who, other, "The WHO and the OTHER have no version of TLS in common.",
			"Allow the same versions on both, TLS 1.2 and 1.3 (nginx ssl_protocols and proxy_ssl_protocols, HAProxy ssl-min-ver).")
	case 80: // internal_error
		return say(who, other, "The WHO failed by itself during the handshake: most often for lack of a certificate or key for that name.", "Look in the WHO's log at that second.")
	case 112: // unrecognized_name
		return say(who, other, "The WHO has no certificate for the server name that the OTHER sent (SNI).",
			"Let the load balancer send a name that the target has (nginx proxy_ssl_server_name and proxy_ssl_name, HAProxy sni), or give the target a certificate for it.")
	case 116: // certificate_required
		return say(who, other, "The WHO wants a client certificate, and the OTHER sent none.",
			"Give the load balancer a client certificate (nginx proxy_ssl_certificate, HAProxy crt), or do not ask it for one (nginx ssl_verify_client).")
	case 120: // no_application_protocol
		return say(who, other, "The WHO speaks none of the protocols that the OTHER offered (ALPN): one of them speaks HTTP/2 only, or does not.",
			"Let both have a protocol in common: h2 or http/1.1 (nginx http2, HAProxy alpn).")
	}
	return nil
}

// say is advice in which WHO and OTHER are the two sides.
func say(who, other, cause, fix string) *advice {
	r := strings.NewReplacer("WHO", who, "OTHER", other)
	return &advice{r.Replace(cause), r.Replace(fix)}
}
