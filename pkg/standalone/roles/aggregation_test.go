package roles

import (
	"errors"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestFill expects a role that cannot be updated not to keep others from being filled.
func TestFill(t *testing.T) {
	everything := &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"in": "all"}}}}
	client := fake.NewClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Rbac().V1().ClusterRoles()
	for _, role := range []*rbacv1.ClusterRole{
		{ObjectMeta: metav1.ObjectMeta{Name: "a"}, AggregationRule: everything},
		{ObjectMeta: metav1.ObjectMeta{Name: "b"}, AggregationRule: everything},
		{ObjectMeta: metav1.ObjectMeta{Name: "part", Labels: map[string]string{"in": "all"}}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}}}},
	} {
		if err := informer.Informer().GetStore().Add(role); err != nil {
			t.Fatal(err)
		}
	}
	errTooLarge := errors.New("too large")
	var filled []string
	client.PrependReactor("update", "clusterroles", func(action clienttesting.Action) (bool, runtime.Object, error) {
		role := action.(clienttesting.UpdateAction).GetObject().(*rbacv1.ClusterRole)
		if role.Name == "a" {
			return true, nil, errTooLarge
		}
		filled = append(filled, role.Name)
		return true, role, nil
	})
	aggregation, err := NewAggregation(client.RbacV1().ClusterRoles(), informer)
	if err != nil {
		t.Fatal(err)
	}
	if err := aggregation.fill(t.Context()); !errors.Is(err, errTooLarge) || err.Error() != "ClusterRole a: too large" {
		t.Errorf("%v", err)
	}
	if len(filled) != 1 || filled[0] != "b" {
		t.Errorf("filled: %v", filled)
	}
}
