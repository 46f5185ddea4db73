package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/store/snapshot"
)

// snapshotStall is how long a client may receive nothing of a snapshot. Meanwhile the
// database keeps what is deleted.
const snapshotStall = time.Minute

// snapshotLongRunning exempts snapshots from the timeout of requests.
func snapshotLongRunning(others apirequest.LongRunningRequestCheck) apirequest.LongRunningRequestCheck {
	return func(req *http.Request, info *apirequest.RequestInfo) bool {
		return !info.IsResourceRequest && info.Path == snapshot.Path || others(req, info)
	}
}

// snapshots serves the database of the embedded etcd to members of system:masters only,
// whatever an authorizer allows to others, since it contains every Secret.
type snapshots struct {
	serializer runtime.NegotiatedSerializer
	// source is nil if etcd is not embedded.
	source snapshot.Source
	// stopped ends when the server stops. Otherwise the server would wait for the client.
	stopped context.Context
}

func addSnapshots(generic *genericapiserver.GenericAPIServer, serializer runtime.NegotiatedSerializer, source snapshot.Source) error {
	stopped, stop := context.WithCancel(context.Background())
	generic.Handler.NonGoRestfulMux.UnlistedHandle(snapshot.Path, &snapshots{serializer: serializer, source: source, stopped: stopped})
	return generic.AddPreShutdownHook("portolan-snapshots", func() error {
		stop()
		return nil
	})
}

// ServeHTTP implements http.Handler.
func (s *snapshots) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if err := s.check(req); err != nil {
		responsewriters.ErrorNegotiated(err, s.serializer, schema.GroupVersion{Version: "v1"}, w, req)
		return
	}
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	out := &unstalled{ResponseWriter: w, controller: http.NewResponseController(w), stopped: s.stopped}
	defer context.AfterFunc(s.stopped, func() {
		cancel()
		_ = out.controller.SetWriteDeadline(time.Now())
	})()
	stream, err := s.source(ctx)
	if err != nil {
		responsewriters.InternalError(w, req, fmt.Errorf("snapshot: %w", err))
		return
	}
	defer stream.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	if _, err := io.Copy(out, stream); err != nil {
		klog.FromContext(ctx).Error(err, "A snapshot was not sent completely")
		// Only an aborted connection tells the client that the snapshot is incomplete.
		panic(http.ErrAbortHandler)
	}
}

func (s *snapshots) check(req *http.Request) error {
	if who, ok := apirequest.UserFrom(req.Context()); !ok || !slices.Contains(who.GetGroups(), user.SystemPrivilegedGroup) {
		return apierrors.NewForbidden(schema.GroupResource{}, "", fmt.Errorf("a snapshot is for members of %s only", user.SystemPrivilegedGroup))
	}
	if req.Method != http.MethodGet {
		return apierrors.NewMethodNotSupported(schema.GroupResource{Resource: "snapshot"}, req.Method)
	}
	if s.source == nil {
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusNotImplemented,
			Message: `the store is an external etcd: save it with "etcdctl snapshot save FILE", or with "portolan snapshot FILE --etcd-servers=..."`,
		}}
	}
	return nil
}

// unstalled is a writer that fails if the client receives nothing, or if the server stops.
type unstalled struct {
	http.ResponseWriter
	controller *http.ResponseController
	stopped    context.Context
}

// Write implements io.Writer.
func (u *unstalled) Write(p []byte) (int, error) {
	err := u.controller.SetWriteDeadline(time.Now().Add(snapshotStall))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	// A later stop sets the deadline again.
	if err := u.stopped.Err(); err != nil {
		return 0, err
	}
	return u.ResponseWriter.Write(p)
}
