package conformance

import (
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io"

func tables() behaviors {
	return behaviors{
		"columns":         tableColumns,
		"of Services":     tableOfServices,
		"in chunks":       tablesInChunks,
		"with objects":    tablesWithObjects,
		"of a watch":      tableOfAWatch,
		"of what is made": tableOfWhatIsMade,
	}
}

func (w *world) table(path string) metav1.Table {
	w.Helper()
	var table metav1.Table
	got := w.ask(http.MethodGet, path, nil, "Accept", asTable)
	if w.decode(got, &table); got.code != http.StatusOK || table.Kind != "Table" {
		w.Fatalf("%s: got %d\n%s", path, got.code, got.body)
	}
	return table
}

func columnsOf(table metav1.Table) string {
	var names []string
	for _, column := range table.ColumnDefinitions {
		name := strings.ReplaceAll(column.Name, " ", "_")
		if column.Priority > 0 {
			name = "(" + name + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// tableColumns: "should return pod details", of each kind. Columns in brackets are
// for wide tables. IPAddresses have one more in upstream, which is not named.
func tableColumns(w *world) {
	columns := map[string]string{
		"services":                         "Name Type Cluster-IP External-IP Port(s) Age (Selector)",
		"endpoints":                        "Name Endpoints Age",
		"nodes":                            "Name Status Roles Age Version (Internal-IP) (External-IP) (OS-Image) (Kernel-Version) (Container-Runtime)",
		"pods":                             "Name Ready Status Restarts Age (IP) (Node) (Nominated_Node) (Readiness_Gates)",
		"secrets":                          "Name Type Data Age",
		"events":                           "Last_Seen Type Reason Object (Subobject) (Source) Message (First_Seen) (Count) (Name)",
		"events.events.k8s.io":             "Last_Seen Type Reason Object (Subobject) (Source) Message (First_Seen) (Count) (Name)",
		"endpointslices.discovery.k8s.io":  "Name AddressType Ports Endpoints Age",
		"ingresses.networking.k8s.io":      "Name Class Hosts Address Ports Age",
		"ingressclasses.networking.k8s.io": "Name Controller Parameters Age",
		"leases.coordination.k8s.io":       "Name Holder Age",
	}
	for _, k := range kinds() {
		name := w.createOne(k)
		if k.Resource == "ipaddresses" {
			continue
		}
		for _, path := range []string{w.path(k, name), w.path(k)} {
			table := w.table(path)
			if got := columnsOf(table); got != columns[k.id()] {
				w.Errorf("%s: got %s\nwant %s", path, got, columns[k.id()])
			}
			if len(table.Rows) == 0 {
				w.Errorf("%s: no rows", path)
			}
			for _, row := range table.Rows {
				if len(row.Cells) != len(table.ColumnDefinitions) {
					w.Errorf("%s: the cells are %v", path, row.Cells)
				}
			}
		}
		// The same events are in two groups.
		w.ok("delete", w.resource(k).Delete(w.Context(), name, *metav1.NewDeleteOptions(0)))
	}
	if got := columnsOf(w.table("/apis/networking.k8s.io/v1/servicecidrs")); got != "Name CIDRs Age" {
		w.Errorf("ServiceCIDRs: got %s", got)
	}
	if got := columnsOf(w.table("/api/v1/namespaces")); got != "Name Status Age" {
		w.Errorf("namespaces: got %s", got)
	}
}

// tableOfServices has a row for each, as kubectl prints it.
func tableOfServices(w *world) {
	cluster := w.createService(newService("cluster", func(svc *corev1.Service) { svc.Spec.Selector = map[string]string{"a": "b"} }))
	w.createService(newService("headless", func(svc *corev1.Service) { svc.Spec.ClusterIP = corev1.ClusterIPNone }))
	w.createService(newService("name", func(svc *corev1.Service) {
		svc.Spec.Type, svc.Spec.ExternalName, svc.Spec.Ports = corev1.ServiceTypeExternalName, "foo.example.com", nil
	}))
	node := w.createService(newService("port", ofType(corev1.ServiceTypeNodePort)))
	balanced := w.createService(newService("waiting", ofType(corev1.ServiceTypeLoadBalancer)))
	want := []string{
		"cluster ClusterIP " + cluster.Spec.ClusterIP + " <none> 80/TCP a=b",
		"headless ClusterIP None <none> 80/TCP <none>",
		"name ExternalName <none> foo.example.com <none> <none>",
		fmt.Sprintf("port NodePort %s <none> 80:%d/TCP <none>", node.Spec.ClusterIP, node.Spec.Ports[0].NodePort),
		fmt.Sprintf("waiting LoadBalancer %s <pending> 80:%d/TCP <none>", balanced.Spec.ClusterIP, balanced.Spec.Ports[0].NodePort),
	}
	table := w.table(w.path(kindNamed("services")))
	for i, row := range table.Rows {
		const age = 5
		cells := append(row.Cells[:age:age], row.Cells[age+1:]...)
		if got := strings.TrimSpace(fmt.Sprintln(cells...)); i >= len(want) || got != want[i] {
			w.Errorf("row %d is %s", i, got)
		}
	}
	if len(table.Rows) != len(want) {
		w.Errorf("%d rows", len(table.Rows))
	}
}

// tablesInChunks: "should return chunks of table results for list calls".
func tablesInChunks(w *world) {
	w.createLeases(5)
	path := "/apis/coordination.k8s.io/v1/namespaces/" + w.namespace + "/leases"
	first := w.table(path + "?limit=2")
	if len(first.Rows) != 2 || first.Rows[0].Cells[0] != nthLease(0) || first.ResourceVersion == "" || first.Continue == "" ||
		*first.RemainingItemCount != 3 {
		w.Fatalf("the first are %+v", first)
	}
	rest := w.table(path + "?continue=" + first.Continue)
	if len(rest.Rows) != 3 || rest.Rows[0].Cells[0] != nthLease(2) || rest.Continue != "" || rest.ResourceVersion != first.ResourceVersion {
		w.Errorf("the rest are %+v", rest)
	}
}

// tablesWithObjects have what was asked for in their rows.
func tablesWithObjects(w *world) {
	w.createService(newService("web"))
	path := w.path(kindNamed("services"))
	for include, want := range map[string]string{"": "PartialObjectMetadata", "Metadata": "PartialObjectMetadata", "Object": "Service",
		"None": ""} {
		table := w.table(path + "?includeObject=" + include)
		object := unstructured.Unstructured{}
		if raw := table.Rows[0].Object.Raw; string(raw) != "null" && len(raw) > 0 {
			w.ok("decode", object.UnmarshalJSON(raw))
		}
		if object.GetKind() != want || want != "" && object.GetName() != "web" {
			w.Errorf("%q: got %+v, want %s", include, object.Object, want)
		}
	}
	got := w.ask(http.MethodGet, path+"?includeObject=Nonsense", nil, "Accept", asTable)
	if got.code != http.StatusBadRequest {
		w.Errorf("nonsense: got %d\n%s", got.code, got.body)
	}
}

// tableOfAWatch: "server supports sending resources in Table format". Only the
// first one has columns.
func tableOfAWatch(w *world) {
	w.createService(newService("a"))
	w.createService(newService("b"))
	config := rest.CopyConfig(dynamic.ConfigFor(w.config))
	config.AcceptContentTypes = asTable
	config.GroupVersion = &corev1.SchemeGroupVersion
	client, err := rest.RESTClientFor(config)
	w.ok("client", err)
	in := w.watching(dynamic.New(client).Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(w.namespace).Watch(w.Context(),
		metav1.ListOptions{
			SendInitialEvents: new(true), AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
		}))
	for i, name := range []string{"a", "b"} {
		table := w.next(in, watch.Added).(*unstructured.Unstructured)
		rows, _, err := unstructured.NestedSlice(table.Object, "rows")
		w.ok("rows", err)
		columns, _, err := unstructured.NestedSlice(table.Object, "columnDefinitions")
		if err != nil && i == 0 {
			w.Error(err)
		}
		cells := rows[0].(map[string]any)["cells"].([]any)
		if table.GetKind() != "Table" || len(rows) != 1 || cells[0] != name || (len(columns) > 0) != (i == 0) {
			w.Errorf("watched %+v", table.Object)
		}
	}
	end := w.next(in, watch.Bookmark).(*unstructured.Unstructured)
	rows, _, err := unstructured.NestedSlice(end.Object, "rows")
	w.ok("rows", err)
	annotations, _, err := unstructured.NestedStringMap(rows[0].(map[string]any), "object", "metadata", "annotations")
	if err != nil || end.GetKind() != "Table" || annotations[metav1.InitialEventsAnnotationKey] != "true" {
		w.Errorf("the end is %+v, error %v", end.Object, err)
	}
}

// tableOfWhatIsMade is what kubectl create -o wide could ask for.
func tableOfWhatIsMade(w *world) {
	body := `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"ports":[{"port":80}]}}`
	got := w.ask(http.MethodPost, w.path(kindNamed("services")), []byte(body), "Content-Type", inJSON, "Accept", asTable)
	var table metav1.Table
	if w.decode(got, &table); got.code != http.StatusCreated || table.Kind != "Table" || len(table.Rows) != 1 ||
		table.Rows[0].Cells[0] != "web" {
		w.Errorf("got %d\n%s", got.code, got.body)
	}
}
