package registrytest

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/service"
)

// TestServiceColumns checks the names of the columns, and which of them only -o wide shows.
func TestServiceColumns(t *testing.T) {
	table, err := service.TableConvertor.ConvertToTable(t.Context(), &v1.ServiceList{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector"}
	for i, column := range table.ColumnDefinitions {
		if column.Name != want[i] || column.Description == "" || (column.Priority == 1) != (column.Name == "Selector") ||
			(column.Format == "name") != (i == 0) {
			t.Errorf("column %d: %+v", i, column)
		}
	}
	if len(table.ColumnDefinitions) != len(want) {
		t.Errorf("%d columns", len(table.ColumnDefinitions))
	}
}

// TestServiceTable checks the cells of each type of Service.
func TestServiceTable(t *testing.T) {
	ingress := func(points ...corev1.LoadBalancerIngress) corev1.ServiceStatus {
		return corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: points}}
	}
	for name, test := range map[string]struct {
		spec   corev1.ServiceSpec
		status corev1.ServiceStatus
		want   [6]string
	}{
		"cluster IP": {
			spec: corev1.ServiceSpec{
				Type: "ClusterIP", ClusterIPs: []string{"10.96.0.1", "fd00::1"}, Selector: map[string]string{"b": "2", "a": "1"},
				Ports: []corev1.ServicePort{{Port: 80, Protocol: "TCP"}, {Port: 53, Protocol: "UDP"}},
			},
			want: [6]string{"ClusterIP", "10.96.0.1", "<none>", "80/TCP,53/UDP", "<unknown>", "a=1,b=2"},
		},
		"headless": {
			spec: corev1.ServiceSpec{Type: "ClusterIP", ClusterIPs: []string{"None"}, ExternalIPs: []string{"2.2.2.2", "1.1.1.1"}},
			want: [6]string{"ClusterIP", "None", "2.2.2.2,1.1.1.1", "<none>", "<unknown>", "<none>"},
		},
		"node port": {
			spec: corev1.ServiceSpec{
				Type: "NodePort", ClusterIPs: []string{"10.96.0.1"}, Ports: []corev1.ServicePort{{Port: 80, NodePort: 30018, Protocol: "TCP"}},
			},
			want: [6]string{"NodePort", "10.96.0.1", "<none>", "80:30018/TCP", "<unknown>", "<none>"},
		},
		"load balancer, pending": {
			spec: corev1.ServiceSpec{Type: "LoadBalancer", ClusterIPs: []string{"10.96.0.1"}},
			want: [6]string{"LoadBalancer", "10.96.0.1", "<pending>", "<none>", "<unknown>", "<none>"},
		},
		"load balancer": {
			spec: corev1.ServiceSpec{Type: "LoadBalancer", ExternalIPs: []string{"1.1.1.1"}},
			status: ingress(corev1.LoadBalancerIngress{Hostname: "lb.example.com"}, corev1.LoadBalancerIngress{IP: "5.5.5.5", Hostname: "not.shown"},
				corev1.LoadBalancerIngress{IP: "4.4.4.4"}, corev1.LoadBalancerIngress{IP: "5.5.5.5"}, corev1.LoadBalancerIngress{}),
			want: [6]string{"LoadBalancer", "<none>", "4.4.4.4,5.5.5.5,lb.example.com,1.1.1.1", "<none>", "<unknown>", "<none>"},
		},
		"external name": {
			spec: corev1.ServiceSpec{Type: "ExternalName", ExternalName: "db.example.com"},
			want: [6]string{"ExternalName", "<none>", "db.example.com", "<none>", "<unknown>", "<none>"},
		},
		"unknown type": {want: [6]string{"", "<none>", "<unknown>", "<none>", "<unknown>", "<none>"}},
	} {
		t.Run(name, func(t *testing.T) {
			cells := cellsOf(t, service.TableConvertor,
				&v1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: test.spec, Status: test.status})
			if cells[0] != "web" || len(cells) != 7 {
				t.Fatalf("got %v", cells)
			}
			for i, want := range test.want {
				if cells[i+1] != want {
					t.Errorf("cell %d: got %q, want %q", i+1, cells[i+1], want)
				}
			}
		})
	}
}
