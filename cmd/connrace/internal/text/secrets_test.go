package text

import (
	"strings"
	"testing"
)

func TestWithoutSecrets(t *testing.T) {
	for _, tt := range []struct{ target, shown, query string }{
		{"", "", ""},
		{"*", "*", "*"},
		{"/a/b", "/a/b", "/a/b"},
		{"/a?b=c", "/a", "/a?b=c"},
		{"/a#b", "/a", "/a#b"},
		{"/a;jsessionid=1/b", "/a", "/a;jsessionid=1/b"},
		{"/a%3Fb=c", "/a", "/a%3Fb=c"},
		{"/a%3fb=c", "/a", "/a%3fb=c"},
		{"/a%3Bjsessionid=c", "/a", "/a%3Bjsessionid=c"},
		{"/a%253fb", "/a", "/a%253fb"},
		{"/a%25253Fb", "/a", "/a%25253Fb"},
		{"/a%23b", "/a", "/a%23b"},
		{"/a%u003Fb", "/a", "/a%u003Fb"},
		{"/a%25U003bb", "/a", "/a%25U003bb"},
		{"/a%u00e9%u00", "/a%u00e9%u00", "/a%u00e9%u00"},
		{"/a%2Fb%20c%", "/a%2Fb%20c%", "/a%2Fb%20c%"},
		{"/a%25", "/a%25", "/a%25"},
		{"http://u:p@host:80/a?b", "http://host:80/a", "http://host:80/a?b"},
		{"http://host/a@b", "http://host/a@b", "http://host/a@b"},
		{"http://u:p@q@host", "http://host", "http://host"},
		{"u:p@host:443", "host:443", "host:443"},
		{"//u:p@host/a", "//host/a", "//host/a"},
		{"/@user/a@b", "/@user/a@b", "/@user/a@b"},
		{"/fetch/https://u:p@host/x", "/fetch/https://host/x", "/fetch/https://host/x"},
		{"/fetch?url=https://u:p@host/x", "/fetch", "/fetch?url=https://host/x"},
		{"http://a:b@c/d://e:f@g", "http://c/d://g", "http://c/d://g"},
	} {
		if got := WithoutSecrets(tt.target, false); got != tt.shown {
			t.Errorf("%s: %s, want %s", tt.target, got, tt.shown)
		}
		if got := WithoutSecrets(tt.target, true); got != tt.query {
			t.Errorf("%s with its query: %s, want %s", tt.target, got, tt.query)
		}
	}
	if long := strings.Repeat("://a@", 1000); strings.Contains(WithoutSecrets(long, true), "@") {
		t.Error("a user is left")
	}
}
