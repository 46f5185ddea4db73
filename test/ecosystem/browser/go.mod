// Opens portolan ui in a browser. A module of its own keeps the browser's driver out of
// the server's dependencies.
module github.com/portolan-dev/portolan/test/ecosystem/browser

go 1.26.0

require (
	github.com/chromedp/cdproto v0.160.1
	github.com/chromedp/chromedp v0.23.1
)

require github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
