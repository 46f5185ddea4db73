package api

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/cmd"
	"github.com/portolan-dev/portolan/pkg/occupancy"
)

// running is a command of portolan that runs beside the test.
type running struct {
	t      *testing.T
	lines  *bufio.Scanner
	ended  chan error
	cancel context.CancelFunc
	// seen are the lines that were read.
	seen []string
}

// run starts a command with the administrator's kubeconfig.
func (s tenants) run(args ...string) *running {
	return runWith(s.t, append(args, "--kubeconfig="+s.Kubeconfig)...)
}

func runWith(t *testing.T, args ...string) *running {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	reader, writer := io.Pipe()
	command := cmd.NewCommand()
	command.SetArgs(args)
	command.SetOut(writer)
	command.SetErr(io.Discard)
	command.SilenceErrors = true
	r := &running{t: t, lines: bufio.NewScanner(reader), ended: make(chan error, 1), cancel: cancel}
	go func() {
		err := command.ExecuteContext(ctx)
		_ = writer.Close()
		r.ended <- err
	}()
	return r
}

// until reads up to a line that contains a text.
func (r *running) until(text string) {
	r.t.Helper()
	for r.lines.Scan() {
		r.seen = append(r.seen, r.lines.Text())
		if strings.Contains(r.lines.Text(), text) {
			return
		}
	}
	r.t.Fatalf("it ended (%v) without a line with %q:\n%s", <-r.ended, text, strings.Join(r.seen, "\n"))
}

// end reads the rest and returns all lines and the error.
func (r *running) end() (string, error) {
	for r.lines.Scan() {
		r.seen = append(r.seen, r.lines.Text())
	}
	return strings.Join(r.seen, "\n"), <-r.ended
}

// TestRangesCommand compares what portolan ranges shows with what was created.
func TestRangesCommand(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	s.createCIDR("team-a", "10.200.0.128/27", nil)
	for _, name := range []string{"a", "b"} {
		s.expectIn("10.200.0.128/27", "team-a", name, "", on(map[string]string{"a": "10.200.0.130", "b": "10.200.0.150"}[name]))
	}
	s.expectIn("10.200.0.0/24", "default", "c", "", onNodePort(30001))
	reserved := &v1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "10.200.0.140"}, Spec: v1.IPAddressSpec{
		ParentRef: &v1.ParentReference{Resource: "things", Name: "x"},
	}}
	if _, err := s.Client.PortolanV1().IPAddresses().Create(t.Context(), reserved, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	text, err := s.run("ranges", "-o", "json").end()
	if err != nil {
		t.Fatal(err)
	}
	var usages []occupancy.Usage
	if err := json.Unmarshal([]byte(text), &usages); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(usages, func(u occupancy.Usage) bool { return u.Name == "team-a" })
	if i < 0 || len(usages) != 4 {
		t.Fatalf("got %s", text)
	}
	got, err := json.Marshal(usages[i])
	const want = `{"kind":"ServiceCIDR","name":"team-a","class":"IPv4","blocks":["10.200.0.128/27"],"allocation":"Automatic","capacity":30,` +
		`"allocated":3,"reserved":1,"free":27,"staticCapacity":16,"staticAllocated":2,"newInLastHour":3,` +
		`"namespaces":[{"namespace":"team-a","allocated":2}],"conditions":[]}`
	if string(got) != want || err != nil {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}

	outside := &v1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "192.0.2.7"}, Spec: reserved.Spec}
	if _, err := s.Client.PortolanV1().IPAddresses().Create(t.Context(), outside, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if text, err = s.run("ranges").end(); err != nil || !strings.HasSuffix(text, "\n\nOutside all ranges: 192.0.2.7") {
		t.Errorf("%v\n%s", err, text)
	}

	// A watch shows what changes.
	watch := s.run("ranges", "--watch")
	watch.until("team-a:2")
	if err := s.Client.PortolanV1().Services("team-a").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	watch.until("team-a:1 ")
	watch.cancel()
	if _, err := watch.end(); err != nil {
		t.Errorf("an interrupted watch ends with %v", err)
	}
}

// TestRangesCommandWithoutRights wants an error, and no endless retries.
func TestRangesCommandWithoutRights(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	config, err := clientcmd.LoadFromFile(s.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.ClientCertificateData, user.ClientKeyData, user.ClientCertificate, user.ClientKey = nil, nil, "", ""
	}
	nobody := filepath.Join(t.TempDir(), "nobody")
	if err := clientcmd.WriteToFile(*config, nobody); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"ranges", "--watch"}, {"ranges"}, {"drain", "servicecidr", "kubernetes"}} {
		_, err := runWith(t, append(args, "--kubeconfig="+nobody)...).end()
		if err == nil || !strings.Contains(err.Error(), "servicecidrs.portolan.dev") {
			t.Errorf("%s: got %v", args, err)
		}
	}
}

// TestDrainCommand drains a range in use, interrupts it, and undoes it as it says.
func TestDrainCommand(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	s.createCIDR("old", "10.201.0.0/28", nil)
	for _, name := range []string{"a", "b"} {
		s.expectIn("10.201.0.0/28", "team-a", name, "")
	}
	allocationOf := func() *v1.RangeAllocation {
		t.Helper()
		cidr, err := s.Client.PortolanV1().ServiceCIDRs().Get(t.Context(), "old", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return cidr.Spec.Allocation
	}
	text, err := s.run("drain", "servicecidr", "old", "--dry-run").end()
	if err != nil || !strings.Contains(text, "values held by Services: 2; reserved: 0") || !strings.Contains(text, "Nothing was changed.") {
		t.Errorf("a dry run says %s, %v", text, err)
	}
	if got := allocationOf(); got != nil {
		t.Errorf("a dry run set %v", *got)
	}

	interrupted := s.run("drain", "ServiceCIDRs", "old")
	interrupted.until("0 of 2 Services are done; left: team-a/a,team-a/b")
	interrupted.cancel()
	text, err = interrupted.end()
	if err == nil || !strings.HasPrefix(err.Error(), "interrupted: old stays disabled. Services that hold values of it: 2.") {
		t.Errorf("got %v", err)
	}
	_, undo, _ := strings.Cut(text, "--type=merge -p '")
	undo, _, _ = strings.Cut(undo, "'")
	if got := allocationOf(); got == nil || *got != v1.AllocationDisabled {
		t.Errorf("the allocation is %v", got)
	}
	s.expectIn("10.200.0.0/24", "team-a", "late", "")

	again := s.run("drain", "servicecidr/old")
	again.until("old is disabled already")
	for _, name := range []string{"a", "b"} {
		again.until("left: team-a/" + name)
		if err := s.Client.PortolanV1().Services("team-a").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := again.end(); err != nil || !strings.HasSuffix(text, "old is drained: no Service holds a value of it.") {
		t.Errorf("got %s, %v", text, err)
	}
	_, err = s.Client.PortolanV1().ServiceCIDRs().Patch(t.Context(), "old", types.MergePatchType, []byte(undo), metav1.PatchOptions{})
	if got := allocationOf(); err != nil || got != nil {
		t.Errorf("after undoing it with %s the allocation is %v (%v)", undo, got, err)
	}
	s.expectIn("10.201.0.0/28", "team-a", "new", "")

	undone := s.run("drain", "servicecidrs.portolan.dev/old")
	undone.until("0 of 1 Services are done")
	_, err = s.Client.PortolanV1().ServiceCIDRs().Patch(t.Context(), "old", types.MergePatchType, []byte(undo), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := undone.end(); err == nil || !strings.Contains(err.Error(), "old is no longer disabled") {
		t.Errorf("a drain that is undone ends with %v:\n%s", err, text)
	}
	_, err = s.run("drain", "servicecidr", "odl").end()
	if err == nil || !strings.HasSuffix(err.Error(), `"odl" not found; there are: kubernetes,old`) {
		t.Errorf("a range that is not there: %v", err)
	}
}

// TestDrainWarnsOfOtherRanges drains a range whose values others give too.
func TestDrainWarnsOfOtherRanges(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	s.createCIDR("inner", "10.200.0.128/25", func(spec *v1.ServiceCIDRSpec) { spec.NamespaceSelector = nil })
	s.createCIDR("owned", "10.201.0.0/24", nil)
	s.createCIDR("around", "10.201.0.0/16", func(spec *v1.ServiceCIDRSpec) { spec.NamespaceSelector = nil })
	for name, want := range map[string]string{
		"inner": "Warning: kubernetes has values of this range too", "owned": "", "around": "Warning: owned has",
	} {
		text, err := s.run("drain", "servicecidr", name, "--dry-run").end()
		if err != nil || strings.Contains(text, "Warning") != (want != "") || !strings.Contains(text, want) {
			t.Errorf("%s: got %s, %v", name, text, err)
		}
	}
}
