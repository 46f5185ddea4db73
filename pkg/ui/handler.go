package ui

import (
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

//go:embed page
var files embed.FS

// contentSecurityPolicy allows what comes from this server, and nothing that is written in
// the page itself.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func newHandler(model *Model, token, target string) http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		// The folder is part of the program.
		panic(err)
	}
	mux := http.NewServeMux()
	views{model, target}.register(mux)
	mux.Handle("GET /", http.FileServerFS(page))
	return withHeaders(onlyLoopback(onlyGet(onlyWith(token, mux))))
}

// withHeaders adds the headers that keep the page apart from others.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// onlyLoopback rejects requests to a name that is not loopback's. A browser sends the name
// that its page has. The port does not matter: ssh -L changes it.
func onlyLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		addr, err := netip.ParseAddr(host)
		if host != "localhost" && (err != nil || !addr.IsLoopback()) {
			http.Error(w, "Only requests to 127.0.0.1, ::1 or localhost are answered.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func onlyGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "Only GET is allowed.", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// onlyWith answers requests whose path begins with the token, in time that does not depend
// on how much of it is right.
func onlyWith(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, hasMore := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		got := sha256.Sum256([]byte(first))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			http.Error(w, "Open the address that portolan ui printed. It has a secret in it, which is another one at each start.",
				http.StatusForbidden)
			return
		}
		if !hasMore {
			http.Redirect(w, r, "/"+token+"/", http.StatusFound)
			return
		}
		http.StripPrefix("/"+token, next).ServeHTTP(w, r)
	})
}
