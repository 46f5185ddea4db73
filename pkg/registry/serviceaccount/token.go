package serviceaccount

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	apiserviceaccount "k8s.io/apiserver/pkg/authentication/serviceaccount"
	tokenjwt "k8s.io/apiserver/pkg/authentication/token/jwt"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/apis/core/validation"
	"github.com/portolan-dev/portolan/pkg/serviceaccount"
)

var (
	_ rest.NamedCreater                   = &Tokens{}
	_ rest.GroupVersionKindProvider       = &Tokens{}
	_ rest.SubresourceObjectMetaPreserver = &Tokens{}
)

// requestKind is the kind of the subresource, which is of another group than its resource.
var requestKind = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")

// Issuer issues tokens. The audiences are those of tokens for this server.
type Issuer interface {
	Issue(grant serviceaccount.Grant) (token, id string, err error)
	Audiences() authenticator.Audiences
}

// Tokens serves serviceaccounts/token. It follows upstream's
// (pkg/registry/core/serviceaccount/storage), but a token is never valid for longer than
// its client asked for.
type Tokens struct {
	Accounts, Pods, Secrets, Nodes rest.Getter
	Issuer                         Issuer
}

// New implements rest.Storage.
func (*Tokens) New() runtime.Object { return &authenticationv1.TokenRequest{} }

// Destroy implements rest.Storage.
func (*Tokens) Destroy() {}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (*Tokens) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind { return requestKind }

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate implements
// rest.SubresourceObjectMetaPreserver. A request can name the UID of its account.
func (*Tokens) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create implements rest.NamedCreater. It returns the request with a token.
func (t *Tokens) Create(ctx context.Context, name string, obj runtime.Object, admit rest.ValidateObjectFunc,
	_ *metav1.CreateOptions) (runtime.Object, error) {
	request := obj.(*authenticationv1.TokenRequest)
	if err := checkNames(request, name, apirequest.NamespaceValue(ctx)); err != nil {
		return nil, err
	}
	found, err := t.Accounts.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	account := found.(*corev1.ServiceAccount)
	if request.UID != "" && request.UID != account.UID {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: requestKind.Group, Resource: requestKind.Kind}, name,
			fmt.Errorf("the UID in the token request (%s) does not match the UID of the service account (%s)", request.UID, account.UID))
	}
	// The status says that the token expires no later than it does.
	now := time.Now()
	request.Name, request.Namespace, request.UID, request.CreationTimestamp = name, account.Namespace, account.UID, metav1.NewTime(now)
	request.Status = authenticationv1.TokenRequestStatus{}
	if len(request.Spec.Audiences) == 0 {
		request.Spec.Audiences = t.Issuer.Audiences()
	}
	if errs := validation.ValidateTokenRequest(request); len(errs) > 0 {
		return nil, apierrors.NewInvalid(requestKind.GroupKind(), "", errs)
	}
	if admit != nil {
		if err := admit(ctx, request.DeepCopy()); err != nil {
			return nil, err
		}
	}
	lifetime := time.Duration(ptr.Deref(request.Spec.ExpirationSeconds, 0)) * time.Second
	grant := serviceaccount.Grant{Account: account, Audiences: request.Spec.Audiences, IssuedAt: now, Lifetime: lifetime}
	if err := t.bind(ctx, &grant, request.Spec.BoundObjectRef); err != nil {
		return nil, err
	}
	token, id, err := t.Issuer.Issue(grant)
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("failed to generate token: %w", err))
	}
	audit.AddAuditAnnotation(ctx, apiserviceaccount.IssuedCredentialIDAuditAnnotationKey, tokenjwt.CredentialIDForJTI(id))
	answer := request.DeepCopy()
	answer.Status = authenticationv1.TokenRequestStatus{Token: token, ExpirationTimestamp: metav1.NewTime(now.Add(lifetime))}
	return answer, nil
}

// checkNames rejects a request that names another account than its path.
func checkNames(request *authenticationv1.TokenRequest, name, namespace string) error {
	path := field.NewPath("metadata")
	switch {
	case request.Name != "" && request.Name != name:
		return apierrors.NewInvalid(requestKind.GroupKind(), name, field.ErrorList{
			field.Invalid(path.Child("name"), request.Name, "must match the service account name if specified")})
	case request.Namespace != "" && request.Namespace != namespace:
		return apierrors.NewInvalid(requestKind.GroupKind(), name, field.ErrorList{
			field.Invalid(path.Child("namespace"), request.Namespace, "must match the service account namespace if specified")})
	}
	return nil
}

// bind binds the token to the object that a request names, if it names one. It reads
// objects that the user may not be allowed to read, and returns only their UIDs.
func (t *Tokens) bind(ctx context.Context, grant *serviceaccount.Grant, to *authenticationv1.BoundObjectReference) error {
	if to == nil {
		return nil
	}
	kind := schema.FromAPIVersionAndKind(to.APIVersion, to.Kind)
	var objects rest.Getter
	var bound **serviceaccount.Reference
	var read context.Context
	switch kind.GroupKind() {
	case schema.GroupKind{Kind: "Pod"}:
		objects, bound, read = t.Pods, &grant.Pod, reading(ctx, "pods", grant.Account.Namespace)
	case schema.GroupKind{Kind: "Secret"}:
		objects, bound, read = t.Secrets, &grant.Secret, reading(ctx, "secrets", grant.Account.Namespace)
	case schema.GroupKind{Kind: "Node"}:
		objects, bound, read = t.Nodes, &grant.Node, reading(ctx, "nodes", metav1.NamespaceNone)
	default:
		return apierrors.NewBadRequest("cannot bind token to object of type " + kind.String())
	}
	object, err := objects.Get(read, to.Name, &metav1.GetOptions{})
	if err != nil {
		return err
	}
	if pod, ok := object.(*corev1.Pod); ok {
		if err := t.bindNode(ctx, grant, pod); err != nil {
			return err
		}
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	if to.UID != "" && to.UID != accessor.GetUID() {
		return apierrors.NewConflict(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, to.Name, fmt.Errorf(
			"the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated",
			to.UID))
	}
	*bound = serviceaccount.ReferenceTo(accessor)
	return nil
}

// bindNode adds the Node of a Pod to its token. A Node that does not exist has a name only.
func (t *Tokens) bindNode(ctx context.Context, grant *serviceaccount.Grant, pod *corev1.Pod) error {
	if name := grant.Account.Name; name != pod.Spec.ServiceAccountName {
		return apierrors.NewBadRequest(fmt.Sprintf(
			"cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", name))
	}
	if pod.Spec.NodeName == "" {
		return nil
	}
	grant.Node = &serviceaccount.Reference{Name: pod.Spec.NodeName}
	node, err := t.Nodes.Get(reading(ctx, "nodes", metav1.NamespaceNone), pod.Spec.NodeName, &metav1.GetOptions{})
	if err == nil {
		grant.Node = serviceaccount.ReferenceTo(node.(*corev1.Node))
	} else if !apierrors.IsNotFound(err) {
		return apierrors.NewInternalError(err)
	}
	return nil
}

// reading returns a context for reading an object of another resource, which errors name.
func reading(ctx context.Context, resource, namespace string) context.Context {
	info := &apirequest.RequestInfo{IsResourceRequest: true, Verb: "get", APIVersion: "v1", Resource: resource, Namespace: namespace}
	return apirequest.WithRequestInfo(apirequest.WithNamespace(ctx, namespace), info)
}
