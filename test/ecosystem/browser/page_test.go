//go:build e2e && linux

package browser

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The size of the window, if a test does not change it.
const width, height = 1280, 900

// page is a tab of a browser.
type page struct {
	t   *testing.T
	ctx context.Context

	mu sync.Mutex
	// requests are the addresses that it asked for, complaints the errors that it logged.
	requests, complaints []string
	// ignores is set when what follows is not the page's doing.
	ignores bool
}

// browse starts a browser and opens an address.
func browse(t *testing.T, address string) *page {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skipf("no browser can run here: %v (Debian's package is chromium)", err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(patience))
	allocator, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	p := &page{t: t, ctx: ctx}
	// The tab is opened first, so that the listener sees what it asks for.
	p.do()
	_, networkErr := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	_, logErr := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	if err := errors.Join(chromedp.Listen(ctx, p.note), networkErr, logErr); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.EmulateViewport(width, height), chromedp.Navigate(address))
	return p
}

// note keeps what the page asks for and complains about.
func (p *page) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ignores {
		return
	}
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		p.complaints = append(p.complaints, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		p.complaints = append(p.complaints, fmt.Sprintf("console: %v", e.Args))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			p.complaints = append(p.complaints, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// evaluate returns the value of an expression of JavaScript.
func evaluate[T any](p *page, expression string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// click clicks on the first element that a CSS selector selects.
func (p *page) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// choose clicks on a cell of a map until its details are shown. A click is lost if the page is
// updated between the press and the release of the button.
func (p *page) choose(selector string) {
	p.t.Helper()
	err := eventually(p.t.Context(), func() error {
		if evaluate[bool](p, "document.getElementById('cell-title') !== null") {
			return nil
		}
		p.click(selector)
		return fmt.Errorf("%s has no details", selector)
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// resize sets the size of the window.
func (p *page) resize(width, height int64) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(width, height))
}

// open shows a view, another one than is shown.
func (p *page) open(view string) {
	p.t.Helper()
	evaluate[string](p, fmt.Sprintf("document.querySelector('main').ariaBusy = 'true'; location.hash = %q", "#/"+view))
	p.becomes("String(document.querySelector('main').ariaBusy)", "null")
}

// press types keys, one after the other.
func (p *page) press(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		p.do(chromedp.KeyEvent(key))
	}
}

// becomes waits until an expression has a value.
func (p *page) becomes(expression, want string) {
	p.t.Helper()
	err := eventually(p.t.Context(), func() error {
		if got := evaluate[string](p, expression); got != want {
			return fmt.Errorf("%s is %q, want %q", expression, got, want)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// shows waits until the page has a text.
func (p *page) shows(text string) {
	p.t.Helper()
	err := eventually(p.t.Context(), func() error {
		if got := evaluate[string](p, "document.body.innerText"); !strings.Contains(got, text) {
			return fmt.Errorf("there is no %q in\n%s", text, got)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// focused is an expression: what has the focus, in words.
const focused = "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"

// tabTo presses the Tab key until something has the focus.
func (p *page) tabTo(what string) {
	p.t.Helper()
	var seen []string
	const most = 60
	for range most {
		p.press(kb.Tab)
		got := evaluate[string](p, focused)
		if got == what {
			return
		}
		seen = append(seen, got)
	}
	p.t.Fatalf("the Tab key does not come to %q, but to %q", what, seen)
}

// unnamed returns what can have the focus and has no name for a screen reader.
func (p *page) unnamed() (unnamed []string, focusable int) {
	p.t.Helper()
	tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, node := range tree.Nodes {
		canFocus := slices.ContainsFunc(node.Properties, func(property *accessibility.Property) bool {
			return property.Name == accessibility.PropertyNameFocusable && string(property.Value.Value) == "true"
		})
		if role := text(node.Role); !canFocus || node.Ignored || role == "RootWebArea" || role == "main" {
			continue
		}
		if focusable++; text(node.Name) == "" {
			unnamed = append(unnamed, fmt.Sprintf("%s of node %d", text(node.Role), node.BackendDOMNodeID))
		}
	}
	return unnamed, focusable
}

func text(value *accessibility.Value) string {
	if value == nil {
		return ""
	}
	return strings.Trim(string(value.Value), `"`)
}

// in sets what the user prefers.
func (p *page) in(scheme, motion string) {
	p.t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		p.t.Fatal(err)
	}
}
