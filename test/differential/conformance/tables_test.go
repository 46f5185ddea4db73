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
		"columns":             tableColumns,
		"of Services":         tableOfServices,
		"in chunks":           tablesInChunks,
		"with objects":        tablesWithObjects,
		"of a watch":          tableOfAWatch,
		"of a created object": tableOfWhatIsMade,
	}
}

func (f *fixture) table(path string) metav1.Table {
	f.Helper()
	var table metav1.Table
	got := f.ask(http.MethodGet, path, nil, "Accept", asTable)
	if f.decode(got, &table); got.code != http.StatusOK || table.Kind != "Table" {
		f.Fatalf("%s: got %d\n%s", path, got.code, got.body)
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

// tableColumns: "should return pod details", of each kind. Columns in brackets
// are for wide tables. Upstream's table of IPAddresses has one more, without a
// name.
func tableColumns(f *fixture) {
	const bindings = "Name Role Age (Users) (Groups) (ServiceAccounts)"
	columns := map[string]string{
		"services":                         "Name Type Cluster-IP External-IP Port(s) Age (Selector)",
		"endpoints":                        "Name Endpoints Age",
		"nodes":                            "Name Status Roles Age Version (Internal-IP) (External-IP) (OS-Image) (Kernel-Version) (Container-Runtime)",
		"pods":                             "Name Ready Status Restarts Age (IP) (Node) (Nominated_Node) (Readiness_Gates)",
		"secrets":                          "Name Type Data Age",
		"configmaps":                       "Name Data Age",
		"serviceaccounts":                  "Name Age",
		"events":                           "Last_Seen Type Reason Object (Subobject) (Source) Message (First_Seen) (Count) (Name)",
		"events.events.k8s.io":             "Last_Seen Type Reason Object (Subobject) (Source) Message (First_Seen) (Count) (Name)",
		"endpointslices.discovery.k8s.io":  "Name AddressType Ports Endpoints Age",
		"ingresses.networking.k8s.io":      "Name Class Hosts Address Ports Age",
		"ingressclasses.networking.k8s.io": "Name Controller Parameters Age",
		"leases.coordination.k8s.io":       "Name Holder Age",

		"roles.rbac.authorization.k8s.io":               "Name Created_At",
		"clusterroles.rbac.authorization.k8s.io":        "Name Created_At",
		"rolebindings.rbac.authorization.k8s.io":        bindings,
		"clusterrolebindings.rbac.authorization.k8s.io": bindings,

		"validatingadmissionpolicies.admissionregistration.k8s.io":       "Name Validations ParamKind Age",
		"validatingadmissionpolicybindings.admissionregistration.k8s.io": "Name PolicyName ParamRef Age",
		"validatingwebhookconfigurations.admissionregistration.k8s.io":   "Name Webhooks Age",
		"mutatingadmissionpolicies.admissionregistration.k8s.io":         "Name Mutations ParamKind Age",
		"mutatingadmissionpolicybindings.admissionregistration.k8s.io":   "Name PolicyName ParamRef Age",
		"mutatingwebhookconfigurations.admissionregistration.k8s.io":     "Name Webhooks Age",
	}
	for _, k := range kinds() {
		name := f.createOne(k)
		if k.Resource == "ipaddresses" {
			continue
		}
		for _, path := range []string{f.path(k, name), f.path(k)} {
			table := f.table(path)
			if got := columnsOf(table); got != columns[k.id()] {
				f.Errorf("%s: got %s\nwant %s", path, got, columns[k.id()])
			}
			if len(table.Rows) == 0 {
				f.Errorf("%s: no rows", path)
			}
			for _, row := range table.Rows {
				if len(row.Cells) != len(table.ColumnDefinitions) {
					f.Errorf("%s: the cells are %v", path, row.Cells)
				}
			}
		}
		// Two groups serve the same Events.
		f.ok("delete", f.resource(k).Delete(f.Context(), name, *metav1.NewDeleteOptions(0)))
	}
	if got := columnsOf(f.table("/apis/networking.k8s.io/v1/servicecidrs")); got != "Name CIDRs Age" {
		f.Errorf("ServiceCIDRs: got %s", got)
	}
	if got := columnsOf(f.table("/api/v1/namespaces")); got != "Name Status Age" {
		f.Errorf("namespaces: got %s", got)
	}
}

// tableOfServices has a row for each Service, as kubectl prints it.
func tableOfServices(f *fixture) {
	cluster := f.createService(newService("cluster", func(svc *corev1.Service) { svc.Spec.Selector = map[string]string{"a": "b"} }))
	f.createService(newService("headless", func(svc *corev1.Service) { svc.Spec.ClusterIP = corev1.ClusterIPNone }))
	f.createService(newService("name", func(svc *corev1.Service) {
		svc.Spec.Type, svc.Spec.ExternalName, svc.Spec.Ports = corev1.ServiceTypeExternalName, "foo.example.com", nil
	}))
	node := f.createService(newService("port", ofType(corev1.ServiceTypeNodePort)))
	balanced := f.createService(newService("waiting", ofType(corev1.ServiceTypeLoadBalancer)))
	want := []string{
		"cluster ClusterIP " + cluster.Spec.ClusterIP + " <none> 80/TCP a=b",
		"headless ClusterIP None <none> 80/TCP <none>",
		"name ExternalName <none> foo.example.com <none> <none>",
		fmt.Sprintf("port NodePort %s <none> 80:%d/TCP <none>", node.Spec.ClusterIP, node.Spec.Ports[0].NodePort),
		fmt.Sprintf("waiting LoadBalancer %s <pending> 80:%d/TCP <none>", balanced.Spec.ClusterIP, balanced.Spec.Ports[0].NodePort),
	}
	table := f.table(f.path(kindNamed("services")))
	for i, row := range table.Rows {
		const age = 5
		cells := append(row.Cells[:age:age], row.Cells[age+1:]...)
		if got := strings.TrimSpace(fmt.Sprintln(cells...)); i >= len(want) || got != want[i] {
			f.Errorf("row %d is %s", i, got)
		}
	}
	if len(table.Rows) != len(want) {
		f.Errorf("%d rows", len(table.Rows))
	}
}

// tablesInChunks: "should return chunks of table results for list calls".
func tablesInChunks(f *fixture) {
	f.createLeases(5)
	path := "/apis/coordination.k8s.io/v1/namespaces/" + f.namespace + "/leases"
	first := f.table(path + "?limit=2")
	if len(first.Rows) != 2 || first.Rows[0].Cells[0] != nthLease(0) || first.ResourceVersion == "" || first.Continue == "" ||
		*first.RemainingItemCount != 3 {
		f.Fatalf("the first are %+v", first)
	}
	rest := f.table(path + "?continue=" + first.Continue)
	if len(rest.Rows) != 3 || rest.Rows[0].Cells[0] != nthLease(2) || rest.Continue != "" || rest.ResourceVersion != first.ResourceVersion {
		f.Errorf("the rest are %+v", rest)
	}
}

// tablesWithObjects include the requested form of each object.
func tablesWithObjects(f *fixture) {
	f.createService(newService("web"))
	path := f.path(kindNamed("services"))
	for include, want := range map[string]string{"": "PartialObjectMetadata", "Metadata": "PartialObjectMetadata", "Object": "Service",
		"None": ""} {
		table := f.table(path + "?includeObject=" + include)
		object := unstructured.Unstructured{}
		if raw := table.Rows[0].Object.Raw; string(raw) != "null" && len(raw) > 0 {
			f.ok("decode", object.UnmarshalJSON(raw))
		}
		if object.GetKind() != want || want != "" && object.GetName() != "web" {
			f.Errorf("%q: got %+v, want %s", include, object.Object, want)
		}
	}
	got := f.ask(http.MethodGet, path+"?includeObject=Nonsense", nil, "Accept", asTable)
	if got.code != http.StatusBadRequest {
		f.Errorf("nonsense: got %d\n%s", got.code, got.body)
	}
}

// tableOfAWatch: "server supports sending resources in Table format". Only the
// first event has columns.
func tableOfAWatch(f *fixture) {
	f.createService(newService("a"))
	f.createService(newService("b"))
	config := rest.CopyConfig(dynamic.ConfigFor(f.config))
	config.AcceptContentTypes = asTable
	config.GroupVersion = &corev1.SchemeGroupVersion
	client, err := rest.RESTClientFor(config)
	f.ok("client", err)
	in := f.watching(dynamic.New(client).Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(f.namespace).Watch(f.Context(),
		metav1.ListOptions{
			SendInitialEvents: new(true), AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
		}))
	for i, name := range []string{"a", "b"} {
		table := f.next(in, watch.Added).(*unstructured.Unstructured)
		rows, _, err := unstructured.NestedSlice(table.Object, "rows")
		f.ok("rows", err)
		columns, _, err := unstructured.NestedSlice(table.Object, "columnDefinitions")
		if err != nil && i == 0 {
			f.Error(err)
		}
		cells := rows[0].(map[string]any)["cells"].([]any)
		if table.GetKind() != "Table" || len(rows) != 1 || cells[0] != name || (len(columns) > 0) != (i == 0) {
			f.Errorf("watched %+v", table.Object)
		}
	}
	end := f.next(in, watch.Bookmark).(*unstructured.Unstructured)
	rows, _, err := unstructured.NestedSlice(end.Object, "rows")
	f.ok("rows", err)
	annotations, _, err := unstructured.NestedStringMap(rows[0].(map[string]any), "object", "metadata", "annotations")
	if err != nil || end.GetKind() != "Table" || annotations[metav1.InitialEventsAnnotationKey] != "true" {
		f.Errorf("the end is %+v, error %v", end.Object, err)
	}
}

// tableOfWhatIsMade: the answer to a create can be a table.
func tableOfWhatIsMade(f *fixture) {
	body := `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"ports":[{"port":80}]}}`
	got := f.ask(http.MethodPost, f.path(kindNamed("services")), []byte(body), "Content-Type", inJSON, "Accept", asTable)
	var table metav1.Table
	if f.decode(got, &table); got.code != http.StatusCreated || table.Kind != "Table" || len(table.Rows) != 1 ||
		table.Rows[0].Cells[0] != "web" {
		f.Errorf("got %d\n%s", got.code, got.body)
	}
}
