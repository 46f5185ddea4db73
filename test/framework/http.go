package framework

import (
	"io"
	"maps"
	"net/http"
	"testing"

	"golang.org/x/net/websocket"
)

// Send sends a request and returns the answer with its body.
func Send(t testing.TB, client *http.Client, method, url string, body io.Reader, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return response, string(text)
}

// FollowNone makes a client return redirects instead of following them.
func FollowNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Echo sends each message back.
func Echo(socket *websocket.Conn) {
	for {
		var message string
		if websocket.Message.Receive(socket, &message) != nil || websocket.Message.Send(socket, message) != nil {
			return
		}
	}
}
