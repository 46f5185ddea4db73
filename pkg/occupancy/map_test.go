package occupancy

import (
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

var (
	shopWeb = &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u"}}
	// expiry is when the reservation ends.
	expiry = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
)

// filled has ranges of every size, in which shop/web holds a value, and a reservation.
func filled(t *testing.T) *Occupancy {
	t.Helper()
	cidr := func(name string, cidrs ...string) *v1.ServiceCIDR {
		return &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.ServiceCIDRSpec{CIDRs: cidrs}}
	}
	held := v1.NewHeldAddress("10.96.4.7", shopWeb)
	held.Spec.ExpirationTimestamp = &metav1.Time{Time: expiry}
	return New(Objects{
		Ranges: []runtime.Object{
			cidr("small", "10.0.0.0/28"), cidr("large", "10.96.0.0/12", "fd00:96::/48"), cidr("inner", "10.96.4.0/24"),
			&v1.NodePortRange{ObjectMeta: metav1.ObjectMeta{Name: "ports"}, Spec: v1.NodePortRangeSpec{Ports: []string{"443", "30000-32767"}}},
		},
		Claims: []runtime.Object{
			held, v1.NewHeldAddress("fd00:96::7:9", shopWeb), v1.NewHeldPort("30080", nil, shopWeb),
			&v1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "10.96.4.8"}, Spec: v1.IPAddressSpec{
				ParentRef: &v1.ParentReference{Resource: "reservations", Name: "dns"}, ExpirationTimestamp: &metav1.Time{Time: expiry},
			}},
			v1.NewHeldAddress("192.0.2.1", shopWeb),
		},
	})
}

// path returns the steps of a map.
func path(m Map) string {
	var texts []string
	for _, step := range m.Path {
		texts = append(texts, step.Text)
	}
	return strings.Join(texts, " ")
}

// TestPart comes closer to a value, from the block to a map that has it as a cell.
func TestPart(t *testing.T) {
	t.Parallel()
	o := filled(t)
	for _, test := range []struct {
		kind, name, at string
		depth          int
		path           string
		cells          int
		cellSize       string
	}{
		{"ServiceCIDR", "small", "10.0.0.3", -1, "10.0.0.0/28", 14, "1"},
		{"ServiceCIDR", "small", "10.0.0.3", 5, "10.0.0.0/28", 14, "1"},
		{"ServiceCIDR", "large", "10.96.4.7", 0, "10.96.0.0/12", 1024, "1024"},
		{"ServiceCIDR", "large", "10.96.4.7", 1, "10.96.0.0/12 10.96.4.0/22", 1024, "1"},
		{"ServiceCIDR", "large", "10.96.4.7", -1, "10.96.0.0/12 10.96.4.0/22", 1024, "1"},
		// The network and the broadcast address are not in the range.
		{"ServiceCIDR", "large", "10.96.0.1", 1, "10.96.0.0/12 10.96.0.1-10.96.3.255", 1023, "1"},
		{"ServiceCIDR", "large", "10.111.255.254", 1, "10.96.0.0/12 10.111.252.0-10.111.255.254", 1023, "1"},
		{"ServiceCIDR", "large", "fd00:96::7:9", 0, "fd00:96::/48", 1024, "1180591620717411303424"},
		{"ServiceCIDR", "large", "fd00:96:0:1234::1", 1, "fd00:96::/48 fd00:96:0:1200::/58", 1024, "1152921504606846976"},
		{"NodePortRange", "ports", "443", -1, "443", 1, "1"},
		{"NodePortRange", "ports", "32767", -1, "30000-32767", 2768, "1"},
	} {
		shown, err := o.Part(test.kind, test.name, PartOptions{At: test.at, Depth: test.depth}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		m := shown.Maps[0]
		if got := path(m); got != test.path || len(m.Cells) != test.cells || m.CellSize != test.cellSize {
			t.Errorf("%s in %s at depth %d: got %q with %d cells of %s, want %q with %d of %s",
				test.at, test.name, test.depth, got, len(m.Cells), m.CellSize, test.path, test.cells, test.cellSize)
		}
		checkSums(t, m)
	}
	shown, err := o.Part("ServiceCIDR", "large", PartOptions{At: "fd00:96::7:9", Depth: -1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m := shown.Maps[0]
	if m.CellSize != "1" || m.Cells[9].Text != "fd00:96::7:9" || m.Cells[9].Claim == nil || len(m.Path) != 8 {
		t.Errorf("the way to fd00:96::7:9 is %s; the cell is %v", path(m), m.Cells[9])
	}
}

// checkSums wants the cells to have together what the map has.
func checkSums(t *testing.T, m Map) {
	t.Helper()
	capacity, allocated, static := new(big.Int), 0, uint64(0)
	for _, cell := range m.Cells {
		text := cell.Capacity
		if text == "" {
			text = m.CellSize
		}
		size, ok := new(big.Int).SetString(text, 10)
		if !ok {
			t.Fatalf("%s has the capacity %q", cell.Text, cell.Capacity)
		}
		capacity.Add(capacity, size)
		allocated, static = allocated+cell.Allocated, static+cell.Static
	}
	if capacity.String() != m.Capacity || allocated != m.Allocated || static != m.Static {
		t.Errorf("%s: the cells have %s, %d and %d; the map has %s, %d and %d",
			path(m), capacity, allocated, static, m.Capacity, m.Allocated, m.Static)
	}
}

func TestMapCounts(t *testing.T) {
	t.Parallel()
	shown, err := filled(t).Range("ServiceCIDR", "inner", "shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m := shown.Maps[0]
	if m.Allocated != 2 || m.Reserved != 1 || m.Marked != 1 || m.Services != 1 || m.Static != 16 || m.Capacity != "254" || m.Offset != 0x0401 {
		t.Errorf("got %+v", m.Counts)
	}
	held, reserved := m.Cells[6], m.Cells[7]
	holders := []Holder{{"services.portolan.dev", "shop", "web"}}
	if held.Text != "10.96.4.7" || held.Claim == nil || !held.Claim.Held || !slices.Equal(held.Claim.Holders, holders) {
		t.Errorf("got %+v", held)
	}
	if !held.Claim.Expires.IsZero() || !reserved.Claim.Expires.Equal(expiry) {
		t.Errorf("a reservation ends at %v, what is held at %v", reserved.Claim.Expires, held.Claim.Expires)
	}
	if reserved.Reserved != 1 || reserved.Claim == nil || reserved.Claim.Held {
		t.Errorf("got %+v", reserved)
	}
}

func TestOverview(t *testing.T) {
	t.Parallel()
	overview := filled(t).Overview(time.Now())
	var got []string
	for _, shown := range overview {
		got = append(got, shown.Name)
		for _, m := range shown.Maps {
			if len(m.Cells) > overviewCells || len(m.Claims) > 0 {
				t.Errorf("%s: %d cells, %d claims", path(m), len(m.Cells), len(m.Claims))
			}
			checkSums(t, m)
		}
	}
	if want := "small large inner ports"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if large := overview[1]; len(large.Usages) != 2 || len(large.Maps) != 2 {
		t.Errorf("a range of both families has %d usages and %d maps", len(large.Usages), len(large.Maps))
	}
}

func TestUnknownParts(t *testing.T) {
	t.Parallel()
	o := filled(t)
	for _, test := range []struct{ kind, name, at, want string }{
		{"ServiceCIDR", "ports", "443", "not found"},
		{"", "", "", "not found"},
		{"ServiceCIDR", "small", "10.0.0.0", "is not a value of the range"},
		{"ServiceCIDR", "small", "443", "is not a value of the range"},
		{"NodePortRange", "ports", "::1bb", "is not a value of the range"},
		{"NodePortRange", "ports", "0443", "is not a value of the range"},
		{"NodePortRange", "ports", "-1", "is not a value of the range"},
	} {
		if _, err := o.Part(test.kind, test.name, PartOptions{At: test.at}, time.Now()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %v", test, err)
		}
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	o := filled(t)
	for text, want := range map[string]string{
		"10.96.4.7":        "IPv4 10.96.4.7 held in large,inner; claims 10.96.4.7; ",
		" 10.96.4.9 ":      "IPv4 10.96.4.9 free in large,inner; ",
		"10.96.4.":         "claims 10.96.4.7,10.96.4.8; ",
		"10.96.4.0/29":     "claims 10.96.4.7; ",
		"FD00:96:0:0::7:9": "IPv6 fd00:96::7:9 held in large; ",
		"192.0.2.1":        "IPv4 192.0.2.1 held in ; claims 192.0.2.1; ",
		"192.0.2.2":        "",
		"30080":            "Port 30080 held in ports; claims 30080; ",
		"3008":             "claims 30080; ",
		"443":              "Port 443 free in ports; ranges ports; ",
		"HOP/WE":           "holders shop/web 4; ",
		"dns":              "holders /dns 1; ",
		"small":            "ranges small; ",
		"10.96.0.0/12":     "claims 10.96.4.7,10.96.4.8; ranges large; ",
		"":                 "",
		"/":                "holders /dns 1,shop/web 4; ",
	} {
		if got := summary(o.Search(text)); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestManyResults wants the first results and how many there are.
func TestManyResults(t *testing.T) {
	t.Parallel()
	const count = 500
	var objs Objects
	for i := range count {
		name := big.NewInt(int64(30000 + i)).String()
		holder := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "web-" + name, UID: "u"}}
		objs.Claims = append(objs.Claims, v1.NewHeldPort(name, nil, holder))
	}
	objs.Ranges = []runtime.Object{&v1.NodePortRange{
		ObjectMeta: metav1.ObjectMeta{Name: "r"}, Spec: v1.NodePortRangeSpec{Ports: []string{"30000-32767"}},
	}}
	found := New(objs).Search("30")
	if found.ClaimCount != count || len(found.Claims) != mostFound || found.HolderCount != count || len(found.Holders) != mostFound {
		t.Errorf("got %d of %d claims and %d of %d holders", len(found.Claims), found.ClaimCount, len(found.Holders), found.HolderCount)
	}
	shown, err := New(objs).Range("NodePortRange", "r", "", time.Now())
	if err != nil || len(shown.Maps[0].Claims) != mostClaims || shown.Maps[0].Services != count {
		t.Errorf("got %d claims of %d Services, %v", len(shown.Maps[0].Claims), shown.Maps[0].Services, err)
	}
}

// summary puts the results of a search on one line.
func summary(found Found) (text string) {
	names := func(ranges []RangeName) string {
		var all []string
		for _, r := range ranges {
			all = append(all, r.Name)
		}
		return strings.Join(all, ",")
	}
	for _, value := range found.Values {
		state := "free"
		if value.Claim != nil {
			state = map[bool]string{true: "held", false: "reserved"}[value.Claim.Held]
		}
		text += value.Class + " " + value.Value + " " + state + " in " + names(value.Ranges) + "; "
	}
	var claims, holders []string
	for _, c := range found.Claims {
		claims = append(claims, c.Value)
	}
	for _, h := range found.Holders {
		holders = append(holders, h.Holder.Namespace+"/"+h.Holder.Name+" "+big.NewInt(int64(h.Claims)).String())
	}
	if len(claims) > 0 {
		text += "claims " + strings.Join(claims, ",") + "; "
	}
	if len(holders) > 0 {
		text += "holders " + strings.Join(holders, ",") + "; "
	}
	if len(found.Ranges) > 0 {
		text += "ranges " + names(found.Ranges) + "; "
	}
	return text
}
