package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

const (
	selfReviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	// checkUser is the user as which the server asks kube-apiserver who it is. The user
	// has no rights.
	checkUser    = "portolan:front-proxy-check"
	checkTimeout = 10 * time.Second
	// maxReview bounds the answer that is read.
	maxReview = 1 << 20
)

// RejectedError means that kube-apiserver does not accept the front proxy's certificate.
type RejectedError struct {
	// As is the user whom kube-apiserver takes the server for instead. It is empty if
	// kube-apiserver does not know the certificate at all.
	As string
}

// Error implements error.
func (e *RejectedError) Error() string {
	if e.As != "" {
		return fmt.Sprintf("the cluster's API server takes the certificate for that of the user %q and not for a front proxy's", e.As)
	}
	return "the cluster's API server does not accept the certificate as a front proxy's"
}

// front sends requests of users whom the server names. It sends none before
// kube-apiserver has proven that it goes by the names: a certificate that kube-apiserver
// takes for a user's would make every caller that user.
type front struct {
	handler http.Handler
	backend http.RoundTripper
	// url is where kube-apiserver says who is asking.
	url string

	mu sync.Mutex
	// verdict is nil until kube-apiserver has answered.
	verdict atomic.Pointer[verdict]
}

// verdict holds an error if kube-apiserver has rejected the certificate.
type verdict struct{ rejected *RejectedError }

func (v *verdict) err() error {
	if v.rejected == nil {
		return nil
	}
	return v.rejected
}

// check returns the verdict, and asks for it only if there is none.
func (f *front) check(ctx context.Context) error {
	if known := f.verdict.Load(); known != nil {
		return known.err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if known := f.verdict.Load(); known != nil {
		return known.err()
	}
	return f.verify(ctx)
}

// verify asks kube-apiserver for a verdict. It returns another error than a RejectedError
// if there is none.
func (f *front) verify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	as := &user.DefaultInfo{Name: checkUser, Groups: []string{user.AllAuthenticated}}
	body, err := json.Marshal(&authenticationv1.SelfSubjectReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "SelfSubjectReview"},
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(request.WithUser(ctx, as), http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	addHop(req.Header)
	response, err := f.backend.RoundTrip(req)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxReview))
	if err != nil {
		return err
	}
	found, err := judge(response.StatusCode, answer)
	if err != nil {
		return err
	}
	f.verdict.Store(found)
	return found.err()
}

// judge reads a verdict from kube-apiserver's answer.
func judge(code int, answer []byte) (*verdict, error) {
	switch code {
	case http.StatusCreated, http.StatusOK:
		var review authenticationv1.SelfSubjectReview
		if err := json.Unmarshal(answer, &review); err != nil {
			return nil, fmt.Errorf("the review of a user: %w", err)
		}
		if name := review.Status.UserInfo.Username; name != checkUser {
			return &verdict{&RejectedError{As: name}}, nil
		}
		return &verdict{}, nil
	case http.StatusForbidden:
		// Whoever may not ask is named as well.
		var status metav1.Status
		if err := json.Unmarshal(answer, &status); err != nil {
			return nil, fmt.Errorf("the review of a user: %w", err)
		}
		if strings.Contains(status.Message, fmt.Sprintf("User %q", checkUser)) {
			return &verdict{}, nil
		}
		_, after, _ := strings.Cut(status.Message, `User "`)
		name, _, _ := strings.Cut(after, `"`)
		return &verdict{&RejectedError{As: name}}, nil
	case http.StatusUnauthorized:
		return &verdict{&RejectedError{}}, nil
	default:
		return nil, fmt.Errorf("the review of a user: %s", http.StatusText(code))
	}
}

// HasFront reports whether there is a front proxy's certificate.
func (f *Forwarder) HasFront() bool { return f.users != nil }

// VerifyFront asks kube-apiserver whether it accepts the front proxy's certificate. It
// returns a RejectedError if it does not, and another error if it cannot be asked.
func (f *Forwarder) VerifyFront(ctx context.Context) error {
	f.users.mu.Lock()
	defer f.users.mu.Unlock()
	return f.users.verify(ctx)
}

// isRejected reports whether kube-apiserver has rejected the front proxy's certificate.
func isRejected(err error) bool {
	_, rejected := errors.AsType[*RejectedError](err)
	return rejected
}
