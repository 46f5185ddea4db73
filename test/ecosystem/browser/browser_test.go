//go:build e2e && linux

package browser

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const services = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.0.77, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: wide}
spec: {ipFamilies: [IPv6], ports: [{port: 80}]}
---
apiVersion: portolan.dev/v1
kind: NodePort
metadata: {name: "30053"}
spec: {parentRef: {resource: reservations, name: dns}, expirationTimestamp: "2999-01-01T00:00:00Z"}
`

// viewOfWeb is the view of the Service web.
const viewOfWeb = "holder?resource=services.portolan.dev&namespace=default&name=web"

const late = `
apiVersion: v1
kind: Service
metadata: {name: late}
spec: {type: NodePort, ports: [{port: 80, nodePort: 30082}]}
`

// TestPage does what a user does, one after the other in one browser.
func TestPage(t *testing.T) {
	// It is skipped before a server is started.
	p := browse(t, "about:blank")
	c := cluster{t, serve(t, "--service-cluster-ip-range=10.96.0.0/24,fd00:96::/64")}
	c.kubectl(services, "create", "-f", "-")
	address := c.ui()
	p.do(chromedp.Navigate(address))
	for _, part := range []struct {
		name string
		run  func(*testing.T, *page, cluster)
	}{
		{"overview", testOverview},
		{"keyboard", testKeyboard},
		{"live", testLive},
		{"huge range", testHugeRange},
		{"table", testTable},
		{"highlight", testHighlight},
		{"screen reader", testScreenReader},
		{"colors", testColors},
		{"narrow", testNarrow},
		{"policy", testPolicy},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			p.t, c.t = t, t
			part.run(t, p, c)
		}) {
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, request := range p.requests {
		if !strings.HasPrefix(request, address) && request != "about:blank" {
			t.Errorf("the page asked for %s, which is not of %s", request, address)
		}
	}
	if len(p.complaints) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(p.complaints, "\n"))
	}
}

func testOverview(_ *testing.T, p *page, _ cluster) {
	p.shows("ServiceCIDRs")
	p.shows("2 of 254 addresses")
	p.shows("about 2^64 addresses")
	p.shows("2 of 2,768 ports")
	p.shows("1 reserved")
	p.becomes("document.getElementById('status').textContent", "Live")
}

// testKeyboard goes from a search to a Service, to its port, and to its neighbors and back.
func testKeyboard(_ *testing.T, p *page, _ cluster) {
	p.press("/")
	p.becomes("document.activeElement.id", "query")
	// The driver sends the character too, although the page handled the key.
	p.press(kb.Backspace)
	p.press("d", "e", "f", "a", "u", "l", "t", "/", "w", "e", "b")
	p.shows("1 holder")
	p.tabTo("default/web")
	p.press(kb.Enter)
	p.becomes("document.querySelector('h1').textContent", "default/web")
	p.tabTo("30080")
	p.press(kb.Enter)
	p.becomes(focused, "30080, held by default/web, in the static band")
	p.press(kb.ArrowRight)
	p.becomes(focused, "30081, free, in the static band")
	p.press(kb.ArrowLeft, kb.Home)
	p.becomes(focused, "30050, free, in the static band")
	p.press(kb.ArrowRight, kb.ArrowRight, kb.ArrowRight)
	p.becomes(focused, "30053, reserved for reservations/dns, in the static band")
	p.press(kb.ArrowDown, kb.ArrowUp, kb.Enter)
	p.becomes(focused, "30053")
	p.shows("Reserved for reservations/dns.")
	p.shows("The reservation ends in ")
	p.press(kb.Escape)
	p.becomes(focused, "30053, reserved for reservations/dns, in the static band")
	p.press(kb.Enter)
	p.tabTo("reservations/dns")
	p.press(kb.Enter)
	p.becomes("document.querySelector('h1').textContent", "reservations/dns")
}

// testLive watches a cell while its Service comes and goes.
func testLive(_ *testing.T, p *page, c cluster) {
	p.open("range?kind=NodePortRange&name=kubernetes&at=30082&cell=30082")
	p.becomes(focused, "30082, free, in the static band")
	c.kubectl(late, "create", "-f", "-")
	p.becomes(focused, "30082, held by default/late, in the static band")
	p.shows("Held by default/late.")
	c.kubectl("", "delete", "service", "late")
	p.becomes(focused, "30082, free, in the static band")
}

// testHugeRange comes to the one address of a /64, cell by cell.
func testHugeRange(t *testing.T, p *page, _ cluster) {
	p.open("range?kind=ServiceCIDR&name=kubernetes")
	p.shows("A cell is 2^54 addresses.")
	taken := "[...document.querySelectorAll('[aria-label=\"Map of fd00:96::/64\"] .level1')].map((cell) => cell.ariaLabel).join()"
	if got := evaluate[string](p, taken); !strings.Contains(got, ", 1 of ") || strings.Count(got, " allocated") != 1 {
		t.Fatalf("the cells that are not empty are %q", got)
	}
	p.choose(`[aria-label="Map of fd00:96::/64"] .level1`)
	const steps = 6
	for step := range steps {
		p.shows("default/wide")
		p.click("aside .panel a")
		// All ranges, the range, its block, and each part.
		p.becomes("String(document.querySelectorAll('.path li').length)", strconv.Itoa(4+step))
		if step < steps-1 {
			p.choose(".grid .level1, .grid .level2")
		}
	}
	p.becomes("document.querySelector('.grid .level6').ariaLabel.replace(/^fd00:96::\\S+, /, '')", "held by default/wide")
}

func testTable(_ *testing.T, p *page, _ cluster) {
	p.open("range?kind=NodePortRange&name=kubernetes")
	p.shows("A cell is one port.")
	p.tabTo("Table")
	p.press(kb.Enter)
	p.becomes("[...document.querySelectorAll('tbody tr')].map((row) => [...row.children].slice(0, 3).map((cell) => cell.textContent.replace(/in [0-9,]+ days/, 'in days')).join(' ')).join(';')",
		"30053 (static band) reserved, ends in days reservations/dns;30080 (static band) held default/web")
	p.becomes(focused, "Table")
	p.click("#as-Map")
	p.becomes("String(document.querySelectorAll('.grid .cell').length)", "2768")
}

func testHighlight(_ *testing.T, p *page, _ cluster) {
	p.tabTo("default1")
	p.press(kb.Enter)
	p.becomes("[...document.querySelectorAll('.grid .marked')].map((cell) => cell.ariaLabel).join()",
		"30080, held by default/web, in the static band")
	p.becomes("document.activeElement.id", "namespace-default")
	p.press(kb.Enter)
	p.becomes("String(document.querySelectorAll('.grid .marked').length)", "0")
}

// testScreenReader wants names of all that can have the focus, and one stop of the Tab key
// for a map.
func testScreenReader(t *testing.T, p *page, _ cluster) {
	for _, view := range []string{"ranges", "range?kind=NodePortRange&name=kubernetes&cell=30080", "search?q=web", viewOfWeb} {
		p.open(view)
		// The browser updates what a screen reader gets a moment after the page.
		if err := eventually(t.Context(), func() error {
			unnamed, focusable := p.unnamed()
			if len(unnamed) > 0 || focusable < 4 {
				return fmt.Errorf("%s: of %d that can have the focus, there is no name of %v", view, focusable, unnamed)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		for problem, expression := range map[string]string{
			"stops of the Tab key in a map":  "String([...document.querySelectorAll('[role=grid]')].every((grid) => grid.querySelectorAll('[tabindex=\"0\"]').length === 1))",
			"rows without a header":          "String([...document.querySelectorAll('[role=row]')].every((row) => row.firstElementChild.role === 'rowheader'))",
			"a main, a header and a search":  "String(document.querySelectorAll('main, header.top, [role=search]').length === 3)",
			"one heading of the first level": "String(document.querySelectorAll('h1').length === 1)",
			"ids that are there twice":       "String(new Set([...document.querySelectorAll('[id]')].map((one) => one.id)).size === document.querySelectorAll('[id]').length)",
			"a title of the page":            "String(document.title.endsWith(' · Portolan') && document.title.length > 12)",
		} {
			if evaluate[string](p, expression) != "true" {
				t.Errorf("%s: %s", view, problem)
			}
		}
	}
}

// contrast returns the least contrast of texts that are shown (WCAG 2.2, 1.4.3), with what has it.
const contrast = `(() => {
	const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
	const channels = (color) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = color;
		canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const luminance = (color) => channels(color).slice(0, 3).map((c) => c / 255)
		.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const background = (node) => {
		const own = getComputedStyle(node).backgroundColor;
		return channels(own)[3] > 0 || !node.parentElement ? own : background(node.parentElement);
	};
	let least = [99, ''];
	for (const node of document.querySelectorAll('body *')) {
		const text = [...node.childNodes].filter((child) => child.nodeType === 3).map((child) => child.data.trim()).join('');
		if (!text || node.getClientRects().length === 0 || node.closest('.hidden')) continue;
		const [dark, light] = [luminance(getComputedStyle(node).color), luminance(background(node))].sort((a, b) => a - b);
		const ratio = (light + 0.05) / (dark + 0.05);
		if (ratio < least[0]) least = [ratio, text];
	}
	return least[0] >= 4.5 ? 'enough' : least.join(' ');
})()`

func testColors(_ *testing.T, p *page, _ cluster) {
	backgrounds := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		p.in(scheme, "reduce")
		for _, view := range []string{"ranges", "range?kind=NodePortRange&name=kubernetes&cell=30080", "search?q=web"} {
			p.open(view)
			p.becomes(contrast, "enough")
		}
		backgrounds[evaluate[string](p, "getComputedStyle(document.body).backgroundColor")] = true
	}
	if len(backgrounds) != 2 {
		p.t.Errorf("light and dark are %v", backgrounds)
	}
	const animation = `(() => {
		const cell = document.querySelector('.cell');
		cell.classList.add('changed');
		const { animationName } = getComputedStyle(cell);
		cell.classList.remove('changed');
		return animationName;
	})()`
	p.open("ranges")
	p.becomes(animation, "none")
	p.in("light", "no-preference")
	p.becomes(animation, "changed")
}

// testNarrow wants no page that is wider than the window of a phone.
func testNarrow(_ *testing.T, p *page, _ cluster) {
	const phoneWidth, phoneHeight = 360, 740
	p.resize(phoneWidth, phoneHeight)
	for _, view := range []string{"search?q=1", "range?kind=ServiceCIDR&name=kubernetes", "ranges", viewOfWeb} {
		p.open(view)
		p.becomes("String(document.documentElement.scrollWidth <= innerWidth)", "true")
	}
	p.resize(width, height)
}

// testPolicy wants the browser to refuse scripts that are not files of the page, and the
// server to refuse who does not know the secret.
func testPolicy(t *testing.T, p *page, _ cluster) {
	const inject = `(() => {
		try {
			document.createElement('script').text = 'window.injected = true';
			return 'a script was made';
		} catch (refused) {
			return refused.name;
		}
	})()`
	p.mu.Lock()
	// The browser reports this one.
	p.ignores = true
	p.mu.Unlock()
	p.becomes(inject, "TypeError")
	origin := evaluate[string](p, "location.origin")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, origin+"/api/ranges", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("without the secret, the answer is %s", response.Status)
	}
}
