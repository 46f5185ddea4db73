package review

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// NewSelfSubjectReviews returns the storage of reviews that tell a caller who it is.
func NewSelfSubjectReviews() rest.Storage {
	return &storage[*authenticationv1.SelfSubjectReview]{
		singular: "selfsubjectreview",
		new:      func() *authenticationv1.SelfSubjectReview { return &authenticationv1.SelfSubjectReview{} },
		check: func(ctx context.Context, _ *authenticationv1.SelfSubjectReview) error {
			_, err := caller(ctx)
			return err
		},
		answer: func(ctx context.Context, _ *authenticationv1.SelfSubjectReview) (runtime.Object, error) {
			who, err := caller(ctx)
			if err != nil {
				return nil, err
			}
			answer := &authenticationv1.SelfSubjectReview{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.Now()}}
			answer.Status.UserInfo = userInfo(who)
			return answer, nil
		},
	}
}

// NewTokenReviews returns the storage of reviews that tell who the holder of a token is.
func NewTokenReviews(config Config) rest.Storage {
	return &storage[*authenticationv1.TokenReview]{
		singular: "tokenreview",
		new:      func() *authenticationv1.TokenReview { return &authenticationv1.TokenReview{} },
		check: func(_ context.Context, review *authenticationv1.TokenReview) error {
			if review.Spec.Token == "" {
				return apierrors.NewBadRequest("token is required for TokenReview in authentication")
			}
			return nil
		},
		answer: func(ctx context.Context, review *authenticationv1.TokenReview) (runtime.Object, error) {
			return review, answerToken(ctx, config, review)
		},
	}
}

// answerToken authenticates a request that has nothing but the token.
func answerToken(ctx context.Context, config Config, review *authenticationv1.TokenReview) error {
	if config.Tokens == nil {
		// kube-apiserver always knows some tokens.
		review.Status.Error = "invalid bearer token"
		return nil
	}
	audiences := authenticator.Audiences(review.Spec.Audiences)
	if len(audiences) == 0 {
		audiences = config.Audiences
	}
	if len(audiences) > 0 {
		ctx = authenticator.WithAudiences(ctx, audiences)
	}
	request := (&http.Request{URL: &url.URL{}, Header: http.Header{"Authorization": {"Bearer " + review.Spec.Token}}}).WithContext(ctx)
	response, ok, err := config.Tokens.AuthenticateRequest(request)
	review.Status.Authenticated = ok
	if err != nil {
		review.Status.Error = err.Error()
	}
	if response == nil {
		return nil
	}
	if len(audiences) > 0 && len(audiences.Intersect(response.Audiences)) == 0 {
		return apierrors.NewInternalError(errors.New("error validating audiences"))
	}
	if response.User != nil {
		review.Status.User, review.Status.Audiences = userInfo(response.User), response.Audiences
	}
	return nil
}

// caller returns the user of a request.
func caller(ctx context.Context) (user.Info, error) {
	who, ok := apirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	return who, nil
}

func userInfo(who user.Info) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{
		Username: who.GetName(), UID: who.GetUID(), Groups: who.GetGroups(), Extra: map[string]authenticationv1.ExtraValue{},
	}
	for name, values := range who.GetExtra() {
		info.Extra[name] = values
	}
	return info
}
